// Which candidates no other one dominates; every objective is maximised, and equal candidates stay together.

/**
 * The indices of the front, the best in the first objective first.
 *
 * @param columns one array of values per objective; null after a failure.
 */
export function frontOf(columns) {
  const indices = [];
  for (let i = 0; i < (columns[0]?.length ?? 0); i += 1) if (columns[0][i] !== null) indices.push(i);
  const best = (a, b) => compare(columns, a, b);
  indices.sort(best);
  return columns.length === 2 ? sweep(columns, indices) : archive(columns, indices);
}

/** From best to worst, objective by objective; then in the order in which they came. */
function compare(columns, a, b) {
  for (const column of columns) if (column[a] !== column[b]) return column[b] - column[a];
  return a - b;
}

/** With two objectives: down the first one, a candidate must be better than all before in the second. */
function sweep([first, second], indices) {
  const front = [];
  for (const i of indices) {
    const last = front.at(-1);
    const isEqual = last !== undefined && first[i] === first[last] && second[i] === second[last];
    if (last === undefined || second[i] > second[last] || isEqual) front.push(i);
  }
  return front;
}

/** With any number: after sorting, only a member of the front can dominate what follows it. */
function archive(columns, indices) {
  const front = [];
  for (const i of indices) if (!front.some((member) => dominates(columns, member, i))) front.push(i);
  return front;
}

function dominates(columns, a, b) {
  let isBetter = false;
  for (const column of columns) {
    if (column[a] < column[b]) return false;
    if (column[a] > column[b]) isBetter = true;
  }
  return isBetter;
}
