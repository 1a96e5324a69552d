// Looks at the read latency of a backup's datastores while it reads, and sets its pace.

import { messageOf } from '../base/errors.ts'
import { anySignal, type Cancel } from '../base/time-limit.ts'
import { usedDatastores, worstLatencyMs } from '../model/admission.ts'
import type { Capture, Job } from '../model/job.ts'
import { fullPace, nextPace } from '../model/pace.ts'
import type { VsphereSession } from '../ports/vsphere.ts'
import type { LatencyWatch, MoverDeps } from './deps.ts'
import { setPace } from './pace.ts'

type Watched = {
  readonly job: Job
  readonly capture: Capture
  readonly watch: LatencyWatch
  readonly pace: SharedArrayBuffer
}

/** Watches until it is disposed. What it cannot see slows nothing down and ends nothing. */
export function watchLatency(watched: Watched, deps: MoverDeps, { signal }: Cancel): AsyncDisposable {
  const over = new AbortController()
  const cancel = { signal: anySignal([signal, over.signal]) }
  const watching = lookAgainAndAgain(watched, deps, cancel).catch((error: unknown) => {
    if (!cancel.signal.aborted) deps.log.error('latency.watch-ended', error)
  })
  return {
    [Symbol.asyncDispose]: async () => {
      over.abort(new DOMException('The read is over', 'AbortError'))
      await watching
    },
  }
}

async function lookAgainAndAgain(watched: Watched, deps: MoverDeps, cancel: Cancel): Promise<void> {
  const { watch, pace: memory } = watched
  const { clock, log } = deps
  let session: VsphereSession | null = null
  let pace = fullPace
  let toldUnknown = false
  try {
    for (;;) {
      await clock.sleep(watch.everyMs, cancel)
      let readMs: number | null = null
      let reason = 'the server does not tell'
      try {
        session ??= await deps.vsphere.open(cancel)
        readMs = await slowestMs(watched, session, cancel)
      } catch (error) {
        cancel.signal.throwIfAborted()
        reason = messageOf(error)
        const broken = session
        session = null
        await closed(broken)
      }
      if (readMs === null && !toldUnknown) log.info('latency.unknown', { reason })
      toldUnknown ||= readMs === null
      const next = nextPace(pace, readMs, watch)
      if (next.permille !== pace.permille) {
        setPace(memory, next.permille)
        log.info('pace.changed', { readMs, percent: Math.round(next.permille / 10) })
      }
      pace = next
    }
  } finally {
    await closed(session)
  }
}

/** A session that cannot be logged out ends by itself. */
async function closed(session: VsphereSession | null): Promise<void> {
  try {
    await session?.[Symbol.asyncDispose]()
  } catch {
    // It was broken, or vCenter is away.
  }
}

/** Of the host where the VM is now: it may have moved. */
async function slowestMs({ job, capture }: Watched, session: VsphereSession, cancel: Cancel): Promise<number | null> {
  const { host } = await session.readVm(job.vm.moref, cancel)
  if (host === null) return null
  const found = await session.readDatastores(job.vm.moref, cancel)
  const datastores = usedDatastores({ datastores: found, disks: capture.disks })
  return worstLatencyMs(await session.readLatency({ host, datastores }, cancel))
}
