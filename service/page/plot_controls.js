// What the scatter shows: which examples, which axes, how much of the plane.

import { element, freshId } from "./elements.js";

/** Choices above the plot; calls back when one has changed. */
export class PlotControls {
  split = "search";
  isAroundFront = false;

  constructor(objectives, onChange) {
    this.objectives = objectives;
    this.onChange = onChange;
    this.holdout = null;
    this.box = element("div", { className: "plot-controls" },
      this.#splitChoice(), this.#rangeChoice(), objectives.length > 2 ? this.#axisChoices() : null);
  }

  get choices() {
    const axes = this.selects ? this.selects.slice(0, 2).map((select) => Number(select.value)) : this.#plainAxes();
    const shade = this.selects && this.selects[2].value !== "" ? Number(this.selects[2].value) : null;
    return { axes, shade, split: this.split, isAroundFront: this.isAroundFront };
  }

  /** Held-out scores come when the search ends, or never. */
  allowHoldout(isAllowed) {
    this.holdout.disabled = !isAllowed;
    this.holdout.closest("label").title = isAllowed ? "" : "The front is scored on held-out examples when the search ends.";
  }

  /** A single objective is drawn over the evaluations. */
  #plainAxes() {
    return this.objectives.length === 1 ? [null, 0] : [0, 1];
  }

  #splitChoice() {
    const [group, [, holdout]] = segmented("Examples", [["search", "Search"], ["holdout", "Held out"]], (value) => {
      this.split = value;
      this.onChange();
    });
    this.holdout = holdout;
    this.allowHoldout(false);
    return group;
  }

  #rangeChoice() {
    const [group] = segmented("Range", [["all", "Everything"], ["front", "Around the front"]], (value) => {
      this.isAroundFront = value === "front";
      this.onChange();
    });
    return group;
  }

  #axisChoices() {
    this.selects = [["x", 0], ["y", 1], ["colour", 2]].map(([name, initial]) => this.#axisChoice(name, initial));
    return element("div", { className: "row axis-choices" }, this.selects.map((select) => select.closest("label")));
  }

  #axisChoice(name, initial) {
    const options = this.objectives.map((objective, k) => element("option", { value: String(k) }, objective));
    if (name === "colour") options.push(element("option", { value: "" }, "none"));
    const select = element("select", { onchange: () => this.onChange() }, options);
    select.value = String(initial);
    element("label", { className: "inline-field" }, name, select);
    return select;
  }
}

/** What the marks of the plot mean. */
export function plotLegend() {
  const kinds = ["dominated", "front", "landmark", "selected"];
  const words = { front: "Pareto front (± 1 standard error)" };
  return element("ul", { className: "plot-legend" },
    kinds.map((kind) => element("li", {}, element("span", { className: `mark mark-${kind}` }), words[kind] ?? kind)));
}

/** Radio buttons in one box; the first is chosen. */
function segmented(legend, choices, onChoose) {
  const name = freshId("choice");
  const inputs = choices.map(([value], i) => element("input", {
    type: "radio", name, value, checked: i === 0, onchange: () => onChoose(value),
  }));
  const labels = choices.map(([, label], i) => element("label", {}, inputs[i], element("span", {}, label)));
  const group = element("fieldset", { className: "segmented" }, element("legend", { className: "visually-hidden" }, legend), labels);
  return [group, inputs];
}
