// The scatter of all candidates: drawn by plotly, selected from by pointer and by keyboard.

import { CloudCanvas } from "./cloud_canvas.js";
import { element } from "./elements.js";
import { rangeOf, sceneOf } from "./pareto_scene.js";
import { numberAt, sentenceOf, tracesOf } from "./pareto_traces.js";
import { axis, baseLayout, config, escaped } from "./plot_style.js";
import { loadPlotly } from "./plotly_loader.js";
import { COLOUR_SCALE, shadeRange } from "./shades.js";
import { onThemeChange } from "./theme_toggle.js";

// Above the plane: at its side it would leave no room on a narrow screen.
const COLOUR_BAR = { orientation: "h", thickness: 10, outlinewidth: 0, len: 1, y: 1.01, yanchor: "bottom", nticks: 6 };
const RESIZED_MS = 300;
const STEPS = { ArrowRight: -1, ArrowDown: -1, ArrowLeft: 1, ArrowUp: 1 };

/** Draws what it is given last; one drawing at a time. */
export class ParetoPlot {
  #given = null;
  #scene = null;
  #plotly = null;
  #isDrawing = false;
  #timer = null;
  #view = null;

  /** @param onSelect takes the number of the trial that was clicked on or stepped to. */
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.cloud = new CloudCanvas();
    this.graph = element("div", { className: "graph" });
    this.waiting = element("p", { className: "graph-waiting muted" }, "Drawing …");
    this.box = element(
      "div",
      {
        className: "plot-box", tabIndex: 0, role: "group", "aria-roledescription": "scatter plot",
        "aria-describedby": "plot-keys", onkeydown: (event) => this.#step(event),
      },
      this.cloud.canvas, this.graph, this.waiting,
    );
    this.endThemes = onThemeChange(() => this.#draw());
    // plotly fits itself to another width; the sides of the labels are ours.
    this.sizes = new ResizeObserver(() => this.#resized());
    this.sizes.observe(this.box);
    this.#load();
  }

  /** @param given `{columns, selected, axes, shade, isAroundFront, split}`. */
  update(given) {
    this.#given = given;
    this.#scene = sceneOf(given.columns, given.selected);
    this.box.setAttribute("aria-label", sentenceOf(this.#scene, given.columns.nFailed));
    this.#draw();
  }

  close() {
    this.endThemes();
    this.sizes.disconnect();
    clearTimeout(this.#timer);
    this.#plotly?.purge(this.graph);
    this.#plotly = null;
  }

  async #load() {
    try {
      this.#plotly = await loadPlotly();
    } catch (error) {
      this.waiting.textContent = `${error.message} Choose in the table of the front below.`;
      return;
    }
    this.#draw();
  }

  /** Once it is still, and plotly has done its part. */
  #resized() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#draw(), RESIZED_MS);
  }

  async #draw() {
    if (!this.#plotly || !this.#given || !this.graph.isConnected || this.#isDrawing) return;
    this.#isDrawing = true;
    const drawn = this.#given;
    const isFirst = this.waiting.isConnected;
    this.#view = this.#viewOf(drawn);
    const layout = this.#layout(drawn, this.#view);
    await this.#plotly.react(this.graph, tracesOf(this.#scene, this.#view), layout, config());
    this.#isDrawing = false;
    this.#paint();
    if (isFirst) this.#isDrawn();
    if (drawn !== this.#given) this.#draw();
  }

  #isDrawn() {
    this.waiting.remove();
    this.graph.on("plotly_click", (event) => {
      const number = numberAt(event);
      if (number !== null) this.onSelect(number);
    });
    // plotly draws by itself when a person zooms, or the window changes.
    for (const type of ["plotly_afterplot", "plotly_relayouting"]) this.graph.on(type, () => this.#paint());
    performance.mark("scatter-drawn");
  }

  #paint() {
    if (this.#plotly) this.cloud.paint(this.#scene, this.#view, this.graph._fullLayout);
  }

  #viewOf({ axes, shade, isAroundFront, columns }) {
    const ranges = axes.map((one) => rangeOf(this.#scene, one, isAroundFront));
    const frame = this.#frame();
    const isPlane = columns.objectives.length === 2 && axes[0] !== axes[1] && axes[0] !== null;
    return { axes, shade, ranges, frame, isPlane };
  }

  /** How large the area between the axes is: as drawn last, or about as it will be. */
  #frame() {
    const { xaxis, yaxis } = this.graph._fullLayout ?? {};
    if (xaxis?._length) return { width: xaxis._length, height: yaxis._length };
    const { clientWidth, clientHeight } = this.graph;
    return { width: Math.max(100, clientWidth - 80), height: Math.max(100, clientHeight - 70) };
  }

  #layout({ axes, shade, isAroundFront, split, columns }, { ranges }) {
    const name = (one) => (one === null ? "evaluation" : `${columns.objectives[one]}  (higher is better)`);
    const layout = {
      ...baseLayout(),
      xaxis: axis(name(axes[0]), { range: ranges[0] }),
      yaxis: axis(name(axes[1]), { range: ranges[1] }),
      margin: { l: 56, r: 16, t: 8, b: 48 },
      showlegend: false,
      // A person's zoom outlives new candidates, but not another choice of what is shown.
      uirevision: JSON.stringify([axes, isAroundFront, split]),
    };
    if (shade !== null) {
      const title = { text: escaped(columns.objectives[shade]), side: "top", font: { size: 13 } };
      const [cmin, cmax] = shadeRange(this.#scene, shade);
      layout.coloraxis = { colorscale: COLOUR_SCALE, cmin, cmax, colorbar: { title, ...COLOUR_BAR } };
    }
    return layout;
  }

  /** Along the front: the right arrow to more of the first objective. */
  #step(event) {
    const front = this.#scene?.front ?? [];
    if (!front.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = front.indexOf(this.#scene.selected);
    const last = front.length - 1;
    const targets = { Home: last, End: 0 };
    const step = STEPS[event.key];
    const next = step === undefined ? targets[event.key] : at < 0 ? 0 : Math.min(last, Math.max(0, at + step));
    if (next === undefined) return;
    event.preventDefault();
    this.onSelect(this.#scene.columns.numbers[front[next]]);
  }
}
