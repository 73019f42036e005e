// How plots look: the style sheet's colours and the system's font, for plotly.

import { colour } from "./theme_toggle.js";

export const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

/** What plotly may do with a figure beside drawing it. */
export function config() {
  return {
    displaylogo: false,
    responsive: true,
    doubleClick: "reset",
    // plotly's own image would lack what is painted on the canvas; `paretomerge front --plot` makes one.
    modeBarButtonsToRemove: ["toImage", "select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
  };
}

/** What all figures share. */
export function baseLayout() {
  return {
    font: { family: FONT, size: 13, color: colour("ink") },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hovermode: "closest",
    hoverlabel: {
      align: "left", bgcolor: colour("raised"), bordercolor: colour("line-strong"),
      font: { family: FONT, size: 13, color: colour("ink") },
    },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("accent") },
    // A finger scrolls the page; it would else drag a zoom box.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
  };
}

/** An axis with its title. */
export function axis(title, more = {}) {
  return {
    title: { text: escaped(title), standoff: 12, font: { size: 13 } },
    gridcolor: colour("grid"),
    linecolor: colour("line-strong"),
    zeroline: false,
    showline: true,
    automargin: true,
    ...more,
  };
}

/** A name as plotly's markup takes it. */
export function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** A name inside a hover template, where `%{…}` has a meaning. */
export function inTemplate(text) {
  return escaped(text).replaceAll("%{", "%\u200b{");
}
