// What is said in a call, as its journal tells it: the caller's words, the agents', and what of them nobody heard.

const MOST_ROWS = 300;
const NEAR_END = 40; // pixels

export function shown(seconds) {
  const parts = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  return parts.slice(parts[0] ? 0 : 1).map((part, place) => String(part).padStart(place ? 2 : 1, "0")).join(":");
}

/** Keep a log at its end, unless its reader has scrolled back. */
export function stayAtEnd(log) {
  let stays = true;
  log.addEventListener("scroll", () => { stays = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END; });
  const follow = () => { if (stays) log.scrollTop = log.scrollHeight; };
  new MutationObserver(follow).observe(log, { childList: true, subtree: true, characterData: true });
}

/** Add a line to a list or a log; the oldest lines go. */
export function add(list, text, className = "") {
  const item = document.createElement(list.classList.contains("log") ? "div" : "li");
  item.className = className;
  item.textContent = text;
  list.append(item);
  while (list.children.length > MOST_ROWS) list.firstChild.remove();
  return item;
}

/** The words of one call, in a log. `words` has `caller`, `not_heard` and `barge_in`. */
export class Conversation {
  constructor(log, words) {
    Object.assign(this, { log, words });
    stayAtEnd(log);
    this.begin();
  }

  begin() {
    this.replies = new Map();
    this.log.replaceChildren();
  }

  /** Show one fact of the journal; most change nothing here. */
  take(fact) {
    if (fact.event === "turn_heard") this.line(fact, "caller", this.words.caller).textContent = fact.text;
    else if (fact.event === "reply_text") this.reply(fact);
    else if (fact.event === "reply_ended") this.replyEnded(fact);
    else if (fact.event === "barge_in") this.note(fact, this.words.barge_in);
  }

  note(fact, text) { add(this.log, `${shown(fact.at)} ${text}`, "note"); }

  line(fact, className, speaker) {
    const item = add(this.log, "", className), name = document.createElement("b"), text = document.createElement("span");
    name.textContent = `${shown(fact.at)} ${speaker}: `;
    item.append(name, text);
    return text;
  }

  replyOf(fact) {
    const key = `${fact.agent}/${fact.generation}`;
    if (!this.replies.has(key)) this.replies.set(key, this.line(fact, "agent", fact.agent).appendChild(new Text()));
    return this.replies.get(key);
  }

  // A screen reader reads what is new in a text that grows; of another text in its place it would read all.
  reply(fact) {
    const said = this.replyOf(fact);
    said.appendData(`${said.data && " "}${fact.text}`);
  }

  replyEnded(fact) {
    if (fact.complete || fact.heard === fact.text) return;
    const unheard = document.createElement("del"), note = document.createElement("bdi"); // ours, behind words from right to left
    unheard.textContent = fact.text.startsWith(fact.heard) ? fact.text.slice(fact.heard.length) : fact.text;
    unheard.title = this.words.not_heard;
    note.textContent = `(${this.words.not_heard})`;
    const said = this.replyOf(fact);
    said.data = fact.heard;
    said.after(" ", unheard, " ", note);
  }
}
