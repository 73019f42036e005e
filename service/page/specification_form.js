// The fields of a specification, filled from one and read into one; what they do not show is kept.

import { element } from "./elements.js";
import { Field, numberInput, selectInput, suggestedInput, suggestions } from "./form_fields.js";
import { expertRows, measureRows } from "./form_rows.js";

/** All fields; `box` holds them. */
export class SpecificationForm {
  #rest = {};

  /** @param choices the answer of `GET /v1/choices`. */
  constructor(choices) {
    this.choices = choices;
    this.#makeFields();
    this.experts = expertRows();
    this.objectives = measureRows("objectives", "an objective", "Objectives", choices, "What is maximised; the first two are the axes of the plot.");
    this.report = measureRows("report", "a report", "Reports (optional)", choices, "Scored on held-out examples only; the search does not see them.");
    this.box = element("div", { className: "specification-form" }, this.#sections());
    this.method.control.addEventListener("change", () => this.#showBounds());
    this.fill({ models: { experts: { aligned: "", expert: "" } },
      objectives: { alignment: { scorer: "refusal_margin" }, expertise: { scorer: "answer_likelihood" } } });
  }

  #makeFields() {
    const { choices } = this;
    this.name = new Field("Name", "name", { hint: "Of the search and its study." });
    this.base = new Field("Base model", "models.base", { control: suggestedInput("model-folders") });
    this.method = new Field("Method", "space.method", { control: selectInput(choices.methods.map((one) => one.name)) });
    this.granularity = new Field("Granularity", "space.granularity", {
      control: suggestedInput("granularities"), hint: "model, blocks:N, layer, module or tensor.",
    });
    const parameters = new Set(choices.methods.flatMap((one) => Object.keys(one.parameters)));
    this.bounds = Object.fromEntries([...parameters].map((name) => [name, boundFields(name)]));
    this.sampler = new Field("Sampler", "search.sampler", { control: selectInput(choices.samplers) });
    this.evaluations = new Field("Evaluations", "search.evaluations", { control: numberInput({ min: "1" }), isNarrow: true });
    this.seed = new Field("Seed", "search.seed", { control: numberInput({ min: "0" }), isNarrow: true });
    this.workers = new Field("Workers", "workers.count", { control: numberInput({ min: "1" }), isNarrow: true });
  }

  #sections() {
    const { choices } = this;
    const bounds = element("div", { className: "field-grid" }, Object.values(this.bounds).map((pair) => pair.box));
    return [
      suggestions("model-folders", choices.models), suggestions("set-files", choices.sets),
      suggestions("granularities", choices.granularities),
      section("Search", this.name.box),
      section("Models", this.base.box, this.experts.box),
      section("Space", element("div", { className: "field-grid" }, this.method.box, this.granularity.box), bounds),
      section("Measures", this.objectives.box, this.report.box),
      section("Budget", element("div", { className: "field-grid four" },
        this.sampler.box, this.evaluations.box, this.seed.box, this.workers.box)),
    ];
  }

  /** Every field that is there now. */
  get fields() {
    const bounds = Object.values(this.bounds).flatMap((pair) => [pair.low, pair.high]);
    return [this.name, this.base, ...this.experts.fields, this.method, this.granularity, ...bounds,
      ...this.objectives.fields, ...this.report.fields, this.sampler, this.evaluations, this.seed, this.workers];
  }

  get rowSets() {
    return [this.experts, this.objectives, this.report];
  }

  /** Shows a specification; what has no field is kept for `read`. */
  fill(specification) {
    const { models = {}, space = {}, search = {}, workers = {} } = specification;
    this.#rest = structuredClone(specification);
    this.name.value = specification.name;
    this.base.value = models.base;
    this.experts.fill(Object.entries(models.experts ?? {}));
    this.method.value = space.method ?? "task_arithmetic";
    this.granularity.value = space.granularity ?? "layer";
    for (const [name, fields] of Object.entries(this.bounds)) fields.fill(space[name]);
    this.objectives.fill(Object.entries(specification.objectives ?? {}));
    this.report.fill(Object.entries(specification.report ?? {}));
    this.sampler.value = search.sampler ?? "auto";
    this.evaluations.value = search.evaluations ?? 100;
    this.seed.value = search.seed ?? 0;
    this.workers.value = workers.count ?? 1;
    this.#showBounds();
  }

  /** The specification as it stands in the fields; a default is left out where nothing was typed. */
  read() {
    const rest = structuredClone(this.#rest);
    const shown = this.#shownParameters();
    // What another method took is left out, wherever it came from.
    const bounds = Object.fromEntries(Object.entries(this.bounds).map(
      ([name, fields]) => [name, shown.includes(name) ? fields.read() : undefined]));
    const report = named(this.report, measure);
    return pruned({
      ...rest,
      name: this.name.value || undefined,
      models: pruned({ ...rest.models, base: this.base.value || undefined, experts: named(this.experts, (row) => row.fields.folder.value) }),
      space: pruned({ ...rest.space, method: this.method.value, granularity: this.granularity.value || undefined, ...bounds }),
      objectives: named(this.objectives, measure),
      report: Object.keys(report).length ? report : undefined,
      search: pruned({ ...rest.search, sampler: this.sampler.value, evaluations: this.evaluations.number, seed: this.seed.number }),
      workers: pruned({ ...rest.workers, count: this.workers.number }),
    });
  }

  #shownParameters() {
    const method = this.choices.methods.find((one) => one.name === this.method.value);
    return Object.keys(method?.parameters ?? { weight: [0, 1.5] });
  }

  /** Only a method's own parameters have bounds; what is left empty is its default. */
  #showBounds() {
    const method = this.choices.methods.find((one) => one.name === this.method.value);
    const shown = this.#shownParameters();
    for (const [name, fields] of Object.entries(this.bounds)) fields.show(shown.includes(name), method?.parameters[name]);
  }
}

function section(title, ...children) {
  return element("section", { className: "card form-section" }, element("h2", {}, title), children);
}

/** Two fields, from and to; equal ones fix the value. */
function boundFields(name) {
  const input = () => numberInput({ step: "any" });
  const low = new Field("from", `space.${name}`, { control: input(), isNarrow: true });
  const high = new Field("to", `space.${name}.1`, { control: input(), isNarrow: true });
  low.control.setAttribute("aria-label", `${name} from`);
  high.control.setAttribute("aria-label", `${name} to`);
  const box = element("fieldset", { className: "bound-pair" }, element("legend", {}, `Bounds of ${name}`),
    element("div", { className: "row" }, low.box, high.box));
  return {
    low, high, box,
    fill: (bounds) => {
      // A switch that is fixed is true or false.
      const fixed = typeof bounds === "boolean" ? Number(bounds) : bounds;
      [low.value, high.value] = Array.isArray(bounds) ? bounds : [fixed, fixed];
    },
    read: () => {
      if (low.number === undefined && high.number === undefined) return undefined;
      return [low.number ?? Number(low.control.placeholder), high.number ?? Number(high.control.placeholder)];
    },
    show: (isShown, defaults) => {
      box.hidden = !isShown;
      [low.control.placeholder, high.control.placeholder] = (defaults ?? [0, 1]).map(String);
    },
  };
}

function named(rows, read) {
  return Object.fromEntries(rows.rows.map((row) => [row.name.value, read(row)]));
}

function measure(row) {
  const rest = typeof row.rest === "object" ? row.rest : {};
  return pruned({ ...rest, scorer: row.fields.scorer.value, set: row.fields.set.value || undefined });
}

/** Without what is undefined: the service then takes its defaults. */
function pruned(values) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
