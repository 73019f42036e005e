// Numbers and times as a person reads them.

const MINUS = "−";

/** Four digits, so that numbers of one size stand below each other; an exponent where they would say nothing. */
export function shown(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const isFar = size !== 0 && (size < 0.5 * 10 ** (1 - digits) || size >= 1e6);
  return (isFar ? value.toExponential(1) : value.toFixed(decimals(size, digits))).replace("-", MINUS);
}

/** So many digits counted from the first that is not 0. */
export function significant(value, digits = 2) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return String(Number(value.toPrecision(digits))).replace("-", MINUS);
}

function decimals(size, digits) {
  const whole = Math.max(1, Math.floor(Math.log10(size || 1)) + 1);
  return Math.max(0, digits - whole);
}

/** A value and its standard error, as far as it is known. */
export function withError(value, error) {
  return error === null || error === undefined ? shown(value) : `${shown(value)} ± ${shown(error)}`;
}

/** A difference, with its sign. */
export function signed(value) {
  return value > 0 ? `+${shown(value)}` : shown(value);
}

/** A whole number, grouped by thousands. */
export function grouped(value) {
  return value.toLocaleString("en-GB");
}

/** What was spent of a budget, and of which, with the trials where they are fewer: "60", " of 300 in 20 trials". */
export function spentOf({ spent_evaluations: spent, budget, n_finished: nFinished }, of = grouped(budget)) {
  const rounded = Math.round(100 * spent) / 100;
  return [grouped(rounded), ` of ${of}${rounded === nFinished ? "" : ` in ${counted(nFinished, "trial")}`}`];
}

/** Whether no further trial may start: costs are fractions, whose sums are rounded. */
export function isSpent({ spent_evaluations: spent, budget }) {
  return spent + 1 > budget + 1e-6;
}

/** "1 worker", "2 workers". */
export function counted(n, noun) {
  return `${grouped(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** How long ago, roughly. */
export function ago(time) {
  const seconds = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  const steps = [[86400, "day"], [3600, "hour"], [60, "minute"]];
  const [size, noun] = steps.find(([size]) => seconds >= size) ?? [1, ""];
  return noun ? `${counted(Math.floor(seconds / size), noun)} ago` : "just now";
}
