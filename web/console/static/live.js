// One call as it goes on: its journal, event by event, becomes what the page shows. The browser keeps the last id, and
// sends it when the connection was lost; the server goes on behind it, or says `reset`.
import { Conversation, add, shown, stayAtEnd } from "./conversation.js";
import { Listener } from "./listen.js";

const RENEW_MS = 3000;
const QUIET_MS = 5000; // without `now`, which comes four times a second: the network carries nothing
const PAST_MS = 1000; // for what was before; a screen reader would read all of it out
const call = document.getElementById("call");
const words = JSON.parse(call.dataset.words);
const deadlines = JSON.parse(call.dataset.deadlines);
const byId = (id) => document.getElementById(id);
const say = (text) => { byId("connection").textContent = text; };

const conversation = new Conversation(byId("words"), words);
stayAtEnd(byId("journal"));

let state = null;
function begin() {
  state = { sessions: new Map(), handoff: null, softly: false };
  conversation.begin();
  for (const id of ["handoff", "troubles", "journal"]) byId(id).replaceChildren();
  byId("no-handoff").hidden = byId("no-troubles").hidden = false;
  byId("floor").textContent = words.vacant;
  for (const region of [byId("floor"), byId("words"), byId("troubles")]) {
    region.setAttribute("aria-live", "off");
    setTimeout(() => region.setAttribute("aria-live", "polite"), PAST_MS);
  }
}

function trouble(fact, text) {
  byId("no-troubles").hidden = true;
  add(byId("troubles"), `${shown(fact.at)} ${text}`);
}

function step(fact, text, deadline = 0) {
  byId("no-handoff").hidden = true;
  const since = state.handoff === null ? 0 : Math.max(0, fact.at - state.handoff);
  const within = deadline ? ` (${words.within} ${deadline} s)` : "";
  add(byId("handoff"), `+${since.toFixed(2)} s ${text}${within}`);
}

// A handoff goes to another agent than the one that has the floor.
function offerOthers(holder) {
  const choice = document.querySelector("#operate [name=to]");
  if (choice === null) return; // a roster of one agent
  const others = [...choice.options].filter((option) => option.value !== holder);
  for (const option of choice.options) option.disabled = !others.includes(option);
  if (choice.value === holder) choice.value = others[0]?.value ?? "";
}

const inHandoff = () => state.handoff !== null;

// What each fact of the journal changes; facts that are not here are in the journal's list only.
const ON = {
  session_connecting(fact) {
    state.sessions.set(fact.incarnation, fact.why);
    if (fact.why === "handoff") step(fact, `${words.session_connecting}: ${fact.agent}`, deadlines.start);
  },
  session_ready(fact) {
    if (inHandoff()) step(fact, `${words.session_ready}: ${fact.agent}`);
  },
  session_failed(fact) {
    if (inHandoff()) step(fact, `${words.session_failed}: ${fact.error}`);
    trouble(fact, `${fact.agent}: ${fact.error}`);
  },
  floor_taken(fact) {
    const told = words[state.softly ? "handoff" : state.sessions.get(fact.incarnation)], why = told ? `: ${told}` : "";
    state.softly = false; // an operator has no session; an agent may have that of the one before
    byId("floor").textContent = `${fact.agent} ${words.holds}, ${words.since} ${shown(fact.at)}${why}.`;
    offerOthers(fact.agent);
  },
  floor_left(fact) {
    byId("floor").textContent = `${words.vacant} (${fact.agent}: ${fact.reason})`;
  },
  handoff_asked(fact) {
    state.handoff = fact.at;
    byId("handoff").replaceChildren();
    step(fact, `${fact.agent} → ${fact.to} ${words.asked}: ${fact.reason}`);
  },
  summary_started(fact) { if (inHandoff()) step(fact, words.brief_asked, deadlines.brief); },
  summary_failed(fact) { if (inHandoff()) step(fact, `${words.brief_failed}: ${fact.why}`); },
  brief_ready(fact) { if (inHandoff()) step(fact, `${words.brief_ready}: ${fact.source}`); },
  handoff_committed(fact) {
    step(fact, fact.how === "hard" ? words.committed : `${words.committed} (${fact.how})`);
    state.softly = fact.how === "soft";
  },
  soft_handoff_given_up(fact) { step(fact, `${words.not_softly}: ${fact.why}`); },
  handoff_gap(fact) {
    step(fact, `${words.gap} ${fact.gap.toFixed(2)} s`);
    state.handoff = null;
  },
  handoff_failed(fact) {
    step(fact, `${words.failed}: ${fact.why}`);
    trouble(fact, `${fact.agent} → ${fact.to}: ${fact.why}`);
    state.handoff = null;
  },
  handoff_withdrawn(fact) {
    step(fact, words.withdrawn);
    state.handoff = null;
  },
  session_crashed(fact) { trouble(fact, `${fact.agent} ${words.crashed}: ${fact.error}`); },
  session_restarting(fact) {
    trouble(fact, `${fact.agent} ${words.restarting} ${fact.delay.toFixed(2)} s: ${fact.why}`);
  },
  restarts_exhausted(fact) { trouble(fact, `${fact.agent}: ${words.exhausted}: ${fact.error}`); },
  actor_crashed(fact) { trouble(fact, `${fact.actor} ${words.crashed}: ${fact.error}`); },
  writing_refused(fact) { trouble(fact, `${words.writing_refused}: ${fact.why}`); },
  silence_met(fact) {
    trouble(fact, `${fact.agent}: ${words.silent} ${fact.seconds.toFixed(1)} s, ${words.filled_by} ${fact.filled_by}`);
  },
  command_answered(fact) {
    const asked = Object.values(fact.fields).join(" · ");
    conversation.note(fact, `${words.operator} (${fact.by}): ${fact.command} ${asked} — ${fact.outcome} ${fact.why}`);
  },
  listening_started(fact) { conversation.note(fact, words.listening); },
  listening_ended(fact) { conversation.note(fact, words.listening_ended); },
};

function onFact(fact) {
  conversation.take(fact);
  if (Object.hasOwn(ON, fact.event)) ON[fact.event](fact);
  const { seq, at, event, ...rest } = fact;
  add(byId("journal"), `${at.toFixed(2)} ${event} ${JSON.stringify(rest)}`);
}

function turnText([caller, voice, debt, phase], sounding) {
  if (caller === "heard") return words.caller_heard;
  if (sounding || voice === "coming") return words.coming; // a service sends faster than a line plays
  return phase === "conversing" ? words[debt] : phase.replaceAll("_", " ");
}

function onNow(now) {
  if (now.at !== undefined) byId("clock").textContent = shown(now.at);
  [byId("level-caller").value, byId("level-agents").value] = now.levels;
  if (now.turn) byId("turn").textContent = turnText(now.turn, now.sounding);
  const silent = now.silent ?? 0;
  byId("silence").max = deadlines.silence;
  byId("silence").value = silent;
  byId("silence-text").textContent = `${silent.toFixed(1)} s ${words.of_at_most} ${deadlines.silence} s`;
  if (now.tasks) showTasks(now.tasks);
}

function showTasks(tasks) {
  const items = tasks.map(([depth, name, waitsFor, at]) => {
    const item = document.createElement("li");
    item.className = `depth-${Math.min(depth, 6)}`;
    const waits = document.createElement("span");
    waits.className = "soft";
    waits.textContent = ` ${words.waits_for} ${waitsFor}`;
    waits.title = at;
    item.append(name, waits);
    return item;
  });
  byId("tasks").replaceChildren(...items);
}

// Load the page anew once the server answers: while it restarts, the browser or a proxy has an error in its place.
async function renew() {
  const answer = await fetch(location.href, { method: "HEAD" }).catch(() => null);
  if (answer !== null && answer.status < 500) location.reload();
  else {
    say(words.lost);
    setTimeout(renew, RENEW_MS);
  }
}

let wasOpen = false;
function connect(again = false) {
  const events = new EventSource(`${call.dataset.base}/events`);
  let quiet = 0;
  const beat = () => {
    clearTimeout(quiet);
    quiet = setTimeout(connectAgain, QUIET_MS, events);
  };
  if (again) {
    beat();
    events.addEventListener("open", begin, { once: true }); // it is told all of the call
  }
  events.addEventListener("open", () => {
    wasOpen = true;
    say(words.connected);
  });
  events.addEventListener("reset", begin);
  events.addEventListener("fact", (event) => onFact(JSON.parse(event.data)));
  events.addEventListener("now", (event) => {
    beat();
    onNow(JSON.parse(event.data));
  });
  events.addEventListener("missing", (event) => add(byId("journal"), `${words.missing} ${JSON.parse(event.data).count}`));
  events.addEventListener("over", () => {
    clearTimeout(quiet);
    events.close();
    listener.stop();
    say(words.over);
    setTimeout(renew, RENEW_MS / 2);
  });
  events.addEventListener("error", () => {
    const { worker } = call.dataset, never = wasOpen ? words.lost : words.ringing;
    const closed = worker ? `${words.out_of_reach} ${worker}` : never;
    say(events.readyState === EventSource.CLOSED ? closed : words.lost);
    if (events.readyState !== EventSource.CLOSED) return;
    clearTimeout(quiet);
    setTimeout(renew, RENEW_MS);
  });
}

// A connection that carries nothing more may be open for many minutes, for the browser.
function connectAgain(events) {
  events.close();
  listener.stop();
  say(words.lost);
  connect(true);
}

const button = byId("listen");
const listener = new Listener(`${call.dataset.base}/audio`, (on) => {
  button.textContent = on ? words.stop_listening : words.listen;
}, ({ error, fix }) => say(error ? `${error} — ${fix}` : words.not_here));
button.addEventListener("click", () => listener.toggle());
begin();
say(words.connecting);
connect();
