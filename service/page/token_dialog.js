// The dialog that asks for the service's token, once for all calls that wait for it.

import { element, freshId } from "./elements.js";

let asking = null;

/**
 * Resolves when a token has been taken.
 *
 * @param show tries one and says whether it was right; it may throw when the service is out of reach.
 */
export function askForToken(show) {
  asking ??= ask(show).finally(() => {
    asking = null;
  });
  return asking;
}

function ask(show) {
  const errorId = freshId("token-error");
  const error = element("p", { id: errorId, className: "field-error", role: "alert" });
  const input = element("input", {
    type: "password", id: "token", required: true, autocomplete: "current-password", "aria-describedby": errorId,
  });
  const form = element(
    "form",
    { className: "stack" },
    element("h2", { id: "token-title" }, "This service asks for a token"),
    element("p", { className: "muted" }, "It is the PARETOMERGE_TOKEN with which the service was started. "
      + "The page shows it once and keeps a cookie that scripts cannot read."),
    element("div", { className: "field" }, element("label", { htmlFor: "token" }, "Token"), input, error),
    element("div", { className: "row end" }, element("button", { type: "submit", className: "primary" }, "Continue")),
  );
  const dialog = element("dialog", { className: "dialog", "aria-labelledby": "token-title" }, form);
  // Without a token there is nothing to go back to.
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      error.textContent = await mistakeOf(show, input.value.trim());
      if (error.textContent) {
        input.setAttribute("aria-invalid", "true");
        input.select();
        return;
      }
      dialog.close();
      dialog.remove();
      resolve();
    });
  });
}

async function mistakeOf(show, token) {
  try {
    return (await show(token)) ? "" : "This is not the service's token. Look where the service was started.";
  } catch (problem) {
    return problem.message;
  }
}
