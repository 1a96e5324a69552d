// What becomes of a message on its way: lost, doubled or late.

import type { StageMessage } from '../../lib/model/message.ts'
import { diceFor, type Play, SECOND_MS, strikes } from './play.ts'

export function fateOf(play: Play, { kind }: StageMessage): 'keep' | 'lose' | 'twice' | { readonly lateMs: number } {
  // A queue of the real kind never loses one that it has taken; a job's is missed by watch.
  if (kind !== 'abandon' && strikes(play, 'message-lost')) return 'lose'
  if (strikes(play, 'message-doubled')) return 'twice'
  if (strikes(play, 'message-late')) return { lateMs: diceFor(play, 'message-late').number(1, 900) * SECOND_MS }
  return 'keep'
}
