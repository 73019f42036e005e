// What is known of the selected merge: values with their errors, on held-out examples too, and its parameters.

import { button, element } from "./elements.js";
import { signed, significant } from "./numbers.js";
import { scoredNumber } from "./scored_number.js";

const HOLDOUT = "@holdout";

/** Shows a `TrialDetail`. */
export class TrialDetails {
  constructor() {
    this.box = element("div", { className: "trial-details" });
    this.clear();
  }

  clear() {
    this.box.replaceChildren(element("p", { className: "muted empty" }, "Nothing is selected yet."));
  }

  fail(message) {
    this.box.replaceChildren(element("p", { className: "field-error", role: "alert" }, message));
  }

  /** @param search the name that the file of parameters begins with. */
  update(trial, search, objectives) {
    const names = measuresOf(trial, objectives);
    const hasHeldOut = names.some((name) => trial.scores[name + HOLDOUT]);
    const heads = ["search", ...(hasHeldOut ? ["held out", "gap"] : [])];
    this.box.replaceChildren(
      element("div", { className: "scores-holder" }, element("table", { className: "scores" },
        element("caption", { className: "visually-hidden" }, `Scores of ${trial.landmark ?? `trial ${trial.number}`}`),
        element("thead", {}, element("tr", {}, element("td"), heads.map((head) => element("th", { scope: "col" }, head)))),
        element("tbody", {}, names.map((name) => row(trial, name, hasHeldOut))),
      )),
      ...(hasHeldOut ? [] : [element("p", { className: "muted caption" }, "Held-out scores come when the search ends.")]),
      element("div", { className: "row spread" },
        element("p", { className: "muted caption" }, timings(trial)),
        button("Parameters (JSON)", () => download(trial, search), { className: "small" }),
      ),
    );
  }
}

/** The objectives first, then what is only reported. */
function measuresOf(trial, objectives) {
  const reported = Object.keys(trial.scores).map((name) => name.replace(HOLDOUT, ""));
  return [...new Set([...objectives, ...reported])];
}

function row(trial, name, hasHeldOut) {
  const held = trial.scores[name + HOLDOUT];
  const value = trial.values[name];
  const cells = [scoredNumber(value, trial.standard_errors[name])];
  if (hasHeldOut) {
    cells.push(scoredNumber(held?.value, held?.standard_error));
    cells.push(held && value !== undefined ? signed(held.value - value) : "");
  }
  return element("tr", {}, element("th", { scope: "row" }, name), cells.map((content) => element("td", {}, content)));
}

function timings(trial) {
  const stopped = trial.share < 1 ? ` Racing stopped it at ${significant(100 * trial.share)} % of the examples.` : "";
  const without = trial.gradient_failure ? ` It has no gradients: ${trial.gradient_failure}` : "";
  return `Made in ${significant(trial.make_s)} s, scored in ${significant(trial.score_s)} s.${stopped}${without}`;
}

function download(trial, search) {
  const { number, landmark, values, standard_errors: errors, params, coefficients } = trial;
  const content = { search, trial: number, landmark, values, standard_errors: errors, params, coefficients };
  const url = URL.createObjectURL(new Blob([JSON.stringify(content, null, 2)], { type: "application/json" }));
  element("a", { href: url, download: `${search}-trial-${number}.json` }).click();
  // The download has begun by then.
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
