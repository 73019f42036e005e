// The page's addresses: what stands behind the # is what is shown, so that reload and back work.

const PATTERNS = [
  ["searches", /^#?\/?$/],
  ["new", /^#\/new(?:\?demo)?$/],
  ["search", /^#\/searches\/([^/]+)(?:\/trials\/(\d+))?$/],
];

/** The route and its parameters: `{route, name, trial}`. */
export function currentRoute() {
  for (const [route, pattern] of PATTERNS) {
    const found = pattern.exec(location.hash);
    if (found) return { route, name: decoded(found[1] ?? ""), trial: found[2] ? Number(found[2]) : null };
  }
  return { route: "unknown", name: "", trial: null };
}

/** What was written may be no encoding of anything; then it is a name that no search has. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The address of a search, with a trial selected if one is given. */
export function addressOf(name, trial = null) {
  return `#/searches/${encodeURIComponent(name)}${trial === null ? "" : `/trials/${trial}`}`;
}

/** Keeps the selection in the address; a selection is not a place to go back to. */
export function rememberTrial(name, trial) {
  history.replaceState(null, "", addressOf(name, trial));
}
