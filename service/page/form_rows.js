// Rows that are added and removed: experts, objectives, reports.

import { button, element } from "./elements.js";
import { Field, selectInput, suggestedInput } from "./form_fields.js";

/** A list of rows of fields, each with a name of its own. */
export class FormRows {
  /** @param options `{legend, key, noun, makeRow, hint}`; `makeRow` gives the fields of a row beside its name. */
  constructor({ legend, key, noun, makeRow, hint = "" }) {
    this.key = key;
    this.noun = noun;
    this.makeRow = makeRow;
    this.rows = [];
    this.list = element("div", { className: "form-rows" });
    this.adding = button(`Add ${noun}`, () => this.add("", {}).name.control.focus(), { className: "quiet small" });
    this.error = element("p", { className: "field-error" });
    this.box = element("fieldset", { className: "row-set" }, element("legend", {}, legend),
      hint ? element("p", { className: "hint" }, hint) : null, this.list, this.error, this.adding);
  }

  add(nameText, value) {
    const row = { rest: value };
    const key = (rest) => () => `${this.key}.${row.name.value}${rest}`;
    row.name = new Field("Name", key(""));
    row.name.value = nameText;
    row.fields = this.makeRow(key, value);
    const removing = button("✕", () => this.#remove(row), { className: "quiet icon", title: "Remove", "aria-label": `Remove this ${this.noun.split(" ").at(-1)}` });
    row.box = element("div", { className: "form-row" }, row.name.box, Object.values(row.fields).map((field) => field.box), removing);
    this.rows.push(row);
    this.list.append(row.box);
    return row;
  }

  fill(entries) {
    this.rows = [];
    this.list.replaceChildren();
    for (const [name, value] of entries) this.add(name, value);
  }

  get fields() {
    return this.rows.flatMap((row) => [row.name, ...Object.values(row.fields)]);
  }

  /** What one cannot say in a specification: names that are missing, or given twice. False where there are any. */
  check() {
    const seen = new Set();
    let isRight = true;
    for (const row of this.rows) {
      const name = row.name.value;
      const mistake = name === "" ? "Give it a name." : seen.has(name) ? `Another one is called '${name}'.` : "";
      if (mistake) row.name.fail(mistake);
      isRight &&= !mistake;
      seen.add(name);
    }
    return isRight;
  }

  clearError() {
    this.error.textContent = "";
  }

  #remove(row) {
    const at = this.rows.indexOf(row);
    this.rows.splice(at, 1);
    row.box.remove();
    (this.rows[at] ?? this.rows[at - 1])?.name.control.focus();
    if (!this.rows.length) this.adding.focus();
  }
}

/** Experts: a name and a folder. */
export function expertRows() {
  return new FormRows({
    legend: "Experts", key: "models.experts", noun: "an expert",
    makeRow: (key, folder) => {
      const field = new Field("Folder", key(""), { control: suggestedInput("model-folders") });
      field.value = typeof folder === "string" ? folder : "";
      return { folder: field };
    },
  });
}

/** Objectives or reports: a name, a scorer and its set; other options of a row are kept as they are. */
export function measureRows(key, noun, legend, choices, hint) {
  return new FormRows({
    legend, key, noun, hint,
    makeRow: (keyOf, measure) => {
      const scorer = new Field("Scorer", keyOf(".scorer"), { control: selectInput(choices.scorers.map((one) => one.name), "choose …") });
      const set = new Field("Set", keyOf(".set"), { control: suggestedInput("set-files") });
      scorer.value = measure.scorer ?? "";
      set.value = measure.set ?? "";
      const hinted = () => {
        const choice = choices.scorers.find((one) => one.name === scorer.value);
        set.control.placeholder = choice && !choice.needs_set ? "none needed" : "";
        set.control.title = choice?.required_fields.length ? `Its rows need: ${choice.required_fields.join(", ")}.` : "";
      };
      scorer.control.addEventListener("change", hinted);
      hinted();
      return { scorer, set };
    },
  });
}
