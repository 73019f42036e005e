// What the scatter shows, as plain values: which candidate is of which kind, and how far the axes reach.

import { frontOf } from "./pareto_front.js";
import { PointColumns } from "./point_columns.js";

// Of the range of the values: room for markers and the labels at the edge.
const MARGIN = 0.09;

/**
 * The candidates by kind, as indices into the columns.
 *
 * @param columns the search's candidates, or those scored on held-out examples.
 * @param selected the number of the selected trial, or null.
 */
export function sceneOf(columns, selected) {
  const front = frontOf(columns.values);
  const selectedIndex = columns.indexOf.get(selected) ?? -1;
  const isOnFront = new Set(front);
  const landmarks = [];
  const dominated = [];
  for (let i = 0; i < columns.size; i += 1) {
    if (!columns.succeeded(i) || i === selectedIndex) continue;
    if (columns.landmarks[i] !== null) landmarks.push(i);
    else if (!isOnFront.has(i)) dominated.push(i);
  }
  const members = front.filter((i) => i !== selectedIndex && columns.landmarks[i] === null);
  return { columns, front, members, landmarks, dominated, selected: selectedIndex };
}

/** The front's candidates and the landmarks with their values on held-out examples. */
export function heldOutColumns(front, objectives) {
  const columns = new PointColumns(objectives);
  const all = new Map([...front.landmarks, ...front.front].map((trial) => [trial.trial, trial]));
  const trials = [...all.values()].filter((trial) => objectives.every((name) => trial.holdout[name]));
  const column = (key) => Object.fromEntries(
    objectives.map((name) => [name, trials.map((trial) => trial.holdout[name][key])]),
  );
  columns.take({
    reset: true,
    numbers: trials.map((trial) => trial.trial),
    values: column("value"),
    standard_errors: column("standard_error"),
    landmarks: trials.map((trial) => trial.landmark),
    failures: trials.map(() => null),
  });
  return columns;
}

/** Where a candidate stands on an axis: its value in an objective, or its number where the axis is `null`. */
export function placeOf(columns, axis, index) {
  return axis === null ? columns.numbers[index] : columns.values[axis][index];
}

/** Its standard error there; 0 where it is unknown. */
export function errorOf(columns, axis, index) {
  return (axis === null ? null : columns.errors[axis][index]) ?? 0;
}

/** From where to where an axis goes: over everything, or around the front. */
export function rangeOf(scene, axis, isAroundFront) {
  const around = [...scene.members, ...(scene.selected >= 0 ? [scene.selected] : [])];
  const indices = isAroundFront && scene.members.length > 1 ? around : [...around, ...scene.landmarks, ...scene.dominated];
  let lowest = Infinity;
  let highest = -Infinity;
  const errorsCount = new Set(around);
  for (const i of indices) {
    const value = placeOf(scene.columns, axis, i);
    const error = errorsCount.has(i) ? errorOf(scene.columns, axis, i) : 0;
    lowest = Math.min(lowest, value - error);
    highest = Math.max(highest, value + error);
  }
  if (lowest > highest) return [0, 1];
  // A single value stands in the middle of a range of about its own size.
  const margin = MARGIN * (highest - lowest) || 0.5 * (Math.abs(highest) || 1);
  return [lowest - margin, highest + margin];
}

/** The corners of the edge of what the front dominates, from the far left to the far bottom. */
export function staircase(scene, [x, y], [xRange, yRange]) {
  const far = ([low, high]) => low - 20 * (high - low);
  const { columns, front } = scene;
  const byX = [...front].sort((a, b) => placeOf(columns, x, a) - placeOf(columns, x, b));
  const xs = [far(xRange)];
  const ys = [];
  for (const i of byX) {
    const [px, py] = [placeOf(columns, x, i), placeOf(columns, y, i)];
    ys.push(py, py);
    xs.push(px, px);
  }
  ys.push(far(yRange));
  return front.length ? { x: [...xs, far(xRange)], y: [...ys, far(yRange)] } : { x: [], y: [] };
}
