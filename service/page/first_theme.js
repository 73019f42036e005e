// Sets the chosen colours before the first paint: a plain script, so that the page never flashes in the other ones.
(() => {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
