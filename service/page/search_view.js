// The view of one search: every part of it, and how they hear of each other.

import { get, searchPath } from "./api.js";
import { announce } from "./announcements.js";
import { BoundSliders } from "./bound_sliders.js";
import { CompletionsPanel } from "./completions_panel.js";
import { button, card, element } from "./elements.js";
import { ExportsPanel } from "./exports_panel.js";
import { FrontTable } from "./front_table.js";
import { HeatMap } from "./heat_map.js";
import { HypervolumePlot } from "./hypervolume_plot.js";
import { LiveSearch } from "./live_search.js";
import { withError } from "./numbers.js";
import { ParetoPlot } from "./pareto_plot.js";
import { heldOutColumns, sceneOf } from "./pareto_scene.js";
import { loadPlotly } from "./plotly_loader.js";
import { PlotControls, plotLegend } from "./plot_controls.js";
import { rememberTrial } from "./routes.js";
import { SearchHeader } from "./search_header.js";
import { Selection } from "./selection.js";
import { TrialDetails } from "./trial_details.js";

const REASONS = { knee: "the knee of the front", bounds: "the best within the bounds", choice: "your choice" };

/** Shows a search until it is closed; returns how to close it. */
export function showSearch(container, { name, trial }) {
  document.title = `${name} · paretomerge`;
  // Under way while the service is asked; whoever draws hears of a failure.
  loadPlotly().catch(() => {});
  const view = new SearchView(container, name, trial);
  return () => view.close();
}

class SearchView {
  #isBuilt = false;
  #shownTrial = null;

  constructor(container, name, trial) {
    this.live = new LiveSearch(name);
    this.selection = new Selection();
    if (trial !== null) this.selection.choose(trial);
    this.header = new SearchHeader(this.live);
    this.body = element("div", { className: "search-body" }, element("div", { className: "card placeholder" }));
    this.container = container;
    container.append(element("a", { className: "back", href: "#/" }, "← Searches"), this.header.box, this.body);
    this.#listen();
    this.live.open();
  }

  close() {
    this.live.close();
    if (!this.#isBuilt) return;
    for (const part of [this.plot, this.hypervolume, this.exports, this.completions]) part.close();
  }

  #listen() {
    const { live, header } = this;
    live.addEventListener("missing", (event) => this.#isMissing(event.detail));
    live.addEventListener("connection", () => header.updateConnection(live.isConnected));
    live.addEventListener("detail", () => {
      header.updateDetail(live.detail);
      if (!this.#isBuilt) this.#build(live.detail);
    });
    live.addEventListener("points", () => {
      header.updatePoints(live.columns);
      this.#draw();
    });
    live.addEventListener("front", () => this.#takeFront());
    live.addEventListener("exports", () => this.exports?.update(live.exports));
    this.selection.addEventListener("change", () => this.#selected());
  }

  #isMissing(problem) {
    this.header.box.remove();
    this.body.replaceChildren(element("div", { className: "card" },
      element("h1", { className: "page-title" }, "This search cannot be shown"),
      element("p", { role: "alert" }, problem.message)));
  }

  #build(detail) {
    const { objectives } = detail;
    const choose = (number) => {
      this.sliders.reset();
      this.selection.choose(number);
    };
    this.controls = new PlotControls(objectives, () => this.#draw());
    this.plot = new ParetoPlot(choose);
    this.table = new FrontTable(choose);
    this.sliders = new BoundSliders(this.live.name, objectives, (number) => this.#foundWithin(number));
    this.details = new TrialDetails();
    this.heatMap = new HeatMap();
    this.hypervolume = new HypervolumePlot();
    this.exports = new ExportsPanel(this.live);
    this.completions = new CompletionsPanel(detail);
    this.title = element("h3", { className: "selected-title" }, "–");
    this.reason = element("span", { className: "muted" });
    this.body.replaceChildren(...this.#cards());
    this.#isBuilt = true;
    if (this.selection.trial !== null) this.#selected();
  }

  #cards() {
    const knee = button("Knee", () => this.#toKnee(), { title: "The merge with the best balance of all objectives" });
    return [
      card("Pareto front", { className: "plot-card" }, this.controls.box, this.plot.box, plotLegend(),
        element("p", { id: "plot-keys", className: "muted caption" },
          "Click on a point to select it. With the plot focused, the arrow keys go along the front.")),
      card("Selected merge", { className: "selection-card", aside: knee },
        element("div", { className: "selected-line" }, this.title, this.reason),
        this.details.box, this.sliders.box, this.exports.form, this.exports.latest),
      card("Coefficients", { className: "heat-card", aside: this.heatMap.chooser }, this.heatMap.box),
      card("Hypervolume", { className: "hypervolume-card" }, this.hypervolume.box),
      card("Completions", { className: "completions-card" }, this.completions.box),
      card("Merges on the front", { className: "table-card" }, this.table.box),
      card("Exports", { className: "exports-card" }, this.exports.list),
    ];
  }

  /** On the search's examples, or on those held out: the same picture of other numbers. */
  #columns() {
    const { front, columns } = this.live;
    return this.controls.split === "holdout" && front ? heldOutColumns(front, columns.objectives) : columns;
  }

  #draw() {
    if (!this.#isBuilt) return;
    this.#showLabel();
    const columns = this.#columns();
    if (!columns.size) return;
    this.plot.update({ ...this.controls.choices, columns, selected: this.selection.trial });
    this.table.update(sceneOf(columns, this.selection.trial));
  }

  #takeFront() {
    const { front, hypervolume, detail } = this.live;
    this.header.updateFront(front);
    this.hypervolume.update(hypervolume);
    this.sliders.update(front);
    this.controls.allowHoldout(heldOutColumns(front, detail.objectives).size > 0);
    this.selection.kneeIs(this.#knee());
    this.#draw();
    // Held-out scores may have come to what is selected.
    this.#shownTrial = null;
    this.#showDetails();
  }

  #knee() {
    return (this.controls.split === "holdout" ? this.live.heldOutFront : this.live.front)?.selected ?? null;
  }

  #toKnee() {
    this.sliders.reset();
    this.selection.followKnee(this.#knee());
  }

  #foundWithin(number) {
    if (number === null) this.selection.followKnee(this.#knee());
    else this.selection.constrain(number);
  }

  #selected() {
    if (!this.#isBuilt) return;
    const { trial, by } = this.selection;
    this.reason.textContent = REASONS[by];
    rememberTrial(this.live.name, by === "choice" ? trial : null);
    this.#draw();
    this.#showDetails();
    if (by !== "knee") this.#announceSelected();
  }

  /** A landmark is known by its name once its candidate has arrived. */
  #showLabel() {
    const label = this.#label(this.selection.trial);
    this.title.textContent = label;
    this.exports.select(this.selection.trial, label);
    this.completions.select(this.selection.trial, label);
  }

  #label(trial) {
    const landmark = this.live.columns.landmarks[this.live.columns.indexOf.get(trial)];
    return trial === null ? "–" : landmark ?? `trial ${trial}`;
  }

  #announceSelected() {
    const { columns } = this.live;
    const i = columns.indexOf.get(this.selection.trial);
    if (i === undefined) return;
    const values = columns.objectives.map((name, k) => `${name} ${withError(columns.values[k][i], columns.errors[k][i])}`);
    announce(`Selected: ${columns.label(i)}, ${values.join(", ")}.`);
  }

  async #showDetails() {
    const { trial } = this.selection;
    if (trial === null || trial === this.#shownTrial) return;
    this.#shownTrial = trial;
    try {
      const detail = await get(searchPath(this.live.name, `/trials/${trial}?params=true`));
      if (trial !== this.selection.trial) return;
      this.details.update(detail, this.live.name, this.live.detail.objectives);
      this.heatMap.update(detail.coefficients);
    } catch (problem) {
      this.#shownTrial = null;
      this.details.fail(problem.message);
    }
  }
}
