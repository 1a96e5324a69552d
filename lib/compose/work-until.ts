// A command's part in the work of its home: be the engine when nobody is, else wait, until what it asked for is done.

import type { Clock } from '../base/clock.ts'
import { anySignal, type Cancel } from '../base/time-limit.ts'
import { runEngine } from './engine.ts'
import type { LocalEngine } from './local.ts'

/** How long snapshots are waited for when no mover runs any more. */
const REMOVAL_MS = 60_000

export type WorkOptions = {
  /** Null while another process is the engine; asked again until it is not. */
  readonly openEngine: (cancel: Cancel) => Promise<LocalEngine | null>
  /** Looks at the state; true when everything that was asked for is done. */
  readonly look: (role: 'engine' | 'waiting', cancel: Cancel) => Promise<boolean>
  /** Told once when the work is done but other jobs hold snapshots: they are brought to their end first. */
  readonly onDrain: () => void
  readonly clock: Clock
  /** The wait between two looks. */
  readonly lookMs: number
}

/**
 * Returns when `look` answers true. If the engine of another process ends meanwhile, this one goes on in its place.
 * When the signal is aborted, everything that can go on later is left as it is.
 * @throws the signal's reason, what `look` throws, or what ended the engine
 */
export async function workUntil(options: WorkOptions, { signal }: Cancel): Promise<void> {
  for (;;) {
    await using engine = await options.openEngine({ signal })

    if (engine === null) {
      if (await options.look('waiting', { signal })) return
      await options.clock.sleep(options.lookMs, { signal })
      continue
    }
    return await beEngine(engine, options, { signal })
  }
}

async function beEngine(engine: LocalEngine, options: WorkOptions, { signal }: Cancel): Promise<void> {
  const stop = new AbortController()
  const within = { signal: anySignal([signal, stop.signal]) }
  const failures: unknown[] = []
  const running = runEngine(engine.parts, within).catch((error: unknown) => {
    // Nobody is left to wait for.
    failures.push(error)
    stop.abort(error)
  })
  try {
    while (!(await options.look('engine', within))) await options.clock.sleep(options.lookMs, within)
    await endWell(engine, options, within)
  } catch (error) {
    throw failures[0] ?? error
  } finally {
    stop.abort(new Error('The engine is no longer needed'))
    await running
  }
}

/**
 * Nothing more is begun, and what holds a snapshot comes to its end: a stopped mover would have read in vain, and a snapshot
 * that nobody removes grows. A removal that keeps failing is left to the next engine.
 */
async function endWell(engine: LocalEngine, options: WorkOptions, cancel: Cancel): Promise<void> {
  const { clock } = options
  engine.endSoon()
  let told = false
  let quietSinceMs = clock.monotonicMs()
  for (;;) {
    const open = await engine.snapshotHolders(cancel)
    if (open === 0 && engine.tasks.running() === 0) return
    if (!told) options.onDrain()
    told = true
    const nowMs = clock.monotonicMs()
    if (engine.tasks.running() > 0) quietSinceMs = nowMs
    else if (nowMs - quietSinceMs > REMOVAL_MS) return
    await clock.sleep(options.lookMs, cancel)
  }
}
