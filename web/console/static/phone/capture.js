// The microphone, in the audio thread: device's rate -> low-pass -> 8 kHz -> µ-law -> a message of 160 bytes every 20 ms.
// Without a device, and while muted, it sends silence: the pace of the call never stops.

import { Resampler } from "./filter.js";
import { FRAME, RATE, SILENCE, encode } from "./ulaw.js";

const NOTHING = new Float32Array(128);

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.made = new Float32Array(this.resampler.most);
    this.frame = new Uint8Array(FRAME);
    this.size = 0;
    this.peak = 0;
    this.muted = false;
    this.ended = false;
    this.line = null; // a port to the worker that holds the socket
    this.port.onmessage = ({ data }) => {
      if (data.line) this.line = data.line;
      if ("muted" in data) this.muted = data.muted;
      if (data.end) this.ended = true;
    };
  }

  process([input]) {
    const block = input[0] ?? NOTHING;
    for (let n = 0; n < block.length; n++)
      if (this.resampler.feed(block[n], this.made)) this.put(this.muted ? 0 : this.made[0]);
    return !this.ended;
  }

  put(sample) {
    this.peak = Math.max(this.peak, Math.abs(sample));
    this.frame[this.size++] = sample === 0 ? SILENCE : encode(sample);
    if (this.size < FRAME) return;
    const { frame, peak } = this;
    this.line?.postMessage({ frame, peak }, [frame.buffer]);
    this.frame = new Uint8Array(FRAME);
    this.size = this.peak = 0;
  }
}

registerProcessor("capture", Capture);
