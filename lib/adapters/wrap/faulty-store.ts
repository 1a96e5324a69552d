// An object store whose calls fail when told to: before they took effect, or after it, when only the answer is lost.

import { BackupError } from '../../base/errors.ts'
import type { ObjectStore } from '../../ports/object-store.ts'

export type StoreMethod = keyof ObjectStore
export type StoreCall = { readonly number: number; readonly method: StoreMethod; readonly key: string }

/** Asked for every call, counted from 1 over all methods. Null: the call goes through. */
export type Fault = (call: StoreCall) => 'before' | 'after' | null

/** The call of this number fails, once. */
export function failCall(number: number, when: 'before' | 'after' = 'before'): Fault {
  return (call) => (call.number === number ? when : null)
}

/** The store is gone from this call on, as a process sees it that is killed there. */
export function failFrom(number: number): Fault {
  return (call) => (call.number >= number ? 'before' : null)
}

/** @throws BackupError `store-failed` from a call that is told to fail */
export function faultyStore(inner: ObjectStore, fault: Fault): ObjectStore {
  let calls = 0
  const run = async <Result>(method: StoreMethod, key: string, action: () => Promise<Result>): Promise<Result> => {
    const call = { number: ++calls, method, key }
    const when = fault(call)
    if (when === 'before') throw storeFailed(call)
    const result = await action()
    if (when === 'after') throw storeFailed(call)
    return result
  }
  return {
    putIfAbsent: (object, cancel) => run('putIfAbsent', object.key, () => inner.putIfAbsent(object, cancel)),
    get: (key, cancel) => run('get', key, () => inner.get(key, cancel)),
    getRange: (range, cancel) => run('getRange', range.key, () => inner.getRange(range, cancel)),
    head: (key, cancel) => run('head', key, () => inner.head(key, cancel)),
    async *list(prefix, cancel) {
      const call: StoreCall = { number: ++calls, method: 'list', key: prefix }
      const when = fault(call)
      if (when === 'before') throw storeFailed(call)
      yield* inner.list(prefix, cancel)
      if (when === 'after') throw storeFailed(call)
    },
  }
}

function storeFailed(call: StoreCall): BackupError {
  return new BackupError(`Cannot ${call.method} "${call.key}": the store was told to fail at call ${call.number}`, {
    code: 'store-failed',
    retry: 'later',
    facts: { call: call.number, key: call.key },
  })
}
