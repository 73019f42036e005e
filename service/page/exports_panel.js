// Exports of a search: the button, how far each is, and the folders that came of them.

import { post, searchPath } from "./api.js";
import { announce } from "./announcements.js";
import { button, element, freshId } from "./elements.js";
import { ago, shown, significant } from "./numbers.js";

const STAGES = { queued: "waits for a worker", running: "at work", finished: "done", failed: "failed" };
// An event tells that an export has moved; this is for the time in which the stream of events is broken.
const POLL_MS = 3000;

/** Starts exports of the selected trial and lists all of them. */
export class ExportsPanel {
  #trial = null;
  #timer = null;
  #states = new Map();

  /** @param live the search, which holds the exports and tells when they move. */
  constructor(live) {
    this.live = live;
    const id = freshId("folder");
    this.folder = element("input", { id, type: "text", spellcheck: false, autocomplete: "off", "aria-describedby": `${id}-error` });
    this.error = element("p", { id: `${id}-error`, className: "field-error", role: "alert" });
    this.start = button("Export", () => this.#start(), { className: "primary", disabled: true });
    this.form = element("form", { className: "export-form", onsubmit: (event) => { event.preventDefault(); this.#start(); } },
      element("label", { htmlFor: id }, "Export to the folder"),
      element("div", { className: "row" }, this.folder, this.start), this.error);
    this.latest = element("div", { className: "latest-export" });
    this.list = element("div", { className: "stack" }, element("p", { className: "muted empty" }, "No merge has been exported."));
  }

  close() {
    clearTimeout(this.#timer);
  }

  select(trial, label) {
    if (trial !== this.#trial) this.start.disabled = trial === null;
    this.#trial = trial;
    this.start.setAttribute("aria-label", `Export ${label}`);
    this.folder.placeholder = trial === null ? "" : `${this.live.name}-trial-${trial}`;
  }

  /** Takes the exports as they are now. */
  update(exports) {
    clearTimeout(this.#timer);
    this.#tellEnds(exports);
    this.latest.replaceChildren(...exports.slice(0, 1).map((one) => this.#item(one)));
    if (exports.length) this.list.replaceChildren(element("ul", { className: "exports" }, exports.map((one) => element("li", {}, this.#item(one)))));
    if (exports.some(isActive)) this.#timer = setTimeout(() => this.live.refreshExports(), POLL_MS);
  }

  async #start() {
    if (this.#trial === null) return;
    this.error.textContent = "";
    this.start.disabled = true;
    try {
      const to = this.folder.value.trim();
      const started = await post(searchPath(this.live.name, "/exports"), { trial: this.#trial, ...(to && { to }) });
      this.folder.value = "";
      this.update([started, ...this.live.exports]);
      announce(`The export of trial ${started.trial} has been queued.`);
      await this.live.refreshExports();
    } catch (problem) {
      this.error.textContent = problem.message;
      this.folder.setAttribute("aria-invalid", "true");
      this.folder.focus();
      return;
    } finally {
      this.start.disabled = false;
    }
    this.folder.removeAttribute("aria-invalid");
  }

  #tellEnds(exports) {
    for (const one of exports) {
      const before = this.#states.get(one.id);
      if (before && before !== one.state && !isActive(one)) {
        announce(one.state === "finished" ? `The merge lies in ${one.folder}.` : `The export failed: ${one.message}`);
      }
      this.#states.set(one.id, one.state);
    }
  }

  #item(one) {
    const stage = one.state === "running" && one.stage ? one.stage : STAGES[one.state];
    return element("div", { className: `export export-${one.state}`, data: { state: one.state, export: one.id } },
      element("div", { className: "row spread" },
        element("strong", {}, `trial ${one.trial}`),
        element("span", { className: `badge badge-${one.state}` }, stage)),
      isActive(one) ? element("div", { className: "indeterminate", role: "progressbar", "aria-label": `Export of trial ${one.trial}: ${stage}` }) : null,
      one.state === "finished" ? this.#folder(one.folder) : null,
      one.state === "failed" ? element("p", { className: "field-error" }, one.message) : null,
      element("p", { className: "muted caption" }, words(one)),
    );
  }

  #folder(folder) {
    const copy = button("Copy", async () => {
      await navigator.clipboard.writeText(folder).then(
        () => { copy.textContent = "Copied"; announce("The folder's name has been copied."); },
        () => { copy.textContent = "Select it"; getSelection().selectAllChildren(path); },
      );
    }, { className: "small", "aria-label": `Copy ${folder}` });
    const path = element("code", { className: "path" }, folder);
    return element("div", { className: "row path-row" }, path, copy);
  }
}

function isActive(one) {
  return one.state === "queued" || one.state === "running";
}

function words(one) {
  if (one.state !== "finished") return `Asked for ${ago(one.created_at)}.`;
  const scores = Object.entries(one.scores ?? {}).map(([name, value]) => `${name} ${shown(value)}`).join(", ");
  const difference = one.largest_difference;
  const checked = difference === null ? "" : ` Reloaded, it differs from its trial by ${significant(difference)} at most.`;
  return `${scores ? `${scores}.` : ""}${checked}`;
}
