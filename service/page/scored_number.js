// A value with its standard error, as the tables show it.

import { element } from "./elements.js";
import { shown } from "./numbers.js";

/** Both, the error smaller; nothing where there is no value. */
export function scoredNumber(value, error) {
  if (value === undefined || value === null) return [];
  if (error === null || error === undefined) return [shown(value)];
  return [element("span", {}, shown(value)), element("span", { className: "pm" }, ` ± ${shown(error)}`)];
}
