// Randomness as a dependency: the system's for keys and ids, a seeded one for tests and simulations.

import { randomFillSync } from 'node:crypto'

export interface Random {
  /** New bytes, uniformly distributed. */
  bytes(count: number): Uint8Array
  /** A number in [0, 1). */
  fraction(): number
}

/** The operating system's CSPRNG. */
export const systemRandom: Random = {
  bytes: (count) => randomFillSync(new Uint8Array(count)),
  fraction: () => {
    const word = new DataView(randomFillSync(new Uint8Array(4)).buffer).getUint32(0)
    return word / 2 ** 32
  },
}

/** Repeatable bytes (xoshiro128** of Blackman and Vigna); never for keys. */
export function seededRandom(seed: number): Random {
  const state = splitMix(seed)
  const next = () => {
    const [a, b, c, d] = [state[0] ?? 0, state[1] ?? 0, state[2] ?? 0, state[3] ?? 0]
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0
    const shifted = b << 9
    state[2] = c ^ a
    state[3] = d ^ b
    state[1] = b ^ (state[2] ?? 0)
    state[0] = a ^ (state[3] ?? 0)
    state[2] = (state[2] ?? 0) ^ shifted
    state[3] = rotate(state[3] ?? 0, 11)
    return result
  }
  return {
    fraction: () => next() / 2 ** 32,
    bytes: (count) => {
      const words = new Uint32Array(Math.ceil(count / 4))
      for (let i = 0; i < words.length; i++) words[i] = next()
      return new Uint8Array(words.buffer, 0, count)
    },
  }
}

/** A whole number from `low` to `high`, both included. */
export function wholeNumber(random: Random, range: { readonly low: number; readonly high: number }): number {
  return range.low + Math.floor(random.fraction() * (range.high - range.low + 1))
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}

function splitMix(seed: number): Int32Array {
  let word = seed | 0
  const state = new Int32Array(4)
  for (let i = 0; i < 4; i++) {
    word = (word + 0x9e3779b9) | 0
    let mixed = word ^ (word >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    state[i] = mixed ^ (mixed >>> 15)
  }
  return state
}
