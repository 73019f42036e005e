// The dominated candidates, painted on a canvas below plotly's picture: thousands of points in a few milliseconds.
//
// plotly's own answer, `scattergl`, compiles code from strings, which the page's content security policy forbids, and
// needs WebGL. So plotly holds these points for hovering and clicking only, as a trace without marks.

import { element } from "./elements.js";
import { placeOf } from "./pareto_scene.js";
import { shadeOf } from "./shades.js";
import { colour } from "./theme_toggle.js";

const RADIUS = 3.4;

/** Thousands of points must not run together into one surface. */
function paleness(nPoints) {
  return Math.max(0.12, Math.min(0.42, 0.42 * Math.sqrt(600 / nPoints)));
}

/** Paints a scene's dominated candidates where plotly's axes say. */
export class CloudCanvas {
  constructor() {
    this.canvas = element("canvas", { className: "cloud", "aria-hidden": "true" });
  }

  /** @param layout plotly's full layout of the graph, with the axes as they are drawn now. */
  paint(scene, { axes, shade }, layout) {
    const context = this.#prepared(layout);
    const { xaxis, yaxis } = layout;
    context.beginPath();
    context.rect(xaxis._offset, yaxis._offset, xaxis._length, yaxis._length);
    context.clip();
    context.globalAlpha = shade === null ? paleness(scene.dominated.length) : 0.5;
    context.fillStyle = colour("dominated");
    const colourOf = shade === null ? null : shadeOf(scene, shade);
    for (const i of scene.dominated) {
      const x = xaxis._offset + xaxis.l2p(placeOf(scene.columns, axes[0], i));
      const y = yaxis._offset + yaxis.l2p(placeOf(scene.columns, axes[1], i));
      if (colourOf) context.fillStyle = colourOf(i);
      context.beginPath();
      context.arc(x, y, RADIUS, 0, 2 * Math.PI);
      context.fill();
    }
  }

  /** Cleared and as large as the graph, in the screen's own pixels. */
  #prepared({ width, height }) {
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    const context = this.canvas.getContext("2d");
    context.scale(scale, scale);
    return context;
  }
}
