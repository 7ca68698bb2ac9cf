// G.711 µ-law: one byte a sample.

export const RATE = 8000;
export const FRAME = 160; // bytes: 20 ms
export const SILENCE = 0xff;

const BIAS = 0x84, CLIP = 32635;

/** Return the byte for a sample between -1 and 1. */
export function encode(sample) {
  const value = Math.round(Math.max(-1, Math.min(1, sample)) * 32767);
  const sign = value < 0 ? 0x80 : 0, size = Math.min(Math.abs(value), CLIP) + BIAS;
  const exponent = 31 - Math.clz32(size) - 7;
  return ~(sign | (exponent << 4) | ((size >> (exponent + 3)) & 15)) & 0xff;
}

/** The sample of each byte. */
export const DECODED = Float32Array.from({ length: 256 }, (_, code) => {
  const bits = ~code & 0xff, size = ((((bits & 15) << 3) + BIAS) << ((bits >> 4) & 7)) - BIAS;
  return (bits & 0x80 ? -size : size) / 32768;
});
