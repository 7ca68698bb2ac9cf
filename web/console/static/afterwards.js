// One cursor through picture and transcript, moved by the recording; a click on either moves the recording.
import { renew } from "./renew.js";

const audio = document.getElementById("audio");
const picture = document.getElementById("picture");
const cursor = document.getElementById("cursor");
const follow = document.getElementById("follow");
const map = picture ? JSON.parse(picture.dataset.map) : null;
const turns = [...document.querySelectorAll(".turn")];
let marked = null;

function bandAt(seconds) {
  return map.bands.find(([start, end]) => seconds >= start && seconds < end) ?? map.bands.at(-1);
}

function moveCursor(seconds) {
  if (!map) return;
  const [start, end, top, height, left, right] = bandAt(seconds);
  const part = Math.min(1, Math.max(0, (seconds - start) / (end - start)));
  cursor.hidden = false;
  cursor.style.left = `${(100 * (left + part * (right - left))) / map.width}%`;
  cursor.style.top = `${(100 * top) / map.height}%`;
  cursor.style.height = `${(100 * height) / map.height}%`;
  if (follow.checked && !audio.paused) showBand(cursor, picture.parentElement);
}

// A long picture scrolls in its place; the page is left where it is.
function showBand(band, box) {
  const end = band.offsetTop + band.offsetHeight;
  if (band.offsetTop < box.scrollTop || end > box.scrollTop + box.clientHeight) box.scrollTop = band.offsetTop;
}

function markTurn(seconds) {
  let now = null;
  for (const turn of turns) if (Number(turn.dataset.start) <= seconds + 0.05) now = turn;
  if (now === marked) return;
  marked?.removeAttribute("aria-current");
  now?.setAttribute("aria-current", "true");
  marked = now;
  if (follow.checked && now && !audio.paused) now.scrollIntoView({ block: "nearest" });
}

function show() {
  moveCursor(audio.currentTime);
  markTurn(audio.currentTime);
}

function everyFrame() {
  show();
  if (!audio.paused) requestAnimationFrame(everyFrame);
}

function hear(seconds) {
  audio.currentTime = seconds;
  audio.play().catch(() => {});
}

function secondsAt(event) {
  const box = picture.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * map.width;
  const y = ((event.clientY - box.top) / box.height) * map.height;
  const band = map.bands.find(([, , top, height]) => y >= top && y <= top + height);
  if (!band) return null;
  const [start, end, , , left, right] = band;
  return x < left ? null : start + Math.min(1, (x - left) / (right - left)) * (end - start);
}

// Which side is heard: the caller is the left channel, the agents are the right one; each is played to both ears.
function sides(select) {
  let gains = null;
  select.addEventListener("change", () => {
    if (!gains) {
      const context = new AudioContext();
      const source = context.createMediaElementSource(audio);
      const splitter = context.createChannelSplitter(2);
      gains = [0, 1].map((channel) => {
        const gain = context.createGain();
        splitter.connect(gain, channel);
        gain.connect(context.destination);
        return gain;
      });
      source.connect(splitter);
      context.resume();
    }
    gains[0].gain.value = select.value === "agents" ? 0 : 1;
    gains[1].gain.value = select.value === "caller" ? 0 : 1;
  });
}

if (audio) {
  audio.addEventListener("play", everyFrame);
  for (const name of ["seeked", "timeupdate", "pause"]) audio.addEventListener(name, show);
  for (const button of document.querySelectorAll("[data-seek]")) {
    button.addEventListener("click", () => hear(Number(button.dataset.seek)));
  }
  picture?.addEventListener("click", (event) => {
    const seconds = secondsAt(event);
    if (seconds !== null) hear(seconds);
  });
  sides(document.getElementById("channels"));
}

// A call that was put through may come back to an agent: its live page, or what became of it, takes the place of this.
const unsettled = (page) => page.querySelector("[data-unsettled]") !== null;
// Of some calls nobody ever says what did: those are asked about once a minute.
const settled = (told) => unsettled(told) || location.reload();
if (unsettled(document)) renew(() => location.href, 3000, settled, 60_000);
