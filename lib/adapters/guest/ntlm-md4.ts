// MD4 (RFC 1320). NTLM keys start from it, and OpenSSL 3 no longer has it. For nothing else.

const ROUND_TWO = 0x5a827999
const ROUND_THREE = 0x6ed9eba1
const ORDER_TWO = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15]
const ORDER_THREE = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15]

type Mix = (b: number, c: number, d: number) => number
type Round = {
  readonly mix: Mix
  readonly add: number
  readonly order: readonly number[] | null
  readonly turns: readonly number[]
}

const rounds: readonly Round[] = [
  { mix: (b, c, d) => (b & c) | (~b & d), add: 0, order: null, turns: [3, 7, 11, 19] },
  { mix: (b, c, d) => (b & c) | (b & d) | (c & d), add: ROUND_TWO, order: ORDER_TWO, turns: [3, 5, 9, 13] },
  { mix: (b, c, d) => b ^ c ^ d, add: ROUND_THREE, order: ORDER_THREE, turns: [3, 9, 11, 15] },
]

/** @returns 16 bytes */
export function md4(message: Uint8Array): Uint8Array {
  const padded = new Uint8Array(Math.ceil((message.byteLength + 9) / 64) * 64)
  padded.set(message)
  padded[message.byteLength] = 0x80
  const view = new DataView(padded.buffer)
  view.setBigUint64(padded.byteLength - 8, BigInt(message.byteLength) * 8n, true)
  let state: readonly [number, number, number, number] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476]
  for (let offset = 0; offset < padded.byteLength; offset += 64) {
    let [a, b, c, d] = state
    for (const { mix, add, order, turns } of rounds) {
      for (let step = 0; step < 16; step++) {
        const word = view.getUint32(offset + (order?.[step] ?? step) * 4, true)
        const turned = rotate((a + mix(b, c, d) + word + add) | 0, turns[step % 4] ?? 0)
        ;[a, b, c, d] = [d, turned, b, c]
      }
    }
    state = [(state[0] + a) | 0, (state[1] + b) | 0, (state[2] + c) | 0, (state[3] + d) | 0]
  }
  const digest = new DataView(new ArrayBuffer(16))
  for (const [index, word] of state.entries()) digest.setInt32(index * 4, word, true)
  return new Uint8Array(digest.buffer)
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}
