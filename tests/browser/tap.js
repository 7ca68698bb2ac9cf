// For tests only: when sound that leaves a node begins and ends, in the time of the audio thread.
class Tap extends AudioWorkletProcessor {
  constructor() {
    super();
    this.loud = false;
    this.quiet = 0;
  }
  process([input]) {
    const block = input[0] ?? [];
    for (let n = 0; n < block.length; n++) {
      const loud = Math.abs(block[n]) > 0.02, at = (currentFrame + n) / sampleRate;
      if (loud && !this.loud) this.tell("on", at);
      this.quiet = loud ? 0 : this.quiet + 1;
      if (this.loud && this.quiet > 96) this.tell("off", at - 96 / sampleRate);
    }
    return true;
  }
  tell(what, at) {
    this.loud = what === "on";
    this.port.postMessage({ what, at, now: currentTime, wall: Date.now() / 1000 });
  }
}
registerProcessor("tap", Tap);
