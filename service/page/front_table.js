// The front as a table: the plot's equivalent for keyboard and screen reader, one row to choose per merge.

import { button, element } from "./elements.js";
import { scoredNumber } from "./scored_number.js";

const STEPS = { ArrowDown: 1, ArrowUp: -1 };

/** Lists the front, or its members and the landmarks on held-out examples. */
export class FrontTable {
  #rows = new Map();
  #content = "";

  /** @param onSelect takes the number of the trial that is chosen. */
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.holder = element("div", { className: "table-holder", onkeydown: (event) => this.#step(event) });
    this.box = this.holder;
    this.holder.append(element("p", { className: "muted empty" }, "The front begins with the first candidate."));
  }

  /** @param scene see `sceneOf`. */
  update({ columns, front, selected }) {
    const content = JSON.stringify([columns.objectives, front.map((i) => [columns.numbers[i], columns.values.map((v) => v[i])])]);
    if (content !== this.#content && front.length) this.#fill(columns, front);
    this.#content = content;
    this.#mark(selected >= 0 ? columns.numbers[selected] : null);
  }

  #fill(columns, front) {
    const focused = [...this.#rows].find(([, row]) => row.contains(document.activeElement))?.[0];
    this.#rows = new Map(front.map((i) => [columns.numbers[i], this.#row(columns, i)]));
    this.holder.replaceChildren(element("table", { className: "front-table" },
      element("thead", {}, element("tr", {},
        element("th", { scope: "col" }, "merge"), columns.objectives.map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, [...this.#rows.values()]),
    ));
    this.#rows.get(focused)?.querySelector("button").focus({ preventScroll: true });
  }

  #row(columns, i) {
    const number = columns.numbers[i];
    const choose = button(columns.label(i), () => this.onSelect(number), { className: "row-choice", "aria-pressed": "false" });
    const row = element("tr", { onclick: (event) => event.target !== choose && this.onSelect(number) },
      element("th", { scope: "row" }, choose),
      columns.values.map((values, k) => element("td", {}, scoredNumber(values[i], columns.errors[k][i]))),
    );
    if (columns.landmarks[i] !== null) row.classList.add("is-landmark");
    return row;
  }

  #mark(number) {
    for (const [trial, row] of this.#rows) {
      row.classList.toggle("is-selected", trial === number);
      row.querySelector("button").setAttribute("aria-pressed", String(trial === number));
    }
  }

  #step(event) {
    const step = STEPS[event.key];
    if (!step) return;
    const buttons = [...this.holder.querySelectorAll(".row-choice")];
    const next = buttons[buttons.indexOf(document.activeElement) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.click();
  }
}
