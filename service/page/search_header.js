// The head of a search: its state, how far it is, and the buttons that stop and resume it.

import { post, searchPath } from "./api.js";
import { announce } from "./announcements.js";
import { button, element } from "./elements.js";
import { counted, grouped, isSpent, shown, spentOf } from "./numbers.js";
import { askForBudget } from "./resume_dialog.js";

const CAN_STOP = new Set(["queued", "running"]);
const IS_ACTIVE = new Set(["queued", "running", "stopping"]);

/** What cannot be told from the numbers. */
function whatItDoes(detail) {
  const { state } = detail;
  if (state === "running" && isSpent(detail)) return "The front is being scored on held-out examples.";
  if (state === "stopping") return "What is under way is being finished.";
  return "";
}

/** Shows a `SearchDetail`, and the numbers of the front beside it. */
export class SearchHeader {
  #detail = null;

  /** @param live the search, which takes what stop and resume answer. */
  constructor(live) {
    this.live = live;
    this.badge = element("span", { className: "badge" });
    this.message = element("p", { className: "message" });
    this.error = element("p", { className: "field-error", role: "alert" });
    this.connection = element("p", { className: "notice notice-warning connection", role: "status", hidden: true });
    this.stop = button("Stop", () => this.#stop(), { hidden: true, title: "Candidates under way are finished; nothing is lost." });
    this.resume = button("Resume", () => this.#resume(), { hidden: true });
    this.bar = element("progress", { max: 1, value: 0, "aria-label": "Finished evaluations" });
    this.numbers = Object.fromEntries(["evaluations", "on the front", "hypervolume", "failed", "workers"].map(
      (name) => [name, element("dd", {}, "–")],
    ));
    this.box = element("header", { className: "search-header" },
      element("div", { className: "row spread" },
        element("div", { className: "row title-row" }, element("h1", { className: "page-title" }, live.name), this.badge),
        element("div", { className: "row" }, this.stop, this.resume)),
      this.message, this.error, this.connection, this.bar,
      element("dl", { className: "numbers" }, Object.entries(this.numbers).map(
        ([name, value]) => element("div", {}, element("dt", {}, name), value),
      )),
    );
  }

  updateDetail(detail) {
    const before = this.#detail;
    this.#detail = detail;
    this.badge.textContent = detail.state;
    this.badge.className = `badge badge-${detail.state}`;
    this.message.textContent = detail.message || whatItDoes(detail);
    this.stop.hidden = !CAN_STOP.has(detail.state);
    this.resume.hidden = IS_ACTIVE.has(detail.state);
    this.bar.max = detail.budget;
    this.numbers.workers.textContent = grouped(detail.n_workers);
    this.numbers.failed.textContent = grouped(detail.n_failed);
    this.#progress(detail.n_finished, detail.spent_evaluations);
    if (before && before.state !== detail.state) announce(`The search ${detail.name} is ${detail.state}.`);
  }

  /** Counts what has arrived, which may be ahead of the last detail. */
  updatePoints(columns) {
    this.numbers.failed.textContent = grouped(columns.nFailed);
    this.#progress(columns.size, columns.spent);
  }

  updateFront(front) {
    this.numbers["on the front"].textContent = grouped(front.front.length);
    this.numbers.hypervolume.textContent = shown(front.hypervolume);
  }

  updateConnection(isConnected) {
    this.connection.hidden = isConnected;
    this.connection.textContent = isConnected ? "" : "Connection lost, trying again …";
  }

  #progress(nFinished, spent) {
    const { budget, state } = this.#detail;
    this.bar.value = spent;
    const [amount, rest] = spentOf({ spent_evaluations: spent, budget, n_finished: nFinished });
    this.numbers.evaluations.replaceChildren(amount, element("small", {}, rest));
    const tenths = Math.floor((10 * spent) / budget);
    if (state === "running" && tenths > 0) announce(`${10 * tenths} % of ${counted(budget, "evaluation")} are done.`);
  }

  #stop() {
    return this.#act(this.stop, () => post(searchPath(this.live.name, "/stop")));
  }

  async #resume() {
    const budget = await askForBudget(this.#detail);
    if (budget === null) return;
    const { specification } = this.#detail;
    const larger = { ...specification, search: { ...specification.search, evaluations: budget } };
    const body = budget === this.#detail.budget ? undefined : larger;
    await this.#act(this.resume, () => post(searchPath(this.live.name, "/resume"), body));
  }

  async #act(pressed, action) {
    this.error.textContent = "";
    pressed.disabled = true;
    try {
      this.live.take(await action());
    } catch (problem) {
      this.error.textContent = [problem.message, ...(problem.errors ?? []).map((one) => `${one.key}: ${one.detail}`)].join(" ");
    } finally {
      pressed.disabled = false;
    }
  }
}
