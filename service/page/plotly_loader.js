// plotly.js, loaded once and after the page has been painted: it is 4.9 MB.

let loading = null;

/** Resolves to `Plotly`. */
export function loadPlotly() {
  loading ??= painted().then(load);
  return loading;
}

/** After the next paint; a tab in the background never paints, and need not wait. */
function painted() {
  if (document.hidden) return Promise.resolve();
  return new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
}

function load() {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/assets/plotly.min.js";
    script.addEventListener("load", () => resolve(window.Plotly));
    script.addEventListener("error", () => reject(new Error("plotly.js could not be loaded.")));
    document.head.append(script);
  });
}
