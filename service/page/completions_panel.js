// The selected merge, the base and the experts, answering the same prompts side by side.

import { get, post, searchPath } from "./api.js";
import { announce } from "./announcements.js";
import { button, element } from "./elements.js";
import { keepPrompts, promptsOf } from "./probe_prompts.js";

const POLL_MS = 1000;
const MAX_PROMPTS = 16;

/** Holds the prompts, asks for answers and shows them. */
export class CompletionsPanel {
  #trial = null;
  #label = "";
  #timer = null;
  #isClosed = false;

  /** @param detail of the search. */
  constructor(detail) {
    this.detail = detail;
    this.prompts = element("ol", { className: "prompts" });
    this.error = element("p", { className: "field-error", role: "alert" });
    this.ask = button("Ask the models", () => this.#ask(), { className: "primary", disabled: true });
    this.adding = button("Add a prompt", () => this.#add("").querySelector("input").focus(), { className: "quiet" });
    this.status = element("p", { className: "muted caption", role: "status" });
    this.answers = element("div", { className: "answers" });
    this.box = element("div", { className: "stack" }, this.prompts,
      element("div", { className: "row" }, this.ask, this.adding), this.error, this.status, this.answers);
    promptsOf(detail).forEach((prompt) => this.#add(prompt));
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  select(trial, label) {
    if (this.#trial === null) this.ask.disabled = trial === null;
    this.#trial = trial;
    this.#label = label;
    const shown = this.answers.dataset.trial;
    if (shown && Number(shown) !== trial) this.status.textContent = `These are the answers of trial ${shown}; ask again for ${label}.`;
  }

  #add(text) {
    const input = element("input", { type: "text", value: text, maxLength: 4000, onchange: () => this.#keep() });
    const item = element("li", {}, input,
      button("✕", () => { this.#remove(item); }, { className: "quiet icon", title: "Remove" }));
    this.prompts.append(item);
    this.#number();
    return item;
  }

  #remove(item) {
    const next = item.nextElementSibling ?? item.previousElementSibling;
    item.remove();
    (next?.querySelector("input") ?? this.adding).focus();
    this.#number();
    this.#keep();
  }

  #number() {
    [...this.prompts.children].forEach((item, i) => {
      item.querySelector("input").setAttribute("aria-label", `Prompt ${i + 1}`);
      item.querySelector("button").setAttribute("aria-label", `Remove prompt ${i + 1}`);
    });
    this.adding.disabled = this.prompts.children.length >= MAX_PROMPTS;
  }

  #texts() {
    return [...this.prompts.querySelectorAll("input")].map((input) => input.value.trim()).filter(Boolean);
  }

  #keep() {
    keepPrompts(this.detail, this.#texts());
  }

  async #ask() {
    const prompts = this.#texts();
    this.error.textContent = prompts.length ? "" : "Write at least one prompt.";
    if (!prompts.length || this.#trial === null) return;
    const label = this.#label;
    this.ask.disabled = true;
    try {
      const asked = await post(searchPath(this.detail.name, "/completions"), { trial: this.#trial, prompts });
      this.#wait(asked, label);
    } catch (problem) {
      this.#end(problem.message);
    }
  }

  #wait(completions, label) {
    if (this.#isClosed) return;
    if (completions.state === "finished") {
      this.#show(completions, label);
      this.#end("");
    } else if (completions.state === "failed") {
      this.#end(completions.message);
    } else {
      this.status.textContent = completions.state === "queued" ? "Waiting for a worker …" : "The models are answering …";
      this.#timer = setTimeout(async () => {
        try {
          this.#wait(await get(`/v1/completions/${completions.id}`), label);
        } catch (problem) {
          this.#end(problem.message);
        }
      }, POLL_MS);
    }
  }

  #end(mistake) {
    this.error.textContent = mistake;
    if (mistake) this.status.textContent = "";
    this.ask.disabled = this.#trial === null;
  }

  #show({ prompts, answers, trial }, label) {
    const models = ordered(Object.keys(answers), this.detail);
    const title = (model) => (models.indexOf(model) === 0 ? label : model);
    this.answers.dataset.trial = String(trial);
    this.status.textContent = "";
    announce("The models have answered.");
    this.answers.replaceChildren(element("table", { className: "completions" },
      element("caption", { className: "visually-hidden" }, "Answers side by side"),
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "prompt"),
        models.map((model, m) => element("th", { scope: "col", className: m === 0 ? "chosen" : "" }, title(model))))),
      element("tbody", {}, prompts.map((prompt, i) => element("tr", {},
        element("th", { scope: "row" }, prompt),
        models.map((model, m) => element("td", { className: m === 0 ? "chosen" : "", data: { model: title(model) } }, answers[model][i])),
      ))),
    ));
  }
}

/** The merge first, whatever it is called, then base and experts. */
function ordered(models, detail) {
  const known = ["base", ...Object.keys(detail.specification.models?.experts ?? {})];
  return [...models.filter((model) => !known.includes(model)), ...known.filter((model) => models.includes(model))];
}
