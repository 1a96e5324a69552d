// Reading many records of one kind, some of them side by side.

import { forEachBounded } from './concurrency.ts'
import type { Cancel } from './time-limit.ts'

export type ReadableRecords<Id extends string, Value> = {
  get(id: Id, cancel: Cancel): Promise<{ readonly value: Value } | null>
}

const READS_MAX = 32

/** Records that do not exist are missing. */
export async function readRecords<Id extends string, Value>(
  records: ReadableRecords<Id, Value>,
  ids: readonly Id[],
  cancel: Cancel,
): Promise<ReadonlyMap<Id, Value>> {
  const values = new Map<Id, Value>()
  const readOne = async (id: Id, within: Cancel) => {
    const found = await records.get(id, within)
    if (found !== null) values.set(id, found.value)
  }
  await forEachBounded(ids, readOne, { runningMax: READS_MAX, ...cancel })
  return values
}
