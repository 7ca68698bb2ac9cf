// The loudspeaker, in the audio thread: µ-law of any length -> jitter buffer -> low-pass -> the device's rate.
// A mark is answered when what came before it is at the ear; `clear` drops the rest, and answers every mark.

import { Resampler } from "./filter.js";
import { DECODED, RATE } from "./ulaw.js";

const START = 0.06 * RATE; // samples that wait before play begins …
const PATIENCE = 0.08; // … unless the first of them has waited for so many seconds
const FADE = 0.003 * RATE; // samples that are faded out by `clear`: a cut clicks
const TELL = 0.1; // seconds between two levels

class Play extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(RATE, sampleRate);
    this.made = new Float32Array(this.resampler.most);
    this.count = this.next = 0; // of `made`
    this.queue = []; // bytes, and marks between them
    this.at = 0; // in the first of the queue
    this.waiting = 0; // samples in the queue
    this.since = null; // when the first of them came
    this.playing = false;
    this.tail = 0; // silent samples until the filter is empty
    this.fade = 0; // samples at 8 kHz that are left of a fade
    this.due = []; // marks on their way to the ear
    this.latency = 0; // seconds from here to the ear, which the page tells
    this.peak = this.told = 0;
    this.ended = false;
    this.line = null; // a port to the worker that holds the socket
    const take = ({ data }) => this.take(data);
    this.port.onmessage = ({ data }) => {
      if (data.line) (this.line = data.line).onmessage = take;
      else if ("latency" in data) this.latency = data.latency;
      else if (data.end) this.ended = true;
    };
  }

  take(data) {
    if (data.audio?.length) {
      this.queue.push(data.audio);
      this.waiting += data.audio.length;
      this.since ??= currentTime;
    } else if (data.mark !== undefined) this.queue.push({ mark: data.mark });
    else if (data.clear) this.clear();
  }

  clear() {
    const [first] = this.queue, marks = this.queue.filter((item) => item.mark !== undefined);
    for (const { mark } of [...this.due, ...marks]) this.line?.postMessage({ mark });
    const rest = this.playing && first?.subarray ? first.subarray(this.at, this.at + FADE) : [];
    this.queue = rest.length ? [rest] : [];
    this.at = 0;
    this.waiting = this.fade = rest.length;
    this.due = [];
    if (!this.playing) this.since = null;
  }

  /** Return the next sample at the device's rate, which leaves here at `when`; null if there is none. */
  pull(when) {
    while (this.next === this.count) {
      const item = this.queue[0];
      if (item?.mark !== undefined) this.markDue(when + this.resampler.half / RATE);
      else if (item) this.feed(this.takeSample(item));
      else if (this.tail-- > 0) this.feed(0);
      else return null;
    }
    return this.made[this.next++];
  }

  feed(sample) {
    this.count = this.resampler.feed(sample, this.made);
    this.next = 0;
  }

  takeSample(bytes) {
    const sample = DECODED[bytes[this.at++]] * (this.fade > 0 ? this.fade-- / FADE : 1);
    this.waiting -= 1;
    this.tail = this.resampler.taps;
    if (this.at === bytes.length) {
      this.queue.shift();
      this.at = 0;
    }
    return sample;
  }

  markDue(when) {
    this.due.push({ mark: this.queue.shift().mark, at: when + this.latency });
  }

  begin() {
    while (this.queue[0]?.mark !== undefined) this.markDue(currentTime); // nothing is left to be played before them
    const late = this.since !== null && currentTime - this.since >= PATIENCE;
    this.playing = this.waiting >= START || (late && this.waiting > 0);
  }

  rest() { // run dry: collect again before going on
    this.playing = false;
    this.since = null;
  }

  process(_, [output]) {
    const block = output[0];
    if (!this.playing) this.begin();
    for (let n = 0; this.playing && n < block.length; n++) {
      const sample = this.pull(currentTime + n / sampleRate);
      if (sample === null) this.rest();
      else {
        block[n] = sample;
        this.peak = Math.max(this.peak, Math.abs(sample));
      }
    }
    for (let channel = 1; channel < output.length; channel++) output[channel].set(block);
    this.answer(currentTime + block.length / sampleRate);
    return !this.ended;
  }

  answer(until) {
    while (this.due.length && this.due[0].at <= until) this.line?.postMessage({ mark: this.due.shift().mark });
    if (currentTime - this.told < TELL) return;
    this.port.postMessage({ level: this.peak });
    this.told = currentTime;
    this.peak = 0;
  }
}

registerProcessor("play", Play);
