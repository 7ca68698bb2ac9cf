// A part of a page that is asked for again every few seconds, and not while the page is hidden.
const PATIENCE_MS = 10_000; // for an answer: a network that carries nothing breaks no connection
const away = document.getElementById("away");

/**
 * Hand the document at `address()`, if it names one, to `show`, and so on every `every` milliseconds; each wait is
 * longer than the one before, up to `slowest`.
 */
export function renew(address, every, show, slowest = every, wait = every) {
  const again = (after, next) => setTimeout(renew, after, address, every, show, slowest, next);
  const wanted = document.hidden ? null : address();
  if (wanted === null) {
    again(every, every);
    return;
  }
  ask(wanted, (told) => {
    again(wait, Math.min(1.5 * wait, slowest)); // where the server is away, or tells what cannot be shown, the next try tells
    away.hidden = told !== null;
    if (told !== null) show(told);
  });
}

/** Hand the document at an address to `show`: null where the server has none. */
export function ask(address, show) {
  const asked = new XMLHttpRequest(); // it parses a document, in which nothing is run or loaded
  asked.responseType = "document";
  asked.addEventListener("loadend", () => {
    if (asked.status === 401) location.reload(); // the session is over: the form to sign in takes the page's place
    show(asked.status === 200 ? asked.response : null);
  });
  asked.open("GET", address);
  asked.timeout = PATIENCE_MS;
  asked.send();
}

/** Change what is in a box; the keyboard's focus stays on its link. */
export function replace(box, change) {
  const held = box.contains(document.activeElement) ? document.activeElement.href : null;
  change();
  if (held === null || document.activeElement.href === held) return;
  [...box.querySelectorAll("a")].find((link) => link.href === held)?.focus({ preventScroll: true });
}
