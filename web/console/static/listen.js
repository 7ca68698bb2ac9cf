// Both sides of a call, as the server sends them: steps of a tenth of a second, µ-law, the caller and then the agents.
import { DECODED, RATE } from "./phone/ulaw.js";

const STEP = 800;
const AHEAD = 0.15;
const MOST_AHEAD = 1; // seconds: what comes late, behind a network that stood still, is left out beyond this

export class Listener {
  constructor(address, onChange, onRefused) {
    this.address = address;
    this.onChange = onChange;
    this.onRefused = onRefused;
    this.abort = null;
  }

  toggle() {
    if (this.abort) this.stop();
    else this.start();
  }

  stop() {
    this.abort?.abort();
    this.abort = null;
    this.onChange(false);
  }

  async start() {
    const abort = (this.abort = new AbortController());
    const context = new AudioContext();
    this.onChange(true);
    try {
      const answer = await fetch(this.address, { signal: abort.signal });
      if (!answer.ok) this.onRefused(await answer.json().catch(() => ({})));
      else await this.play(answer.body.getReader(), context);
    } catch { /* stopped, or the connection is lost: the button says so */ }
    context.close();
    if (this.abort === abort) this.stop();
  }

  async play(reader, context) {
    let rest = new Uint8Array();
    let next = 0;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const bytes = new Uint8Array(rest.length + value.length);
      bytes.set(rest);
      bytes.set(value, rest.length);
      let used = 0;
      for (; bytes.length - used >= 2 * STEP; used += 2 * STEP) {
        next = Math.max(next, context.currentTime + AHEAD);
        if (next > context.currentTime + MOST_AHEAD) continue;
        this.playStep(bytes.subarray(used, used + 2 * STEP), context, next);
        next += STEP / RATE;
      }
      rest = bytes.slice(used);
    }
  }

  playStep(bytes, context, when) {
    const buffer = context.createBuffer(2, STEP, RATE);
    for (const side of [0, 1]) {
      buffer.copyToChannel(Float32Array.from(bytes.subarray(side * STEP, (side + 1) * STEP), (byte) => DECODED[byte]), side);
    }
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    source.start(when);
  }
}
