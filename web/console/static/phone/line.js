// The line, in a worker: holds the socket, where a busy or hidden page cannot hold it up, and speaks Media Streams
// (https://www.twilio.com/docs/voice/media-streams/websocket-messages) as Twilio does. The audio threads send and
// receive here directly; the page only opens the line, presses keys and hangs up.

import { FRAME } from "./ulaw.js";

const FRAME_MS = 20;
const BACKLOG = 16_000; // bytes that wait for the network, a second: more are dropped, for late sound helps nobody
const STALLED = 50; // frames dropped in a row, a second, are told
const LEVEL_EVERY = 5; // frames

let socket, ports, streamSid = "";
let sequence = 0, chunk = 0, captured = 0, dropped = 0, peak = 0;
let said = []; // frames that are said in place of the microphone's

const isOpen = () => socket?.readyState === WebSocket.OPEN;
const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

function send(event, body) {
  if (!isOpen()) return;
  sequence += 1;
  socket.send(JSON.stringify({ event, sequenceNumber: String(sequence), ...body, streamSid }));
}

function open({ url, accountSid, callSid, token, ...more }) {
  streamSid = more.streamSid;
  socket = new WebSocket(url);
  socket.onopen = () => {
    socket.send(JSON.stringify({ event: "connected", protocol: "Call", version: "1.0.0" }));
    const mediaFormat = { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 };
    const customParameters = { token };
    send("start", { start: { accountSid, streamSid, callSid, tracks: ["inbound"], mediaFormat, customParameters } });
    postMessage({ state: "open" });
  };
  socket.onmessage = ({ data }) => receive(JSON.parse(data));
  socket.onclose = ({ code, reason }) => postMessage({ state: "closed", code, reason });
}

function receive({ event, media, mark }) {
  if (event === "media") {
    const audio = bytes(media.payload);
    ports.playback.postMessage({ audio }, [audio.buffer]);
  } else if (event === "mark") ports.playback.postMessage({ mark: mark.name });
  else if (event === "clear") ports.playback.postMessage({ clear: true });
}

function onFrame({ frame, peak: loudest }) {
  if (!isOpen()) return;
  const words = said.shift();
  captured += 1;
  peak = Math.max(peak, loudest);
  if (words) ports.echo.postMessage({ audio: words });
  if (socket.bufferedAmount >= BACKLOG) {
    dropped += 1;
    if (dropped === STALLED) postMessage({ stalled: true });
  } else sendFrame(words ?? frame);
  if (captured % LEVEL_EVERY) return;
  postMessage({ level: peak, saying: said.length > 0 });
  peak = 0;
}

function sendFrame(frame) {
  if (dropped >= STALLED) postMessage({ stalled: false });
  dropped = 0;
  const timestamp = String(FRAME_MS * (captured - 1));
  chunk += 1;
  send("media", { media: { track: "inbound", chunk: String(chunk), timestamp, payload: base64(frame) } });
}

function say(audio) {
  for (let at = 0; at < audio.length; at += FRAME) said.push(audio.slice(at, at + FRAME));
}

function hangUp({ accountSid, callSid }) {
  send("stop", { stop: { accountSid, callSid } });
  socket?.close(1000);
}

onmessage = ({ data }) => {
  if (data.ports) {
    ports = data.ports;
    ports.capture.onmessage = (message) => onFrame(message.data);
    ports.playback.onmessage = (message) => send("mark", { mark: { name: message.data.mark } });
  } else if (data.open) open(data.open);
  else if (data.digit) send("dtmf", { dtmf: { track: "inbound_track", digit: data.digit } });
  else if (data.say) say(data.say);
  else if (data.hangUp) hangUp(data.hangUp);
};
