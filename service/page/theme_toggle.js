// Light or dark: as the system says, or as the person has chosen with the button.

const system = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;
// Reading a style makes the browser work out all of them; a drawing asks for a dozen.
const known = new Map();

/** Whether the page is dark now. */
export function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
}

/** Calls back whenever the colours have changed; returns how to end that. */
export function onThemeChange(callback) {
  document.addEventListener("themechange", callback);
  return () => document.removeEventListener("themechange", callback);
}

/** A colour of the style sheet, for what is drawn by script. */
export function colour(name) {
  if (!known.has(name)) known.set(name, getComputedStyle(root).getPropertyValue(`--${name}`).trim());
  return known.get(name);
}

/** Lets the button switch, and follows the system until it has been used. */
export function connectThemeToggle(button) {
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  const changed = () => {
    known.clear();
    show();
    document.dispatchEvent(new Event("themechange"));
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    changed();
  });
  system.addEventListener("change", changed);
  show();
}
