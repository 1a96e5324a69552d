// A bounded number of units (bytes, slots) shared by concurrent work; permits are resources.

import { assert } from './errors.ts'

export interface Budget {
  /**
   * Waits, in order of arrival, until `units` are free. A request larger than the whole budget takes all of it.
   * @returns a permit; disposing it twice gives back once
   */
  take(units: number, options: { readonly signal: AbortSignal }): Promise<Disposable>
  /** Units not taken. */
  free(): number
}

export function budget(unitsMax: number): Budget {
  assert(unitsMax > 0, 'a budget needs units')
  let free = unitsMax
  const queue: { readonly units: number; readonly grant: () => void }[] = []
  const wake = () => {
    for (let head = queue[0]; head !== undefined && head.units <= free; head = queue[0]) {
      queue.shift()
      free -= head.units
      head.grant()
    }
  }
  const permit = (units: number): Disposable => {
    let held = true
    return {
      [Symbol.dispose]() {
        if (!held) return
        held = false
        free += units
        wake()
      },
    }
  }
  return {
    free: () => free,
    take: (wanted, { signal }) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason)
        const units = Math.min(wanted, unitsMax)
        const onAbort = () => {
          const index = queue.indexOf(entry)
          if (index >= 0) queue.splice(index, 1)
          reject(signal.reason)
          wake()
        }
        const entry = {
          units,
          grant: () => {
            signal.removeEventListener('abort', onAbort)
            resolve(permit(units))
          },
        }
        signal.addEventListener('abort', onAbort, { once: true })
        queue.push(entry)
        wake()
      }),
  }
}
