// What a screen reader is told: one polite live region for the whole page.

let last = "";

/** Says a sentence, unless it was the last one said. */
export function announce(sentence) {
  if (sentence === last) return;
  last = sentence;
  document.getElementById("announcer").textContent = sentence;
}
