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

// Put new rows in the place of the old ones; the keyboard's focus stays on its link.
function put(rows) {
  const held = list.contains(document.activeElement) ? document.activeElement.href : null;
  list.replaceChildren(...rows);
  if (held) [...list.querySelectorAll("a")].find((link) => link.href === held)?.focus({ preventScroll: true });
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
