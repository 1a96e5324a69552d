// An object store with a bounded number of calls in flight; the rest wait in order.

import { budget } from '../../base/budget.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { ObjectStore } from '../../ports/object-store.ts'

export function throttledStore(inner: ObjectStore, options: { readonly inFlightMax: number }): ObjectStore {
  const slots = budget(options.inFlightMax)
  const run = async <Result>(action: () => Promise<Result>, { signal }: Cancel): Promise<Result> => {
    using _slot = await slots.take(1, { signal })

    return await action()
  }
  return {
    putIfAbsent: (object, cancel) => run(() => inner.putIfAbsent(object, cancel), cancel),
    get: (key, cancel) => run(() => inner.get(key, cancel), cancel),
    getRange: (range, cancel) => run(() => inner.getRange(range, cancel), cancel),
    head: (key, cancel) => run(() => inner.head(key, cancel), cancel),
    // A listing is pulled by its reader, which may call the store in between: holding a slot could block it for ever.
    list: (prefix, cancel) => inner.list(prefix, cancel),
  }
}
