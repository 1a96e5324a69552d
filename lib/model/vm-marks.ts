// Marks that alarms put on a VM, and how people lift them. Pure.

import type { AlarmMark, VmHistory } from './vm-history.ts'

export const LIFTED_MAX = 20

/** An alarm puts on what it asks for and takes off nothing; what stands already keeps its beginning. */
export function withMarks(
  history: VmHistory,
  { mark, quarantine, freeze }: { readonly mark: AlarmMark; readonly quarantine: boolean; readonly freeze: boolean },
): VmHistory {
  const puts = {
    quarantine: quarantine && history.quarantine === null,
    freeze: freeze && history.retentionFreeze === null,
  }
  if (!puts.quarantine && !puts.freeze) return history
  return {
    ...history,
    quarantine: puts.quarantine ? mark : history.quarantine,
    retentionFreeze: puts.freeze ? mark : history.retentionFreeze,
  }
}

/** @returns the same history when nothing stands */
export function withMarksLifted(
  history: VmHistory,
  lift: { readonly at: string; readonly by: string; readonly reason: string },
): VmHistory {
  const { quarantine, retentionFreeze } = history
  const marks = [
    { what: 'quarantine', mark: quarantine },
    { what: 'retention-freeze', mark: retentionFreeze },
  ] as const
  const { at: liftedAt, by, reason } = lift
  const lifted = marks.flatMap(({ what, mark }) => (mark === null ? [] : [{ ...mark, what, liftedAt, by, reason }]))
  if (lifted.length === 0) return history
  return {
    ...history,
    quarantine: null,
    retentionFreeze: null,
    lifted: [...history.lifted, ...lifted].slice(-LIFTED_MAX),
  }
}
