// Processes of the product inside this one: an engine with its own connections, and a watch beside it. Whoever dies never goes
// on, its connections are gone in that moment, and the programs that it started in the guest go on.

import { openVsphere } from '../../lib/adapters/vsphere/vsphere.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { defaultEngineLimits, type EngineParts, runEngine } from '../../lib/compose/engine.ts'
import type { MessageQueue } from '../../lib/ports/queue.ts'
import type { ProcessChannel } from '../kit/process-guest.ts'
import { type Process, wrapped, wrappedGuests, wrappedVsphere } from '../stages/chaos.ts'
import { networkOf, type Site } from './site.ts'
import { openWire, type Wire } from './wire.ts'

export type WorkerOptions = {
  readonly name: string
  readonly works: boolean
  readonly watches: boolean
  /** How far its clock is ahead. */
  readonly skewMs: number
  /** Called once, when it dies, stands still or is told to stop. */
  readonly onFall: () => void
}

export type Worker = AsyncDisposable & {
  readonly process: Process
  readonly wire: Wire
  kill(): void
  /** Stands still until `until`. */
  pause(until: Promise<void>): void
  /** Resolves when it has come to its end by itself. */
  stop(): Promise<void>
}

export async function startWorker(site: Site, options: WorkerOptions): Promise<Worker> {
  const wire = await openWire({ port: site.port })
  const channels = new Set<ProcessChannel>()
  const process = processOf(options, { wire, channels })
  const running = runEngine(partsOf(site, options, { process, wire, channels }), { signal: process.stop.signal })
  running.catch((error: unknown) => site.world.log.error('engine.ended', error))
  const stop = async () => {
    process.stop.abort(new DOMException('The process stops', 'AbortError'))
    await process.paused
    if (!process.dead) await running.catch(() => undefined)
  }
  return {
    process,
    wire,
    kill: () => {
      if (process.dead) return
      process.dead = true
      process.onDeath()
    },
    pause: (until) => {
      if (process.dead || process.paused !== undefined) return
      process.paused = until
      process.onDeath()
    },
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop()
      await wire[Symbol.asyncDispose]()
    },
  }
}

type Lines = { readonly wire: Wire; readonly channels: ReadonlySet<ProcessChannel> }

/** What it means for its connections that it dies or stands still. */
function processOf({ name, onFall }: WorkerOptions, { wire, channels }: Lines): Process {
  let fallen = false
  const fall = () => {
    if (!fallen) onFall()
    fallen = true
  }
  const process: Process = {
    name,
    stop: new AbortController(),
    dead: false,
    onDeath: () => {
      if (process.dead) {
        wire.set('dead')
        for (const channel of channels) channel.cut('left')
      } else {
        wire.set('still')
        void process.paused?.then(() => wire.set('open'))
      }
      fall()
    },
  }
  process.stop.signal.addEventListener('abort', fall)
  return process
}

type Inside = { readonly process: Process; readonly wire: Wire; readonly channels: Set<ProcessChannel> }

function partsOf(site: Site, { name, works, watches, skewMs }: WorkerOptions, inside: Inside): EngineParts {
  const { world, settings } = site
  const { process, wire, channels } = inside
  const around = world.chaos.around(process)
  const deps = world.depsOf(process)
  const url = `https://127.0.0.1:${wire.port}/sdk`
  const times = { idleMs: 20, visibilityMs: 3_000, watchMs: watches ? 200 : 3_600_000, againMs: 40 }
  return {
    deps: {
      ...deps,
      clock: { ...deps.clock, nowMs: () => systemClock.nowMs() + skewMs },
      vsphere: wrappedVsphere(openVsphere({ ...settings, url }), around),
      guests: wrappedGuests(networkOf(site, channels), around),
    },
    queue: queueOf(site, { around, works }),
    engineId: name,
    runningMax: 4,
    limits: { ...defaultEngineLimits, ...times },
    isEnding: () => false,
  }
}

/** A process that only watches takes no message. */
function queueOf(
  { world }: Site,
  { around, works }: { readonly around: Parameters<typeof wrapped>[2]; readonly works: boolean },
): MessageQueue {
  const { send, receive, extend, remove, takeDead } = wrapped(world.queue, 'queue', around)
  return { send, extend, remove, takeDead, receive: works ? receive : async () => [] }
}
