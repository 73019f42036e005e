// The list of searches, or a first step where there is none.

import { get } from "./api.js";
import { element } from "./elements.js";
import { ago, counted, grouped, spentOf } from "./numbers.js";
import { addressOf } from "./routes.js";

// Events are one stream per search, and a browser opens six connections to a service: the list is asked for instead.
const POLL_MS = 2000;

/** Shows the list and keeps it fresh; returns how to end that. */
export function showSearchList(container) {
  document.title = "Searches · paretomerge";
  const notice = element("p", { className: "notice notice-warning", role: "status", hidden: true });
  const list = element("div", { className: "search-list" }, element("p", { className: "muted" }, "Asking the service …"));
  container.append(
    element("div", { className: "row spread page-head" },
      element("h1", { className: "page-title" }, "Searches"),
      element("a", { className: "button primary", href: "#/new" }, "New search")),
    notice, list,
  );
  let timer = null;
  let isClosed = false;
  let content = "";
  async function refresh() {
    try {
      const { searches } = await get("/v1/searches");
      if (isClosed) return;
      notice.hidden = true;
      if (JSON.stringify(searches) !== content) draw(list, searches);
      content = JSON.stringify(searches);
    } catch (problem) {
      notice.hidden = false;
      notice.textContent = `${problem.message} Trying again …`;
    }
    if (!isClosed) timer = setTimeout(() => (document.hidden ? undefined : refresh()), POLL_MS);
  }
  const seen = () => {
    clearTimeout(timer);
    if (!document.hidden) refresh();
  };
  document.addEventListener("visibilitychange", seen);
  refresh();
  return () => {
    isClosed = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", seen);
  };
}

function draw(list, searches) {
  const focused = document.activeElement?.getAttribute("href");
  list.replaceChildren(...(searches.length ? [element("ul", {}, searches.map(item))] : [welcome()]));
  if (focused) list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

function item(search) {
  const share = Math.min(1, search.spent_evaluations / search.budget);
  return element("li", { className: "card search-item" },
    element("div", { className: "row spread" },
      element("h2", {}, element("a", { href: addressOf(search.name) }, search.name)),
      element("span", { className: `badge badge-${search.state}` }, search.state)),
    element("p", { className: "muted" }, search.objectives.join(" × ")),
    element("progress", { max: 1, value: share, "aria-label": `Evaluations of ${search.name}` }),
    element("p", { className: "facts" }, facts(search).map((fact) => element("span", {}, fact))),
    search.message ? element("p", { className: "message" }, search.message) : null,
  );
}

function facts(search) {
  const found = [spentOf(search, counted(search.budget, "evaluation")).join("")];
  if (search.n_failed) found.push(`${grouped(search.n_failed)} failed`);
  if (search.n_workers) found.push(counted(search.n_workers, "worker"));
  const time = search.ended_at ?? search.started_at ?? search.created_at;
  if (time) found.push(`${search.ended_at ? "ended" : search.started_at ? "started" : "queued"} ${ago(time)}`);
  return found;
}

function welcome() {
  return element("div", { className: "card welcome" },
    element("h2", {}, "No search yet"),
    element("p", {}, "A search merges a base model with its experts, again and again with other coefficients, and shows "
      + "which merges are best in alignment, in expertise, and in between."),
    element("div", { className: "row" },
      element("a", { className: "button primary", href: "#/new?demo" }, "Try the demo"),
      element("a", { className: "button", href: "#/new" }, "Set up a search")),
    element("p", { className: "muted caption" }, "The demo needs no download: three tiny models come with paretomerge."),
  );
}
