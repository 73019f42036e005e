// The form that launches a search: by fields, or as the whole specification in text.

import { get, post } from "./api.js";
import { announce } from "./announcements.js";
import { button, element, freshId } from "./elements.js";
import { FormProblems } from "./form_problems.js";
import { addressOf } from "./routes.js";
import { SpecificationForm } from "./specification_form.js";

// What was typed outlives a look at another view.
let draft = null;

/** Shows the form; `#/new?demo` fills in the demonstration. */
export function showLaunchForm(container) {
  document.title = "New search · paretomerge";
  const view = new LaunchForm();
  container.append(view.box);
  view.open(location.hash.endsWith("?demo"));
  return () => {
    draft = view.draft();
  };
}

class LaunchForm {
  #isText = false;
  #isLaunched = false;

  constructor() {
    const textId = freshId("specification");
    this.problems = new FormProblems();
    this.text = element("textarea", { id: textId, rows: 24, spellcheck: false, className: "code" });
    this.textBox = element("section", { className: "card form-section", hidden: true },
      element("label", { htmlFor: textId, className: "as-heading" }, "Specification, as JSON or YAML"),
      element("p", { className: "hint" }, "Everything that docs/specification.md has, also what the form has not."), this.text);
    this.demo = button("Fill in the demo", () => this.#fillDemo(), { disabled: true });
    this.switching = button("Edit as text", () => this.#switch(), { disabled: true, "aria-pressed": "false" });
    this.launch = element("button", { type: "submit", className: "primary", disabled: true }, "Launch the search");
    this.holder = element("div", { className: "form-holder" }, element("div", { className: "card placeholder" }));
    this.form = element("form", { noValidate: true, onsubmit: (event) => { event.preventDefault(); this.#launch(); } },
      this.problems.summary, this.holder, this.textBox, element("div", { className: "row end form-actions" }, this.launch));
    this.box = element("div", { className: "launch" },
      element("div", { className: "row spread page-head" }, element("h1", { className: "page-title" }, "New search"),
        element("div", { className: "row" }, this.demo, this.switching)),
      this.form);
  }

  async open(isDemo) {
    try {
      this.choices = await get("/v1/choices");
    } catch (problem) {
      this.holder.replaceChildren(element("p", { className: "notice notice-error", role: "alert" }, problem.message));
      return;
    }
    this.fields = new SpecificationForm(this.choices);
    this.holder.replaceChildren(this.fields.box);
    for (const one of [this.demo, this.switching, this.launch]) one.disabled = false;
    if (isDemo) this.#fillDemo();
    else if (draft) this.#restore(draft);
  }

  /** What was typed so far, to be shown again. */
  draft() {
    if (this.#isLaunched) return null;
    if (!this.fields) return draft;
    return this.#isText ? { text: this.text.value } : { specification: this.fields.read() };
  }

  #restore({ text, specification }) {
    if (specification) this.fields.fill(specification);
    if (text !== undefined) this.#showText(text);
  }

  #fillDemo() {
    this.problems.clear(this.fields);
    const { demo } = this.choices;
    this.fields.fill(demo);
    if (this.#isText) this.text.value = JSON.stringify(demo, null, 2);
    announce("The form is filled in with the demonstration.");
    this.launch.focus({ preventScroll: true });
  }

  #switch() {
    this.problems.clear(this.fields);
    if (!this.#isText) {
      this.#showText(JSON.stringify(this.fields.read(), null, 2));
      this.text.focus();
      return;
    }
    const specification = parsed(this.text.value);
    if (specification === null) {
      this.problems.show({ message: "Only JSON can be shown as a form. Launch the text as it is, or start the form anew.", errors: [] }, this.fields, false);
      return;
    }
    this.fields.fill(specification);
    this.#showForm();
  }

  #showText(text) {
    this.text.value = text;
    this.#toggle(true);
  }

  #showForm() {
    this.#toggle(false);
  }

  #toggle(isText) {
    this.#isText = isText;
    this.textBox.hidden = !isText;
    this.holder.hidden = isText;
    this.switching.textContent = isText ? "Edit as a form" : "Edit as text";
    this.switching.setAttribute("aria-pressed", String(isText));
  }

  async #launch() {
    this.problems.clear(this.fields);
    if (!this.#isText && !this.#areNamesRight()) return;
    this.launch.disabled = true;
    try {
      const search = await this.#post();
      this.#isLaunched = true;
      location.hash = addressOf(search.name);
    } catch (problem) {
      this.problems.show(problem, this.fields, !this.#isText);
    } finally {
      this.launch.disabled = false;
    }
  }

  #post() {
    if (!this.#isText) return post("/v1/searches", this.fields.read());
    const type = parsed(this.text.value) === null ? "application/yaml" : "application/json";
    return post("/v1/searches", this.text.value, type);
  }

  /** An object has every key once: what cannot be read from the rows is said here. */
  #areNamesRight() {
    const areRight = this.fields.rowSets.map((rows) => rows.check()).every(Boolean);
    if (!areRight) this.fields.fields.find((field) => field.error.textContent).control.focus();
    return areRight;
  }
}

function parsed(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
