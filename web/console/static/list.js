// The calls that go on now: asked for every few seconds.
import { renew } from "./renew.js";

const section = document.getElementById("live");
const list = section.querySelector("ul");
const keyOf = (item) => `${item.querySelector("a").href} ${item.querySelector(".soft").textContent}`;
const nowOf = (item) => item.querySelector(".now");

// Rows of the same call and state stay, so a screen reader reads the new ones only; what is said now changes in them.
// The keyboard's focus stays on its link.
function put(rows) {
  const held = list.contains(document.activeElement) ? document.activeElement.href : null;
  const old = new Map([...list.children].map((item) => [keyOf(item), item]));
  const wanted = rows.map((item) => old.get(keyOf(item)) ?? item);
  wanted.forEach((item, place) => item === rows[place] || nowOf(item).replaceChildren(...nowOf(rows[place]).childNodes));
  for (const item of old.values()) if (!wanted.includes(item)) item.remove();
  wanted.forEach((item, place) => {
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
  });
  section.querySelector("[data-empty]").hidden = rows.length > 0;
  if (held === null || document.activeElement.href === held) return;
  [...list.querySelectorAll("a")].find((link) => link.href === held)?.focus({ preventScroll: true });
}

renew(() => `/console/live?numbers=${section.dataset.numbers}`, 3000, (told) => put([...told.querySelectorAll("li")]));
