// Where the service's errors are shown: beside their fields, the rest in a summary, the first one focused.

import { element } from "./elements.js";

/** Takes a problem apart; everything that was typed stays. */
export class FormProblems {
  constructor() {
    this.summary = element("div", { className: "notice notice-error", role: "alert", tabIndex: -1, hidden: true });
  }

  clear(form) {
    this.summary.hidden = true;
    this.summary.replaceChildren();
    form.fields.forEach((field) => field.clear());
    form.rowSets.forEach((rows) => rows.clearError());
  }

  /** @param isFormShown whether there are fields to show errors beside; else all go into the summary. */
  show(problem, form, isFormShown) {
    const failed = [];
    const others = [];
    for (const { key, detail } of problem.errors) {
      const place = isFormShown ? placeOf(key, form) : null;
      if (place?.fail) place.fail(detail);
      else if (place) place.error.textContent = detail;
      else others.push(key && !detail.includes(key) ? `${key}: ${detail}` : detail);
      if (place) failed.push(place);
    }
    this.#summarise(problem, failed.length, others);
    const first = form.fields.find((field) => failed.includes(field));
    (first?.control ?? failed[0]?.adding ?? this.summary).focus();
  }

  #summarise(problem, nFailed, others) {
    this.summary.hidden = false;
    const head = nFailed
      ? `${nFailed === 1 ? "One field needs" : `${nFailed} fields need`} a correction; nothing has been launched.`
      : others.length ? "The specification cannot be taken; nothing has been launched." : problem.message;
    this.summary.replaceChildren(element("p", {}, element("strong", {}, head)),
      ...(others.length ? [element("ul", {}, others.map((text) => element("li", {}, text)))] : []));
  }
}

/** The field whose key it is, or the one nearest above it; a set of rows for what lies in none of its rows. */
function placeOf(key, form) {
  const within = (outer) => key === outer || key.startsWith(`${outer}.`) || key.startsWith(`${outer}[`);
  const exact = form.fields.find((field) => field.key() === key && !field.box.closest("[hidden]"));
  if (exact) return exact;
  const above = form.fields
    .filter((field) => within(field.key()) && !field.box.closest("[hidden]"))
    .sort((a, b) => b.key().length - a.key().length)[0];
  return above ?? form.rowSets.find((rows) => within(rows.key)) ?? null;
}
