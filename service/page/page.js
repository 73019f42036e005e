// The page's start: which view is shown for an address, one at a time.

import { element } from "./elements.js";
import { showLaunchForm } from "./launch_form.js";
import { currentRoute } from "./routes.js";
import { showSearchList } from "./search_list.js";
import { showSearch } from "./search_view.js";
import { connectThemeToggle } from "./theme_toggle.js";

const VIEWS = { searches: showSearchList, new: showLaunchForm, search: showSearch, unknown: showUnknown };
const main = document.getElementById("main");
let close = () => {};

function show(isFirst) {
  const place = currentRoute();
  close();
  main.replaceChildren();
  main.className = `view-${place.route}`;
  close = VIEWS[place.route](main, place) ?? (() => {});
  for (const link of document.querySelectorAll("nav [data-route]")) {
    if (link.dataset.route === (place.route === "search" ? "searches" : place.route)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (isFirst) return;
  window.scrollTo(0, 0);
  main.focus({ preventScroll: true });
}

function showUnknown(container) {
  document.title = "Not found · paretomerge";
  container.append(
    element("h1", { className: "page-title" }, "There is nothing here"),
    element("p", {}, element("a", { href: "#/" }, "Go to the searches")),
  );
}

connectThemeToggle(document.getElementById("theme-toggle"));
document.querySelector(".skip-link").addEventListener("click", (event) => {
  // The address belongs to the views.
  event.preventDefault();
  main.focus();
});
window.addEventListener("hashchange", () => show(false));
show(true);
