// plotly's traces of the scatter, always the same five, so that a redrawing changes data and nothing else.

import { along, labelSides } from "./label_sides.js";
import { shown, withError } from "./numbers.js";
import { errorOf, placeOf, staircase } from "./pareto_scene.js";
import { escaped, inTemplate } from "./plot_style.js";
import { colour } from "./theme_toggle.js";

const LABEL_SIZE = 13;
// Of the dominated candidates; more of them say nothing new of where they lie.
const N_AVOIDED = 300;

/**
 * @param scene see `sceneOf`.
 * @param view `{axes: [x, y], shade, ranges, frame, isPlane}`: objectives by index.
 */
export function tracesOf(scene, view) {
  const sides = sidesOf(scene, view);
  const { members, landmarks } = scene;
  const edgeOf = (width) => ({ color: colour("surface"), width });
  // Among points of all colours the front stands out by its rim.
  const rim = view.shade === null ? edgeOf(1) : { color: colour("ink"), width: 1.5 };
  return [
    edge(scene, view),
    cloud(scene, view),
    { ...small(scene, members, view), ...errorBars(scene, members, view),
      marker: { ...shade(scene, members, view), size: 10, line: rim } },
    { ...small(scene, landmarks, view), ...texts(scene, landmarks, sides),
      marker: { color: colour("landmark"), symbol: "diamond", size: 12, line: edgeOf(1.5) } },
    selected(scene, view, sides),
  ];
}

function edge(scene, { axes, ranges, isPlane }) {
  return {
    type: "scatter", mode: "lines", hoverinfo: "skip",
    ...(isPlane ? staircase(scene, axes, ranges) : { x: [], y: [] }),
    line: { color: colour("front"), width: 1.5 }, fill: "toself", fillcolor: colour("front-area"),
  };
}

/** To hover over and click on only; what is seen of it is painted by `CloudCanvas`. */
function cloud(scene, view) {
  const { columns, dominated } = scene;
  const lines = columns.objectives.map((name, k) => `${inTemplate(name)} %{customdata[${k + 1}]:.4~g}`);
  return {
    ...coordinates(scene, dominated, view),
    type: "scatter", mode: "none",
    customdata: dominated.map((i) => [columns.numbers[i], ...columns.values.map((column) => column[i])]),
    hovertemplate: `<b>trial %{customdata[0]}</b><br>${lines.join("<br>")}<extra></extra>`,
    marker: { color: colour("dominated") },
  };
}

function selected(scene, view, sides) {
  const indices = scene.selected >= 0 ? [scene.selected] : [];
  return {
    ...small(scene, indices, view), ...errorBars(scene, indices, view),
    ...texts(scene, indices, sides, (label) => `<b>${label}</b>`),
    marker: { color: colour("selected"), symbol: "star", size: 20, line: { color: colour("selected-edge"), width: 1.2 } },
  };
}

/** A trace of few points, with words on hovering that say everything known. */
function small(scene, indices, view) {
  const { columns } = scene;
  const hovertext = indices.map((i) => [
    `<b>${escaped(columns.label(i))}</b>`,
    ...columns.objectives.map((name, k) => `${escaped(name)} ${withError(columns.values[k][i], columns.errors[k][i])}`),
  ].join("<br>"));
  return {
    ...coordinates(scene, indices, view),
    type: "scatter", mode: "markers", hoverinfo: "text", hovertext,
    customdata: indices.map((i) => [columns.numbers[i]]),
  };
}

function coordinates({ columns }, indices, { axes: [x, y] }) {
  return { x: indices.map((i) => placeOf(columns, x, i)), y: indices.map((i) => placeOf(columns, y, i)) };
}

function errorBars({ columns }, indices, { axes }) {
  const bar = { type: "data", thickness: 1.2, width: 0, color: colour("front-error") };
  const bars = axes.map((axis) => ({ ...bar, array: indices.map((i) => errorOf(columns, axis, i)) }));
  return { error_x: { ...bars[0], visible: axes[0] !== null }, error_y: bars[1] };
}

/** By the third objective where one is shown. */
function shade({ columns }, indices, view) {
  if (view.shade === null) return { color: colour("front") };
  return { color: indices.map((i) => columns.values[view.shade][i]), coloraxis: "coloraxis" };
}

function texts({ columns }, indices, sides, styled = (label) => label) {
  return {
    mode: "markers+text",
    text: indices.map((i) => styled(escaped(columns.label(i)))),
    textposition: indices.length ? indices.map((i) => sides.get(i)) : "top center",
    textfont: { size: LABEL_SIZE, color: colour("ink"), shadow: halo() },
    cliponaxis: true,
  };
}

/** Letters that can be read on top of points. */
function halo() {
  const surface = colour("surface");
  return [[1, 1], [-1, 1], [1, -1], [-1, -1], [0, 0]].map(([x, y]) => `${x}px ${y}px 2px ${surface}`).join(", ");
}

/** The sides of the labels of landmarks and selection: they give way to each other, to the front and to its edge. */
function sidesOf(scene, { axes: [x, y], ranges: [xRange, yRange], frame, isPlane }) {
  const { columns, members, landmarks, selected: chosen } = scene;
  const pixels = (px, py) => [
    ((px - xRange[0]) / (xRange[1] - xRange[0])) * frame.width,
    ((py - yRange[0]) / (yRange[1] - yRange[0])) * frame.height,
  ];
  const at = (i) => pixels(placeOf(columns, x, i), placeOf(columns, y, i));
  const labelled = chosen >= 0 ? [chosen, ...landmarks] : landmarks;
  const labels = labelled.map((i) => {
    const [px, py] = at(i);
    return { x: px, y: py, text: columns.label(i) };
  });
  const some = scene.dominated.filter((_, k) => k % Math.ceil(scene.dominated.length / N_AVOIDED) === 0);
  const corners = isPlane ? staircase(scene, [x, y], [xRange, yRange]) : { x: [], y: [] };
  // The last corner closes the area; the ends of the line lie far outside.
  const inside = ([px, py]) => [Math.max(0, px), Math.max(0, py)];
  const line = corners.x.slice(0, -1).map((px, k) => inside(pixels(px, corners.y[k])));
  const sides = labelSides(labels, [...[...members, ...labelled, ...some].map(at), ...along(line, LABEL_SIZE)], frame, LABEL_SIZE);
  return new Map(labelled.map((i, k) => [i, sides[k]]));
}

/** The number of a candidate that was clicked on. */
export function numberAt(event) {
  const [point] = event.points;
  return Array.isArray(point?.customdata) ? point.customdata[0] : null;
}

/** A sentence for those who do not see the plot. */
export function sentenceOf({ columns, front, dominated }, nFailed) {
  const best = columns.objectives.map((name, k) => {
    const values = front.map((i) => columns.values[k][i]);
    return `${name} up to ${shown(Math.max(...values))}`;
  });
  if (!front.length) return "No candidate has been scored yet.";
  return `${front.length} merges on the Pareto front (${best.join(", ")}), ${dominated.length} dominated, ${nFailed} failed.`;
}
