// The page of the phone: it reads the buttons and shows the call. Its words come with the page (`phone_told` in web/console/english.toml).

import { Conversation, shown } from "../conversation.js";
import { Refused, call, microphone } from "./phone.js";

const find = (id) => document.querySelector(`#${id}`);
const root = find("phone"), typed = "typed" in root.dataset;
const words = find("words").content;
const TALKING = [...document.querySelectorAll(".key, .line, #mute, #sentence, #say")];
const GOOD_NEWS = 5000; // ms for which it stays
const AGAIN = 1000; // ms after a refusal until the words are asked for again
const PULSE = 1500; // ms between two small requests while a call goes on, and for one of them
const MISSED = 2; // of them in a row: the network stalls
const DECAY = 0.7; // of a level, each time it is shown

let phone = null; // the call there is
let began = 0;
let leaving = false; // whether we have hung up
const levels = { mine: 0, theirs: 0 };

const word = (name) => words.querySelector(`[data-word="${CSS.escape(name)}"]`)?.textContent ?? name;
const say = (name) => { find("status").textContent = word(name); };
const warn = (name) => { find("notice").textContent = name ? word(name) : ""; };
const cheer = (name) => {
  warn(name);
  setTimeout(() => { if (find("notice").textContent === word(name)) warn(""); }, GOOD_NEWS);
};

/** Post to the server; a refusal comes back as the name of its sentence. */
async function post(path, body = {}) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": root.dataset.csrf };
  let answer;
  try {
    answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  } catch {
    throw new Refused("no_network");
  }
  if (answer.ok) return answer;
  const { word: reason } = await answer.json().catch(() => ({}));
  throw new Refused(reason ?? (answer.status === 401 || answer.status === 403 ? "signed_out" : "server_failed"));
}

const said = new Conversation(find("said"), JSON.parse(find("said").dataset.words));
let journal = null; // of the last call

/** Show what is said in the call, from its agent's first sound: by then the server knows the call. */
function follow() {
  const events = new EventSource(`${find("watch").firstChild.href}/events`);
  const again = () => { if (phone && journal === events) follow(); };
  journal = events;
  events.addEventListener("open", () => said.begin(), { once: true });
  events.addEventListener("reset", () => said.begin());
  events.addEventListener("fact", ({ data }) => said.take(JSON.parse(data)));
  events.addEventListener("over", () => events.close());
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) setTimeout(again, AGAIN); // a refusal: else the browser comes back
  });
}

const ticket = async () => {
  const ids = await (await post("/console/phone/token")).json();
  const [link] = find("watch").children;
  link.href = `/console/calls/${ids.callSid}`;
  return ids;
};

async function start() {
  warn("");
  say("calling");
  journal?.close();
  journal = null;
  said.begin();
  find("call").disabled = true;
  const url = new URL(root.dataset.stream, location.href.replace(/^http/, "ws")).href;
  const chosen = { deviceId: find("microphone")?.value, sinkId: find("loudspeaker").value };
  try {
    phone = await call({ url, ticket, typed, ...chosen, tell: hear });
  } catch (error) {
    find("call").disabled = false;
    find("call").focus();
    say("ready");
    warn(error instanceof Refused ? error.word : "cannot_call");
    if (!(error instanceof Refused)) throw error;
  }
  await listDevices();
}

const NEWS = {
  state: ({ state, code, reason }) => (state === "open" ? opened() : closed(code, reason)),
  level: ({ level }) => show("mine", typed ? 0 : level),
  said: ({ said }) => show("mine", said),
  theirs: ({ theirs }) => heard(theirs),
  stalled: ({ stalled }) => (stalled ? warn("stalled") : cheer("line_back")),
  context: ({ context }) => warn(context === "running" ? "" : "interrupted"),
  word: ({ word: name }) => warn(name),
};

/** Take one message from the call. */
function hear(news) {
  for (const [name, react] of Object.entries(NEWS)) if (name in news) react(news);
}

function heard(level) {
  if (level > 0 && !journal) follow();
  show("theirs", level);
}

function opened() {
  began = Date.now();
  leaving = false;
  say("connected");
  for (const line of document.querySelectorAll(".said")) line.classList.remove("said");
  inCall(true);
  (typed ? document.querySelector(".line") : find("hang-up")).focus();
}

async function closed(code, reason) {
  const left = phone, known = reason && words.querySelector(`[data-word="${CSS.escape(reason)}"]`);
  phone = null;
  inCall(false);
  await left?.close();
  say(leaving ? "caller_hung_up" : known ? reason : ENDS[code] ?? "line_lost");
  find("call").focus();
}

const ENDS = { 1000: "over", 1005: "over", 1008: "refused", 1013: "full" };

function inCall(talking) {
  find("call").hidden = talking;
  find("call").disabled = false;
  find("hang-up").hidden = !talking;
  find("watch").hidden = !talking && !began;
  for (const control of TALKING) control.disabled = !talking;
  find("mute")?.setAttribute("aria-pressed", "false");
  show("mine", 0);
  show("theirs", 0);
}

function show(name, level) {
  levels[name] = phone ? Math.max(level, levels[name] * DECAY) : 0; // of a call that is over nothing sounds
  find(name).value = Math.sqrt(levels[name]); // as loud as it sounds
}

/** Say a sentence; return whether it could be. */
async function speak(sentence) {
  warn("");
  try {
    const answer = await post("/console/phone/say", { text: sentence });
    phone?.say(new Uint8Array(await answer.arrayBuffer()));
    return true;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    warn(error.word);
    return false;
  }
}

function press(digit) {
  phone?.press(digit);
  const key = document.querySelector(`.key[data-digit="${CSS.escape(digit)}"]`);
  key.classList.add("pressed");
  setTimeout(() => key.classList.remove("pressed"), 150);
}

async function listDevices() {
  const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  const lists = { audioinput: find("microphone"), audiooutput: find("loudspeaker") };
  for (const [kind, list] of Object.entries(lists)) {
    if (!list) continue;
    const chosen = list.value, named = devices.filter((device) => device.kind === kind && device.deviceId && device.label);
    list.replaceChildren(list.options[0], ...named.map((device) => new Option(device.label, device.deviceId)));
    list.value = named.some((device) => device.deviceId === chosen) ? chosen : "";
  }
}

async function changeMicrophone() {
  try {
    if (phone) await phone.listen(await microphone(find("microphone").value));
    warn("");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    warn(error.word);
  }
}

// Browser and kernel take in many seconds of sound before a network that stalls is felt on the line itself.
let missed = 0;
async function feelPulse() {
  const before = phone ? missed : 0;
  if (phone) {
    const asked = fetch(import.meta.url, { method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(PULSE) });
    missed = await asked.then(() => 0, () => before + 1);
  }
  if (phone && before < MISSED && missed === MISSED) hear({ stalled: true });
  if (phone && before >= MISSED && missed === 0) hear({ stalled: false });
  setTimeout(feelPulse, PULSE);
}

find("call").addEventListener("click", start);
inCall(false); // Firefox keeps what was enabled before the page was loaded again
find("hang-up").addEventListener("click", () => {
  leaving = true;
  phone?.hangUp();
});
find("mute")?.addEventListener("click", ({ currentTarget: button }) => {
  const muted = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(muted));
  phone?.mute(muted);
  say(muted ? "muted" : "connected");
});
find("microphone")?.addEventListener("change", changeMicrophone);
find("loudspeaker").addEventListener("change", ({ currentTarget: list }) => phone?.hearOn(list.value));
find("type")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = find("sentence"), sentence = field.value;
  field.value = "";
  if (!(await speak(sentence)) && field.value === "") field.value = sentence; // to be said again
});
for (const line of document.querySelectorAll(".line")) {
  line.addEventListener("click", () => {
    line.classList.add("said");
    speak(line.textContent);
  });
}
for (const key of document.querySelectorAll(".key")) key.addEventListener("click", () => press(key.dataset.digit));
document.addEventListener("keydown", ({ key, target, ctrlKey, metaKey, altKey }) => {
  const writes = target.matches("input, select, textarea") || ctrlKey || metaKey || altKey;
  if (phone && !writes && /^[0-9*#]$/.test(key)) press(key);
});
addEventListener("offline", () => warn("no_network"));
addEventListener("online", () => (phone ? cheer("line_back") : warn("")));
navigator.mediaDevices?.addEventListener("devicechange", listDevices);
setInterval(() => {
  if (!phone) return;
  find("clock").textContent = shown((Date.now() - began) / 1000);
}, 500);

feelPulse();
if (!isSecureContext) warn("insecure");
listDevices();
