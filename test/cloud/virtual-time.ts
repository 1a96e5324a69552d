// A clock for a whole cloud in processes of this machine: it runs as the real one does, and can be put forward when nothing is at work,
// so that waiting costs nothing. Only what tells the time is moved (Date); timers run as ever.

/** How far this process's Date is ahead of the machine's. */
let aheadMs = 0
const RealDate = globalThis.Date
const realNow = RealDate.now.bind(RealDate)

export type VirtualTime = {
  nowMs(): number
  aheadMs(): number
  /** Puts the clock forward; it never goes back. */
  setAheadMs(ms: number): void
}

const time: VirtualTime = {
  nowMs: () => realNow() + aheadMs,
  aheadMs: () => aheadMs,
  setAheadMs: (ms) => {
    aheadMs = Math.max(aheadMs, ms)
  },
}

/** Replaces this process's Date; once is enough. */
export function installVirtualTime(): VirtualTime {
  if (globalThis.Date !== RealDate) return time
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args, maker) => Reflect.construct(target, args.length === 0 ? [time.nowMs()] : args, maker),
    apply: () => new RealDate(time.nowMs()).toString(),
    get: (target, key, receiver) => (key === 'now' ? time.nowMs : Reflect.get(target, key, receiver)),
  })
  return time
}
