// The calls that go on now: asked for every few seconds, and not while the page is hidden.
const section = document.getElementById("live");
const list = section.querySelector("ul");
const empty = section.querySelector("[data-empty]");
const EVERY_MS = 3000;

function row(call) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = `/console/calls/${encodeURIComponent(call.name)}`;
  const dot = document.createElement("span");
  dot.className = "dot";
  link.textContent = call.caller;
  const about = document.createElement("span");
  about.className = "soft";
  about.textContent = ` ${call.direction} · ${call.status} · ${call.started}`;
  item.append(dot, " ", link, about);
  return item;
}

const keyOf = (item) => `${item.querySelector("a").href} ${item.textContent.trim()}`;

// Rows that say the same stay, so a screen reader reads the new ones only; the keyboard's focus stays on its link.
function put(rows) {
  const held = list.contains(document.activeElement) ? document.activeElement.href : null;
  const old = new Map([...list.children].map((item) => [keyOf(item), item]));
  const wanted = rows.map((item) => old.get(keyOf(item)) ?? item);
  for (const item of old.values()) if (!wanted.includes(item)) item.remove();
  wanted.forEach((item, place) => {
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
  });
  if (held === null || document.activeElement.href === held) return;
  [...list.querySelectorAll("a")].find((link) => link.href === held)?.focus({ preventScroll: true });
}

let shown = null;
async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch(`/console/live?numbers=${section.dataset.numbers}`);
      if (answer.status === 401) location.reload(); // the session is over: the form to sign in takes the page's place
      const text = answer.ok ? await answer.text() : shown;
      if (text !== shown && text !== null) {
        const calls = JSON.parse(text).calls;
        if (shown !== null || calls.length !== list.children.length) put(calls.map(row));
        empty.hidden = calls.length > 0;
        shown = text;
      }
    } catch { /* the server is away: the next try tells */ }
  }
  setTimeout(refresh, EVERY_MS);
}
refresh();
