// The commands of the live page: each form is sent as JSON under an id of its own, and what became of it is told. The
// button takes the call over with the phone of this page (phone/phone.js).
import { Refused, call } from "./phone/phone.js";

const section = document.getElementById("operate");
const words = JSON.parse(section.dataset.words);
const answer = document.getElementById("command-answer");
const tell = (command, text) => { answer.textContent = `${words[command]}: ${text}`; };

async function post(path, fields, headers = {}) {
  const answer = await fetch(`${section.dataset.base}/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": section.dataset.csrf, ...headers },
    body: JSON.stringify(fields),
  });
  return [await answer.json(), answer];
}

async function send(command, fields) {
  const [told, { ok, status }] = await post(command, fields, { "Idempotency-Key": crypto.randomUUID() });
  const problems = (told.problems ?? []).map((one) => `${one.field} ${one.problem}. ${one.fix}`);
  const plainly = status === 202 ? words.ending : words.done; // the end of a call comes after its answer
  const said = [words[told.outcome] ?? told.error ?? plainly, ...problems, told.why, told.fix];
  return [said.filter((text) => text).join(" — "), ok];
}

for (const form of section.querySelectorAll("form")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const command = form.dataset.command;
    const fields = Object.fromEntries([...new FormData(form)].filter(([, text]) => text !== ""));
    const button = form.querySelector("button");
    button.disabled = true;
    tell(command, words.asking);
    try {
      const [said, ok] = await send(command, fields);
      tell(command, said);
      if (ok && form.querySelector("input[name=text]")) form.reset(); // what was refused stays, to be sent again
    } catch {
      tell(command, words.lost);
    } finally {
      button.disabled = false;
    }
  });
}

const talk = document.getElementById("talk");
let phone = null; // while we talk with the caller

async function ticket() {
  const [told, { ok }] = await post("phone", {}).catch(() => { throw new Refused("no_network"); });
  if (!ok) throw new Refused([told.error, told.fix].filter((text) => text).join(" — "));
  return told;
}

function show(word) {
  answer.textContent = words[word] ?? word;
  talk.textContent = phone ? words.talk_end : words.talk;
}

async function hear({ state, reason }) {
  if (state === "open") show("talking");
  if (state !== "closed") return;
  const left = phone;
  phone = null;
  await left?.close();
  show(reason || "given_back");
}

talk.addEventListener("click", async () => {
  if (phone) {
    phone.hangUp();
    return;
  }
  talk.disabled = true;
  try {
    const url = new URL(talk.dataset.stream, location.href.replace(/^http/, "ws")).href;
    phone = await call({ url, ticket, typed: false, tell: hear });
  } catch (error) {
    show(error instanceof Refused ? error.word : "cannot_call");
  } finally {
    talk.disabled = false;
  }
});

// What is written and not sent stays in this tab while the page is loaded anew, as behind the form to sign in.
const PLACE = location.pathname;
const fields = [...section.querySelectorAll("input, textarea")];
const nameOf = (field) => `${field.form.dataset.command} ${field.name}`;
const written = JSON.parse(sessionStorage.getItem(PLACE) ?? "{}");
for (const field of fields) {
  field.value = written[nameOf(field)] ?? "";
  if (field.value) field.closest("details")?.setAttribute("open", "");
}
addEventListener("pagehide", () => {
  const unsent = fields.map((field) => [nameOf(field), field.value]);
  sessionStorage.setItem(PLACE, JSON.stringify(Object.fromEntries(unsent)));
});

section.inert = false; // before, a command would be sent as a form
