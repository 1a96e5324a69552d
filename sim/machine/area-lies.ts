// Replies about changed areas that are not what the documents say, or not what the disk says.

import type { Area } from './change-tracking.ts'
import { GRAIN_BYTES } from './grain-store.ts'
import type { AreasLie, ChangedAreas } from './types.ts'

/** Twists a true reply. */
export function twistedAreas(reply: ChangedAreas, lie: AreasLie): ChangedAreas {
  const { startOffset, length } = reply
  const end = startOffset + length
  const two = twoAreas(reply)
  switch (lie) {
    case 'disorder':
      return { ...reply, changedArea: two.toReversed() }
    case 'overlap':
      return { ...reply, changedArea: [...two, { start: end - GRAIN_BYTES, length: GRAIN_BYTES }] }
    case 'outside':
      return { ...reply, changedArea: [...reply.changedArea, { start: end, length: GRAIN_BYTES }] }
    case 'beyond':
      return { ...reply, length: length + 1024 * GRAIN_BYTES }
    case 'nothing':
      return { ...reply, length: 0, changedArea: [] }
    case 'wrong-start':
      return { ...reply, startOffset: startOffset + GRAIN_BYTES }
    case 'leave-out':
      return { ...reply, changedArea: reply.changedArea.filter((_area, index) => index % 2 === 1) }
    case 'everything':
      return { ...reply, changedArea: [{ start: startOffset, length }] }
  }
}

/** The window's first grain and its rest: two areas that are in order. */
function twoAreas({ startOffset, length }: ChangedAreas): readonly Area[] {
  const first = Math.min(GRAIN_BYTES, Math.ceil(length / 2))
  return [
    { start: startOffset, length: first },
    { start: startOffset + first, length: length - first },
  ]
}
