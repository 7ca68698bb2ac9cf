// For tests only: what the audio thread is told and what it answers, and when sound that leaves a node begins and ends,
// in the time of that thread, which stands still where a busy machine does. It is loaded before the page's own modules.
const noted = [];
const note = (what, at, name = "") => noted.push({ what, at, name, now: currentTime, wall: Date.now() / 1000 });

const { get, set } = Object.getOwnPropertyDescriptor(MessagePort.prototype, "onmessage");
Object.defineProperty(MessagePort.prototype, "onmessage", {
  get,
  set(hear) {
    set.call(this, (event) => {
      const { audio, mark, clear } = event.data;
      if (audio) note("audio", currentTime);
      else if (mark !== undefined) note("mark", currentTime, mark);
      else if (clear) note("clear", currentTime);
      hear(event);
    });
  },
});

const { postMessage } = MessagePort.prototype;
MessagePort.prototype.postMessage = function (data, ...more) {
  if (data.mark !== undefined) note("answer", currentTime, data.mark);
  if (data.frame) note("frame", currentTime, data.frame.join());
  return postMessage.call(this, data, ...more);
};

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
    if (noted.length) this.port.postMessage(noted.splice(0));
    return true;
  }
  tell(what, at) {
    this.loud = what === "on";
    note(what, at);
  }
}
registerProcessor("tap", Tap);
