// One call from this page. Everything timed is in the audio threads and in the worker; this opens and closes them, and
// turns errors into the names of sentences (`phone_told` in web/console/english.toml).

const HERE = new URL(".", import.meta.url);
const LATENCY_EVERY = 500; // ms
const PATIENCE = 10_000; // ms, of each step to an open line: a network that carries nothing breaks no connection

const REASONS = {
  NotAllowedError: "microphone_refused",
  NotFoundError: "no_microphone",
  NotReadableError: "microphone_taken",
  OverconstrainedError: "microphone_gone",
};

/** Why there is no call; `word` names the sentence that says it. */
export class Refused extends Error {
  constructor(word) {
    super(word);
    this.word = word;
  }
}

// Trusted Types: the one address of a script that a string may become.
const scripts = globalThis.trustedTypes?.createPolicy("line", { createScriptURL: () => new URL("line.js", HERE).href });
const LINE = scripts?.createScriptURL("") ?? new URL("line.js", HERE);

/** Ask for a microphone: the one with this id, or any. */
export async function microphone(deviceId) {
  const chosen = deviceId ? { deviceId: { exact: deviceId } } : {};
  const clean = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, ...overrides };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, ...clean, ...chosen } });
  } catch (error) {
    throw new Refused(REASONS[error.name] ?? "no_microphone");
  }
}

const overrides = {}; // a test that compares levels wants the microphone as it is

/** Have microphones opened with these constraints instead of the usual ones. */
export const constrain = (constraints) => Object.assign(overrides, constraints);

/**
 * Begin a call; call this from a click. `ticket` asks the server for the call's token; `typed` calls have no
 * microphone; `tell` hears of everything that the page shows.
 */
export async function call({ url, ticket, typed, deviceId, sinkId, tell }) {
  if (!globalThis.isSecureContext || !globalThis.AudioWorkletNode) throw new Refused("insecure");
  const context = new AudioContext({ latencyHint: "interactive" });
  const phone = new Phone(context, tell);
  try {
    context.resume(); // within the click
    if (!typed) await phone.listen(await microphone(deviceId));
    const late = new Promise((_, fail) => { setTimeout(fail, PATIENCE, new Refused("no_network")); });
    await Promise.race([phone.connect(url, ticket, sinkId), late]);
  } catch (error) {
    await phone.close();
    throw error;
  }
  return phone;
}

class Phone {
  constructor(context, tell) {
    this.context = context;
    this.tell = tell;
    this.stream = null;
    this.source = null;
    this.capture = null;
    this.worker = null;
    this.open = true;
  }

  /** Take the caller's voice from `stream` from now on. */
  async listen(stream) {
    this.source?.disconnect();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = stream;
    this.source = this.context.createMediaStreamSource(stream);
    if (this.capture) this.source.connect(this.capture);
    const [track] = stream.getAudioTracks();
    track.onended = () => this.tell({ word: "microphone_gone" });
  }

  async connect(url, ticket, sinkId) {
    const { context } = this;
    const parts = ["capture.js", "play.js"].map((name) => context.audioWorklet.addModule(new URL(name, HERE)));
    await Promise.all(parts).catch((error) => { // an AbortError: it was not fetched
      throw error.name === "AbortError" ? new Refused("no_network") : error;
    });
    const { accountSid, callSid, streamSid, token } = await ticket();
    this.call = { accountSid, callSid };
    await this.hearOn(sinkId);
    if (!this.open) return; // given up meanwhile
    this.build();
    this.opening = setTimeout(() => this.tell({ state: "closed", reason: "line_lost" }), PATIENCE);
    this.worker.postMessage({ open: { url, accountSid, callSid, streamSid, token } });
  }

  build() {
    const { context } = this, mono = { channelCount: 1, channelCountMode: "explicit" };
    const player = () => new AudioWorkletNode(context, "play", { numberOfInputs: 0, outputChannelCount: [1] });
    this.capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 1, ...mono });
    this.source?.connect(this.capture);
    this.capture.connect(context.destination); // it is silent there; a node that leads nowhere may not run
    this.playback = player();
    this.playback.connect(context.destination);
    this.echo = player(); // of what is typed
    this.echo.connect(context.destination);
    this.playback.port.onmessage = ({ data }) => this.tell({ theirs: data.level });
    this.echo.port.onmessage = ({ data }) => this.tell({ said: data.level });
    this.worker = new Worker(LINE, { type: "module" });
    this.worker.onmessage = ({ data }) => {
      if (data.state) clearTimeout(this.opening);
      this.tell(data);
      if (data.state === "open" && context.state !== "running") this.tell({ context: context.state }); // no loudspeaker
    };
    this.join();
    this.measure();
    this.timer = setInterval(() => this.measure(), LATENCY_EVERY);
    context.onstatechange = () => this.open && this.tell({ context: context.state }); // "interrupted" while a phone rings
  }

  /** Give each audio thread a line of its own to the worker: the page is not in the way of the sound. */
  join() {
    const ports = {};
    for (const name of ["capture", "playback", "echo"]) {
      const { port1, port2 } = new MessageChannel();
      this[name].port.postMessage({ line: port1 }, [port1]);
      ports[name] = port2;
    }
    this.worker.postMessage({ ports }, Object.values(ports));
  }

  measure() { // older Safari has no outputLatency; its marks are early by so much
    const latency = this.context.outputLatency || this.context.baseLatency || 0;
    this.playback.port.postMessage({ latency });
  }

  /** Play on the loudspeaker with this id, where the browser lets one choose. */
  async hearOn(sinkId) {
    if (sinkId && this.context.setSinkId) await this.context.setSinkId(sinkId).catch(() => this.tell({ word: "no_loudspeaker" }));
  }

  mute(muted) {
    this.capture.port.postMessage({ muted });
  }

  press(digit) {
    this.worker.postMessage({ digit });
  }

  /** Say these bytes in place of the microphone, at the pace of speech. */
  say(audio) {
    this.worker.postMessage({ say: audio });
  }

  hangUp() {
    this.worker?.postMessage({ hangUp: this.call });
  }

  /** Give everything back; the line is closed already. */
  async close() {
    if (!this.open) return;
    this.open = false;
    clearInterval(this.timer);
    clearTimeout(this.opening);
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    for (const node of [this.capture, this.playback, this.echo]) node?.port.postMessage({ end: true });
    this.worker?.terminate();
    await this.context.close();
  }
}
