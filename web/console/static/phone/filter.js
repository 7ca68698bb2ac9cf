// A windowed-sinc low-pass that changes the sample rate by the fraction up/down, as `up` phases of `taps` numbers.
// Any two rates of whole hertz will do: 44,100 to 8,000 is 80 phases.

const PASS = 3400; // Hz, untouched
const STOP = 4000; // Hz, silent: half of a telephone's 8,000 samples a second
const DECIBELS = 60;

function bessel(x) { // I0, as the Kaiser window wants it
  let sum = 1, term = 1;
  for (let k = 1; k < 40; k++) sum += term *= (x / 2 / k) ** 2;
  return sum;
}

const divisorOf = (a, b) => (b ? divisorOf(b, a % b) : a);

/** Design the filter from `from` to `to` samples a second, one of which is 8,000. */
export function design(from, to) {
  const divisor = divisorOf(from, to), up = to / divisor, down = from / divisor;
  const cut = (PASS + STOP) / 2 / from, width = ((STOP - PASS) / from) * 2 * Math.PI;
  const half = Math.ceil((DECIBELS - 7.95) / (2.285 * width) / 2), taps = 2 * half;
  const beta = 0.1102 * (DECIBELS - 8.7), phases = [];
  for (let phase = 0; phase < up; phase++) {
    const row = new Float32Array(taps);
    let whole = 0;
    for (let k = 0; k < taps; k++) {
      const t = k - half + 1 - phase / up, u = t / half;
      const kaiser = Math.abs(u) < 1 ? bessel(beta * Math.sqrt(1 - u * u)) / bessel(beta) : 0;
      row[k] = kaiser * (t === 0 ? 2 * cut : Math.sin(2 * Math.PI * cut * t) / (Math.PI * t));
      whole += row[k];
    }
    phases.push(row.map((tap) => tap / whole)); // each phase passes a constant unchanged
  }
  return { up, down, half, taps, phases };
}

/** Changes the rate of one stream of samples. It allocates nothing while it runs. */
export class Resampler {
  constructor(from, to) {
    Object.assign(this, design(from, to));
    this.most = Math.ceil(this.up / this.down); // samples that one sample may become
    this.ring = new Float32Array(2 * this.taps); // every sample twice, so that a window never wraps
    this.at = 0;
    this.phase = 0;
    this.skip = 1; // samples to take before the next is made
  }

  /** Take one sample; write what it becomes to `out`, and return how many samples that is. */
  feed(sample, out) {
    const { ring, taps, up, down } = this;
    ring[this.at] = ring[this.at + taps] = sample;
    this.at = (this.at + 1) % taps;
    this.skip -= 1;
    let count = 0;
    while (this.skip === 0) {
      const row = this.phases[this.phase];
      let sum = 0;
      for (let k = 0, from = this.at; k < taps; k++) sum += row[k] * ring[from + k];
      out[count++] = sum;
      const next = this.phase + down;
      this.phase = next % up;
      this.skip = Math.floor(next / up);
    }
    return count;
  }
}
