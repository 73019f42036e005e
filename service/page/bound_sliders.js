// One slider per objective: "at least …" gives the best merge of the front that reaches it.

import { get, searchPath } from "./api.js";
import { button, element, freshId } from "./elements.js";
import { shown } from "./numbers.js";

const N_STEPS = 200;
// A slider that is being dragged asks no more often.
const PAUSE_MS = 150;

/** Asks the service for the best merge under the bounds that are set. */
export class BoundSliders {
  #timer = null;
  #asked = 0;
  #sliders;

  /** @param onFound takes the number of the best merge, or null when no bound is set any more. */
  constructor(search, objectives, onFound) {
    this.search = search;
    this.onFound = onFound;
    this.error = element("p", { className: "field-error", role: "alert" });
    this.#sliders = objectives.map((name) => this.#slider(name));
    this.clearing = button("Clear", () => this.clear(), { className: "small quiet", disabled: true });
    const id = freshId("bounds");
    this.box = element("div", { className: "sliders", role: "group", "aria-labelledby": id },
      element("div", { className: "row spread" }, element("h3", { id }, "At least …"), this.clearing),
      this.#sliders.map((slider) => slider.row), this.error);
  }

  /** Takes the front's ranges; a bound that is set stays where it is. */
  update(front) {
    for (const slider of this.#sliders) {
      const values = front.front.map((trial) => trial.values[slider.name]);
      if (!values.length) continue;
      slider.low = Math.min(...values);
      slider.high = Math.max(...values);
      slider.input.disabled = slider.high <= slider.low;
      const position = ((slider.bound - slider.low) / (slider.high - slider.low)) * N_STEPS;
      // At the left end there is no bound.
      slider.input.value = slider.bound === null ? "0" : String(Math.max(1, Math.round(position)));
      this.#show(slider);
    }
    if (this.#set().length) this.#ask();
  }

  /** Back to no bound, without asking for anything. */
  reset() {
    clearTimeout(this.#timer);
    this.#asked += 1;
    this.error.textContent = "";
    for (const slider of this.#sliders) {
      slider.bound = null;
      slider.input.value = "0";
      this.#show(slider);
    }
  }

  clear() {
    this.reset();
    this.onFound(null);
  }

  #slider(name) {
    const id = freshId("bound");
    const slider = { name, low: 0, high: 0, bound: null };
    slider.output = element("output", { htmlFor: id, className: "bound" }, "any");
    slider.input = element("input", {
      id, type: "range", min: "0", max: String(N_STEPS), step: "1", value: "0", disabled: true,
      oninput: () => this.#moved(slider),
    });
    slider.row = element("div", { className: "slider" }, element("label", { htmlFor: id }, name), slider.output, slider.input);
    return slider;
  }

  /** The sliders with a bound. */
  #set() {
    return this.#sliders.filter((slider) => slider.bound !== null);
  }

  #show(slider) {
    const { bound } = slider;
    slider.output.textContent = bound === null ? "any" : `≥ ${shown(bound)}`;
    slider.input.setAttribute("aria-valuetext", bound === null ? "any" : `at least ${shown(bound)}`);
    slider.input.style.setProperty("--filled", `${Number(slider.input.value) / (N_STEPS / 100)}%`);
    this.clearing.disabled = !this.#set().length;
  }

  #moved(slider) {
    const share = Number(slider.input.value) / N_STEPS;
    slider.bound = share === 0 ? null : slider.low + share * (slider.high - slider.low);
    this.#show(slider);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), PAUSE_MS);
  }

  async #ask() {
    const bounded = this.#set();
    this.#asked += 1;
    const asked = this.#asked;
    if (!bounded.length) {
      this.error.textContent = "";
      this.onFound(null);
      return;
    }
    // A hair below: the bound at the right end is a value of the front itself, and must not be missed by rounding.
    const query = bounded.map(({ name, bound }) => `where=${encodeURIComponent(`${name}>=${bound - 1e-9 * Math.abs(bound)}`)}`);
    try {
      const front = await get(searchPath(this.search, `/front?${query.join("&")}`));
      if (asked !== this.#asked) return;
      this.error.textContent = "";
      this.onFound(front.selected);
    } catch (problem) {
      if (asked === this.#asked) this.error.textContent = problem.message;
    }
  }
}
