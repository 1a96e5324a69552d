// What happens at a time of the cloud's clock.

import type { VirtualTime } from './virtual-time.ts'

export class Agenda {
  readonly #time: VirtualTime
  #entries: readonly { readonly atMs: number; readonly work: () => Promise<void> }[] = []
  running = 0

  constructor(time: VirtualTime) {
    this.#time = time
  }

  nowMs(): number {
    return this.#time.nowMs()
  }

  at(atMs: number, work: () => Promise<void>): void {
    this.#entries = [...this.#entries, { atMs, work }]
  }

  /** Begins what is due, in order. */
  tick(): void {
    const nowMs = this.#time.nowMs()
    const due = this.#entries.filter(({ atMs }) => atMs <= nowMs).toSorted((a, b) => a.atMs - b.atMs)
    this.#entries = this.#entries.filter(({ atMs }) => atMs > nowMs)
    for (const { work } of due) {
      this.running++
      void work().finally(() => this.running--)
    }
  }

  nextMs(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#entries.map(({ atMs }) => atMs))
  }
}
