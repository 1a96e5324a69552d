// Changing a versioned record that others write, too: read, change, write if nobody was faster, else again.

import { BackupError } from './errors.ts'
import type { Cancel } from './time-limit.ts'

type Versioned<Value> = { readonly value: Value; readonly version: number }

export type ChangedRecords<Id extends string, Value> = {
  get(id: Id, cancel: Cancel): Promise<Versioned<Value> | null>
  replace(id: Id, next: Versioned<Value>, cancel: Cancel): Promise<'replaced' | 'conflict'>
}

/** Whoever works on a record writes it each few seconds: a write that lost against that is tried again. */
const WRITES_MAX = 10

/**
 * @param change answers the same object to leave the record as it is
 * @returns the record as it is now and whether this call changed it; null when there is none
 * @throws BackupError `record-contended` (retry later)
 */
export async function changeRecord<Id extends string, Value>(
  records: ChangedRecords<Id, Value>,
  { id, change }: { readonly id: Id; readonly change: (value: Value) => Value },
  cancel: Cancel,
): Promise<{ readonly value: Value; readonly changed: boolean } | null> {
  for (let write = 1; write <= WRITES_MAX; write++) {
    const found = await records.get(id, cancel)
    if (found === null) return null
    const value = change(found.value)
    if (value === found.value) return { value, changed: false }
    if ((await records.replace(id, { value, version: found.version }, cancel)) === 'replaced')
      return { value, changed: true }
  }
  throw new BackupError(`Cannot write record "${id}": others write it all the time`, {
    code: 'record-contended',
    retry: 'later',
  })
}
