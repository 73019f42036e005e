// The hypervolume over evaluations: how much the search has gained, and whether it still gains.

import { element } from "./elements.js";
import { grouped, shown } from "./numbers.js";
import { axis, baseLayout, config } from "./plot_style.js";
import { loadPlotly } from "./plotly_loader.js";
import { colour, onThemeChange } from "./theme_toggle.js";

/** Draws a `HypervolumeHistory`. */
export class HypervolumePlot {
  #history = null;
  #plotly = null;

  constructor() {
    this.graph = element("div", { className: "graph" });
    this.sentence = element("p", { className: "muted caption" }, "It is known after the first candidate.");
    this.box = element("div", {}, element("div", { className: "plot-box low" }, this.graph), this.sentence);
    this.endThemes = onThemeChange(() => this.#draw());
    this.#load();
  }

  update(history) {
    this.#history = history;
    const last = history.steps.at(-1);
    if (last) {
      this.sentence.textContent = `${shown(last.hypervolume)} above the reference point `
        + `(${history.reference_point.map((value) => shown(value, 3)).join(", ")}); `
        + `it grew last at evaluation ${grouped(last.spent_evaluations)} of ${grouped(history.spent_evaluations)}.`;
    }
    this.#draw();
  }

  close() {
    this.endThemes();
    this.#plotly?.purge(this.graph);
    this.#plotly = null;
  }

  async #load() {
    try {
      this.#plotly = await loadPlotly();
      this.#draw();
    } catch {
      // The sentence below says what the picture would.
      this.graph.remove();
    }
  }

  #draw() {
    if (!this.#plotly || !this.#history?.steps.length || !this.graph.isConnected) return;
    const { steps, spent_evaluations: spent } = this.#history;
    const trace = {
      type: "scatter", mode: "lines", fill: "tozeroy", fillcolor: colour("front-area"),
      x: [...steps.map((step) => step.spent_evaluations), spent],
      y: [...steps.map((step) => step.hypervolume), steps.at(-1).hypervolume],
      line: { shape: "hv", color: colour("front"), width: 2 },
      hovertemplate: "after %{x:.6~g} evaluations: %{y:.4~g}<extra></extra>",
    };
    const layout = {
      ...baseLayout(),
      xaxis: axis("evaluations", { rangemode: "tozero" }),
      yaxis: axis("hypervolume", { rangemode: "normal", range: rangeOf(steps), nticks: 5 }),
      margin: { l: 52, r: 12, t: 8, b: 44 },
      showlegend: false,
    };
    this.#plotly.react(this.graph, [trace], layout, { ...config(), displayModeBar: false });
  }
}

/** From a little below the first step, so that growth is seen, to a little above the last. */
function rangeOf(steps) {
  const [low, high] = [steps[0].hypervolume, steps.at(-1).hypervolume];
  const margin = 0.08 * (high - low) || 0.5 * Math.abs(high) || 1;
  return [Math.max(0, low - margin), high + margin];
}
