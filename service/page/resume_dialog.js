// The dialog that asks how many evaluations a resumed search may have.

import { button, element } from "./elements.js";
import { counted, grouped, isSpent, spentOf } from "./numbers.js";

/** Resolves to the budget, or to null when the search shall stay as it is. */
export function askForBudget(detail) {
  const { name, budget } = detail;
  const isUsedUp = isSpent(detail);
  const input = element("input", {
    id: "budget", type: "number", min: String(budget), step: "1", required: true,
    value: String(isUsedUp ? budget + Math.max(50, Math.round(budget / 2)) : budget), "aria-describedby": "budget-hint",
  });
  const hint = isUsedUp
    ? `All ${grouped(budget)} evaluations are done: give it more.`
    : `${spentOf(detail, counted(budget, "evaluation")).join("")} are done. It goes on where it stopped.`;
  const dialog = element("dialog", { className: "dialog", "aria-labelledby": "resume-title" });
  const form = element("form", { method: "dialog", className: "stack" },
    element("h2", { id: "resume-title" }, `Resume ${name}`),
    element("div", { className: "field" },
      element("label", { htmlFor: "budget" }, "Evaluations in all"), input,
      element("p", { id: "budget-hint", className: "hint" }, hint)),
    element("div", { className: "row end" },
      button("Cancel", () => dialog.close()), element("button", { type: "submit", className: "primary", value: "resume" }, "Resume")),
  );
  dialog.append(form);
  document.body.append(dialog);
  dialog.showModal();
  input.select();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "resume" ? Number(input.value) : null);
    });
  });
}
