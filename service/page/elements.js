// DOM elements as expressions: a tag, its attributes, its children.

/**
 * An element. Attributes that begin with `on` are listeners, `data` holds data attributes; what is an element's
 * property, such as `value` or `disabled`, is set as one. Text is always text, never markup.
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(made, name, value);
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

function setAttribute(made, name, value) {
  if (value === null || value === undefined) return;
  if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
  else if (name === "data") Object.assign(made.dataset, value);
  else if (name in made && name !== "list" && name !== "form") made[name] = value;
  else if (value !== false) made.setAttribute(name, value === true ? "" : value);
}

/** A button that submits nothing. */
export function button(label, onclick, attributes = {}) {
  return element("button", { type: "button", onclick, ...attributes }, label);
}

/** A section with its heading, named by it; `aside` stands at the right of the heading. */
export function card(title, attributes = {}, ...children) {
  const { aside = null, ...rest } = attributes;
  const id = `card-${title.toLowerCase().replaceAll(/[^a-z]+/g, "-")}`;
  return element(
    "section",
    { ...rest, className: `card ${rest.className ?? ""}`, "aria-labelledby": id },
    element("div", { className: "card-head" }, element("h2", { id }, title), aside),
    ...children,
  );
}

let nIds = 0;

/** An id that no other element has. */
export function freshId(prefix) {
  nIds += 1;
  return `${prefix}-${nIds}`;
}
