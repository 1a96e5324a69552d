// Identifiers drawn from a source of randomness.

import { hexOf } from '../../lib/base/bytes.ts'
import type { Random } from '../../lib/base/random.ts'

/** A version 4 uuid. */
export function uuidFrom(random: Random): string {
  const hex = hexOf(random.bytes(16))
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
