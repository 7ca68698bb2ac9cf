// The calls that go on now: asked for every few seconds. Once one of them is over, so are the others that are.
import { ask, renew, replace } from "./renew.js";

const section = document.getElementById("live");
const list = section.querySelector("ul");
const results = document.getElementById("results");
const addressOf = (item) => item.querySelector("a").href;
const keyOf = (item) => `${addressOf(item)} ${item.querySelector(".soft").textContent}`;
const nowOf = (item) => item.querySelector(".now");
let rounds = 0; // until the calls that are over are asked for: the record of one comes a moment after its end

// Rows of the same call and state stay, so a screen reader reads the new ones only; what is said now changes in them.
function put(rows) {
  const old = new Map([...list.children].map((item) => [keyOf(item), item]));
  const wanted = rows.map((item) => old.get(keyOf(item)) ?? item);
  wanted.forEach((item, place) => item === rows[place] || nowOf(item).replaceChildren(...nowOf(rows[place]).childNodes));
  for (const item of old.values()) if (!wanted.includes(item)) item.remove();
  wanted.forEach((item, place) => {
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
  });
  section.querySelector("[data-empty]").hidden = rows.length > 0;
}

function show(told) {
  const rows = [...told.querySelectorAll("li")], going = new Set(rows.map(addressOf));
  if (![...list.children].map(addressOf).every((address) => going.has(address))) rounds ||= 3;
  replace(list, () => put(rows));
  if (rounds > 0 && --rounds === 0) ask(location.href, (page) => {
    const found = page?.getElementById("results");
    if (found) replace(results, () => results.replaceChildren(...found.childNodes));
  });
}

renew(() => `/console/live?numbers=${section.dataset.numbers}`, 3000, show);
