// A merge's coefficients as a table with coloured cells: models × parameter groups, readable by eye and by ear.

import { element } from "./elements.js";
import { shown } from "./numbers.js";

// Numbers are written into the cells as long as they have room.
const MAX_WRITTEN = 16;
const MAX_WHOLE_NAMES = 8;
// The row of what is given once for all models.
const SHARED = "*";

/** Shows a trial's `coefficients`; the parameter is chosen where there are several. */
export class HeatMap {
  #coefficients = null;

  constructor() {
    this.choice = element("select", { onchange: () => this.#draw() });
    this.chooser = element("label", { className: "inline-field", hidden: true }, "Parameter", this.choice);
    this.holder = element("div", { className: "heat-holder", tabIndex: 0, role: "group", "aria-label": "Coefficients" });
    this.readout = element("p", { className: "muted caption", "aria-hidden": "true" }, "\u00a0");
    this.scale = element("div", { className: "heat-scale", "aria-hidden": "true" });
    this.box = element("div", { className: "stack" }, this.holder,
      element("div", { className: "row spread" }, this.readout, this.scale));
    this.holder.addEventListener("pointerover", (event) => this.#tell(event.target));
    this.clear();
  }

  clear() {
    this.#coefficients = null;
    this.holder.replaceChildren(element("p", { className: "muted empty" }, "Select a merge to see its coefficients."));
  }

  update(coefficients) {
    this.#coefficients = coefficients;
    // Of what all models share, only what differs somewhere is worth a table.
    const all = Object.keys(coefficients.values);
    const worth = all.filter((name) => isWorthShowing(coefficients, name));
    const names = worth.length ? worth : all;
    const before = this.choice.value;
    this.choice.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
    this.choice.value = names.includes(before) ? before : names[0];
    this.chooser.hidden = names.length < 2;
    this.#draw();
  }

  #draw() {
    const { groups, values } = this.#coefficients;
    const all = values[this.choice.value];
    const models = this.#coefficients.models.filter((_, m) => all[m].every((value) => value !== null));
    const rows = all.filter((row) => row.every((value) => value !== null));
    const range = rangeOf(rows);
    const labels = shortened(groups);
    const table = element("table", { className: groups.length > MAX_WRITTEN ? "heat dense" : "heat" },
      element("caption", { className: "visually-hidden" }, `${this.choice.value} by model and parameter group`),
      element("thead", {}, element("tr", {}, element("td"), groups.map((group, g) => heading(group, labels[g])))),
      element("tbody", {}, models.map((model, m) => element("tr", {},
        element("th", { scope: "row" }, model === SHARED ? "all models" : model),
        rows[m].map((value, g) => cell(value, range, { model, group: groups[g] })),
      ))),
    );
    this.holder.replaceChildren(table);
    const whose = models[0] === SHARED ? "all models" : `${models.length} model${models.length === 1 ? "" : "s"}`;
    this.readout.textContent = `${this.choice.value}: ${whose} × ${groups.length} groups`;
    this.scale.replaceChildren(shown(range[0], 3), element("span", { className: "heat-bar" }), shown(range[1], 3));
  }

  #tell(target) {
    const { model, group, value } = target.dataset ?? {};
    if (value) this.readout.textContent = `${model} · ${group} · ${this.choice.value} ${value}`;
  }
}

function isWorthShowing({ models, values }, name) {
  const shared = values[name][models.indexOf(SHARED)]?.filter((value) => value !== null) ?? [];
  return !shared.length || new Set(shared).size > 1;
}

function heading(group, label) {
  return element("th", { scope: "col", title: group, "aria-label": group }, element("span", {}, label));
}

function cell(value, [low, high], { model, group }) {
  const share = high > low ? (value - low) / (high - low) : 0.5;
  const made = element("td", { title: `${model} · ${group}: ${shown(value)}` },
    element("span", {}, shown(value, 3)));
  made.style.setProperty("--share", share.toFixed(3));
  Object.assign(made.dataset, { model, group, value: shown(value) });
  return made;
}

/** From the smallest coefficient, or 0 below it, to the largest: the depth of a colour is then the size of a weight. */
function rangeOf(rows) {
  const all = rows.flat();
  return [Math.min(0, ...all), Math.max(...all)];
}

/** Names as short as a column can hold: of many, `layer.3` is 3, `model.layers.3.mlp.up_proj.weight` is `3.mlp.up`. */
function shortened(groups) {
  if (groups.length <= MAX_WHOLE_NAMES) return groups.map((group) => group.replaceAll(/[._]/g, " "));
  return groups.map((group) => group
    .replace(/^model\./, "").replace(/^(layers?|blocks?)\.(?=\d)/, "").replace(/\.weight$/, "")
    .replace("self_attn.", "").replace("_proj", "").replace("_layernorm", "").replaceAll("_", " "));
}
