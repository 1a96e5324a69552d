// Running work side by side with a written limit; the first failure stops the rest.

import { budget } from './budget.ts'
import { anySignal } from './time-limit.ts'

export type EachOptions = { readonly runningMax: number; readonly signal: AbortSignal }

/**
 * Calls `action` for every item, at most `runningMax` at a time, in order of the items.
 * On the first failure the siblings' signal is aborted, they settle, and the first error is thrown.
 */
export async function forEachBounded<Item>(
  items: Iterable<Item> | AsyncIterable<Item>,
  action: (item: Item, options: { readonly signal: AbortSignal }) => Promise<void>,
  options: EachOptions,
): Promise<void> {
  const stop = new AbortController()
  const signal = anySignal([options.signal, stop.signal])
  const slots = budget(options.runningMax)
  const running = new Set<Promise<void>>()
  const failures: unknown[] = []
  try {
    for await (const item of items) {
      const permit = await slots.take(1, { signal })
      const run = action(item, { signal })
        .catch((error: unknown) => {
          failures.push(error)
          stop.abort(error)
        })
        .finally(() => {
          permit[Symbol.dispose]()
          running.delete(run)
        })
      running.add(run)
    }
  } catch (error) {
    failures.push(error)
    stop.abort(error)
  }
  await Promise.all(running)
  if (failures.length > 0) throw failures[0]
}
