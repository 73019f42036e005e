// The colours of a third objective: viridis, the same on the canvas as in plotly.

const VIRIDIS = ["#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
// So many different colours are enough for an eye, and few enough to be made once.
const N_SHADES = 64;

const shades = Array.from({ length: N_SHADES }, (_, step) => mixed((step / (N_SHADES - 1)) * (VIRIDIS.length - 1)));

/** plotly's `colorscale`. */
export const COLOUR_SCALE = VIRIDIS.map((shade, i) => [i / (VIRIDIS.length - 1), shade]);

/** From the worst to the best value of an objective over all candidates. */
export function shadeRange({ columns }, objective) {
  let [lowest, highest] = [Infinity, -Infinity];
  for (const value of columns.values[objective]) {
    if (value === null) continue;
    lowest = Math.min(lowest, value);
    highest = Math.max(highest, value);
  }
  return [lowest, highest];
}

/** The colour of a candidate, by its index. */
export function shadeOf(scene, objective) {
  const [lowest, highest] = shadeRange(scene, objective);
  const values = scene.columns.values[objective];
  const span = highest - lowest || 1;
  return (i) => shades[Math.round(((values[i] - lowest) / span) * (N_SHADES - 1))];
}

function mixed(position) {
  const below = Math.min(VIRIDIS.length - 2, Math.floor(position));
  const share = position - below;
  const [from, to] = [channels(VIRIDIS[below]), channels(VIRIDIS[below + 1])];
  return `rgb(${from.map((value, k) => Math.round(value + share * (to[k] - value))).join(",")})`;
}

function channels(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}
