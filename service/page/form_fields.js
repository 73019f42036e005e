// Fields of a form: a label, a control, a hint and a place for what is wrong, tied together.

import { element, freshId } from "./elements.js";

/**
 * One control with all that belongs to it.
 *
 * `key` says where its value stands in a specification, as errors name it; it may change with another field.
 */
export class Field {
  /** @param options `{control, hint, isNarrow}`; without a control it is a line of text. */
  constructor(label, key, { control = null, hint = "", isNarrow = false } = {}) {
    const id = freshId("field");
    this.key = typeof key === "function" ? key : () => key;
    this.control = control ?? element("input", { type: "text", spellcheck: false, autocomplete: "off" });
    this.control.id = id;
    this.error = element("p", { id: `${id}-error`, className: "field-error" });
    this.control.setAttribute("aria-describedby", hint ? `${id}-hint ${id}-error` : `${id}-error`);
    this.box = element("div", { className: isNarrow ? "field narrow" : "field" },
      element("label", { htmlFor: id }, label), this.control,
      hint ? element("p", { id: `${id}-hint`, className: "hint" }, hint) : null, this.error);
    this.control.addEventListener("input", () => this.clear());
  }

  get value() {
    return this.control.value.trim();
  }

  set value(value) {
    this.control.value = value ?? "";
  }

  /** The number that was typed; undefined where the field is empty. */
  get number() {
    return this.value === "" ? undefined : Number(this.value);
  }

  fail(mistake) {
    this.error.textContent = [this.error.textContent, mistake].filter(Boolean).join(" ");
    this.control.setAttribute("aria-invalid", "true");
  }

  clear() {
    this.error.textContent = "";
    this.control.removeAttribute("aria-invalid");
  }
}

/** A number; `any` allows fractions. */
export function numberInput(attributes = {}) {
  return element("input", { type: "number", step: "1", ...attributes });
}

/** A choice of one; `first` is a line that chooses nothing. */
export function selectInput(values, first = null) {
  const options = values.map((value) => element("option", { value }, value));
  return element("select", {}, first === null ? options : [element("option", { value: "" }, first), ...options]);
}

/** A line of text with suggestions from a `datalist`. */
export function suggestedInput(listId, attributes = {}) {
  return element("input", { type: "text", list: listId, spellcheck: false, autocomplete: "off", ...attributes });
}

/** Suggestions for inputs that name this id. */
export function suggestions(id, values) {
  return element("datalist", { id }, values.map((value) => element("option", { value })));
}
