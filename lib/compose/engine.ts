// The engine loop of one machine: receives from every stage's queue, handles, removes; watches; gives up what is dead.

import { type Budget, budget } from '../base/budget.ts'
import { BackupError } from '../base/errors.ts'
import { type Cancel, withTimeLimit } from '../base/time-limit.ts'
import { pullAlarms } from '../doors/pull.ts'
import { abandonOf, STAGE_KINDS, type StageMessage } from '../model/message.ts'
import type { Delivery, MessageQueue } from '../ports/queue.ts'
import type { StageDeps } from '../stages/deps.ts'
import { HUNT_ALL, hunt } from '../stages/hunt.ts'
import { handleMessage } from '../stages/run-stage.ts'
import { resend, thawKeeper } from '../stages/watch.ts'
import { watchRpo } from '../stages/watch-rpo.ts'

export type EngineParts = {
  readonly deps: StageDeps
  readonly queue: MessageQueue
  /** Tells this engine's claims from those of an earlier one. */
  readonly engineId: string
  /** How many messages are handled side by side. */
  readonly runningMax: number
  readonly limits: EngineLimits
  /** Whether nothing new is begun: jobs that hold a snapshot are brought to their end, the others wait. */
  readonly isEnding: () => boolean
}

export type EngineLimits = {
  /** How long a message stays hidden without word of whoever handles it. */
  readonly visibilityMs: number
  /** The longest that one message may be handled, as in a function. */
  readonly handleMs: number
  /** The wait between two looks at empty queues. */
  readonly idleMs: number
  readonly watchMs: number
  /** How often what nobody is at work with is looked for; the first time is so long after the engine's start. */
  readonly huntMs: number
  /** How often missed RPOs are looked for. */
  readonly rpoMs: number
  /** How often vCenter is asked what it says of alarms, the first time at once; nothing is asked while no policy has a rule for them. */
  readonly pullMs: number
  /** The first wait before a failed message is shown again; doubles with every receipt, up to visibilityMs. */
  readonly againMs: number
}

export const defaultEngineLimits: EngineLimits = {
  visibilityMs: 60_000,
  handleMs: 900_000,
  idleMs: 50,
  watchMs: 1_000,
  huntMs: 4 * 3_600_000,
  rpoMs: 60_000,
  pullMs: 60_000,
  againMs: 1_000,
}

/**
 * Runs until the signal is aborted, then lets what is being handled come to its end and returns.
 * @throws what makes going on impossible: state that is damaged or not ours any more
 */
export async function runEngine(parts: EngineParts, { signal }: Cancel): Promise<void> {
  const slots = budget(parts.runningMax)
  const working = new Set<Promise<void>>()
  const thaws = thawKeeper(parts.deps)
  const backlog = backlogOf(parts)
  let watchAtMs = 0
  const chores = choresOf(parts, { signal })
  let number = 0
  try {
    while (!signal.aborted) {
      const { deps, limits } = parts
      const taken = await orLater(parts, { signal }, async () => {
        if (deps.clock.monotonicMs() >= watchAtMs) {
          watchAtMs = deps.clock.monotonicMs() + limits.watchMs
          await thaws.look({ signal })
          if (backlog.mayResend()) await resend(deps, { signal })
          await buryDead(parts, { signal })
        }
        chores.look()
        const received = await receive(parts, slots, { signal })
        if (slots.free() > 0) backlog.drained()
        return received
      })
      for (const { delivery, slot } of taken) {
        const invocation = `${parts.engineId}/${++number}`
        const work = handle(delivery, parts, { signal, invocation }).finally(() => {
          slot[Symbol.dispose]()
          working.delete(work)
        })
        working.add(work)
      }
      if (taken.length === 0) await pause(parts, { signal })
    }
  } finally {
    await Promise.all(working)
    await chores.over()
    await thaws.over()
  }
}

/** What is done now and then beside the messages. One that fails is done again at its next time; none runs twice at once. */
function choresOf(parts: EngineParts, { signal }: Cancel): { look(): void; over(): Promise<void> } {
  const { deps, limits } = parts
  const nowMs = deps.clock.monotonicMs()
  const hunting = { name: 'hunt', everyMs: limits.huntMs, dueMs: nowMs + limits.huntMs, isBeginning: false }
  const pulling = { name: 'pull', everyMs: limits.pullMs, dueMs: nowMs, isBeginning: true }
  const watching = { name: 'rpo', everyMs: limits.rpoMs, dueMs: nowMs, isBeginning: false }
  const chores = [
    { ...hunting, work: (cancel: Cancel) => hunt(HUNT_ALL, deps, cancel) },
    { ...pulling, work: (cancel: Cancel) => pullAlarms(deps, cancel) },
    { ...watching, work: (cancel: Cancel) => watchRpo(deps, cancel) },
  ]
  const running = new Map<string, Promise<void>>()
  const begin = async ({ name, work }: (typeof chores)[number]): Promise<void> => {
    try {
      await work({ signal: withTimeLimit(signal, limits.handleMs) })
    } catch (error) {
      if (!signal.aborted) deps.log.error(`${name}.failed`, error)
    } finally {
      running.delete(name)
    }
  }
  return {
    look: () => {
      for (const chore of chores) {
        if (deps.clock.monotonicMs() < chore.dueMs || running.has(chore.name)) continue
        chore.dueMs = deps.clock.monotonicMs() + chore.everyMs
        if (!(chore.isBeginning && parts.isEnding())) running.set(chore.name, begin(chore))
      }
    },
    over: async () => {
      await Promise.all(running.values())
    },
  }
}

/** With work for every slot, a lost message may be missed for this long. */
const BACKLOG_RESEND_MS = 60_000

/**
 * A message that waits its turn in a long queue is late and not lost: copies of it would only make the queue longer. While the
 * queues have more than can be handled, copies are sent rarely.
 */
function backlogOf({ deps: { clock } }: EngineParts): { drained(): void; mayResend(): boolean } {
  let isDrained = true
  let resentMs = Number.NEGATIVE_INFINITY
  return {
    drained: () => {
      isDrained = true
    },
    mayResend: () => {
      const nowMs = clock.monotonicMs()
      if (!isDrained && nowMs - resentMs < BACKLOG_RESEND_MS) return false
      isDrained = false
      resentMs = nowMs
      return true
    },
  }
}

/** For StageDeps.isClaimLive: whoever holds the engine lock knows that its predecessors' claims are dead. */
export function claimsOf(engineId: string): StageDeps['isClaimLive'] {
  return (claim, nowMs) => claim.invocation.startsWith(`${engineId}/`) && claim.untilMs > nowMs
}

/** What an ending engine leaves to the next: the stages before a backup's snapshot may exist. */
const BEGINNINGS: ReadonlySet<StageMessage['kind']> = new Set(['alarm', 'plan', 'prepare'])

type Taken = { readonly delivery: Delivery; readonly slot: Disposable }

/** One message a free slot at most, from all queues in turn. */
async function receive(parts: EngineParts, slots: Budget, cancel: Cancel): Promise<readonly Taken[]> {
  const taken: Taken[] = []
  // Later stages first: what is begun is brought to its end before more is begun.
  const ending = parts.isEnding()
  for (const kind of STAGE_KINDS.toReversed()) {
    if (ending && BEGINNINGS.has(kind)) continue
    const max = slots.free()
    if (max === 0) break
    const { visibilityMs } = parts.limits
    for (const delivery of await parts.queue.receive(kind, { max, visibilityMs }, cancel)) {
      taken.push({ delivery, slot: await slots.take(1, cancel) })
    }
  }
  return taken
}

async function buryDead({ deps, queue }: EngineParts, cancel: Cancel): Promise<void> {
  for (const dead of await queue.takeDead(cancel)) {
    deps.log.warn('message.dead', facts(dead))
    if (dead.kind === 'abandon') {
      // watch wakes its job again when it is overdue; another abandon would only die the same way.
      deps.log.error('message.buried', dead.reason, facts(dead))
      continue
    }
    const reason = `its stage "${dead.kind}" failed too often; the log of the engine tells why`
    await deps.sender.send(abandonOf(dead, reason), { delayMs: 0 }, cancel)
  }
}

/** Never throws: a message that was not handled comes again. */
async function handle(
  delivery: Delivery,
  parts: EngineParts,
  options: Cancel & { readonly invocation: string },
): Promise<void> {
  const { deps, queue, limits } = parts
  const stopHiding = keepHidden(delivery, parts)
  try {
    const signal = withTimeLimit(options.signal, limits.handleMs)
    await handleMessage(delivery.message, deps, { signal, invocation: options.invocation })
    stopHiding()
    await queue.remove(delivery, soon())
  } catch (error) {
    stopHiding()
    const stopped = options.signal.aborted
    const visibilityMs = stopped ? 0 : Math.min(limits.visibilityMs, limits.againMs * 2 ** (delivery.receiveCount - 1))
    if (!stopped)
      deps.log.error('message.failed', error, { ...facts(delivery.message), receipt: delivery.receiveCount })
    await queue.extend(delivery, { visibilityMs }, soon()).catch((failure: unknown) => {
      // It shows again by itself when its visibility ends.
      deps.log.error('message.not-returned', failure, facts(delivery.message))
    })
  }
}

/** A clean-up of its own time: the engine's signal may be over. */
function soon(): Cancel {
  return { signal: AbortSignal.timeout(10_000) }
}

function keepHidden(delivery: Delivery, { deps, queue, limits }: EngineParts): () => void {
  const stopped = new AbortController()
  const { signal } = stopped
  const beat = async (): Promise<void> => {
    for (;;) {
      await deps.clock.sleep(limits.visibilityMs / 3, { signal })
      await queue.extend(delivery, { visibilityMs: limits.visibilityMs }, { signal })
    }
  }
  beat().catch((error: unknown) => {
    if (!signal.aborted) deps.log.error('message.not-hidden', error, facts(delivery.message))
  })
  return () => stopped.abort()
}

/** What may pass (a busy file, a full disk) is waited out; what may not ends the engine. */
async function orLater<Item>(
  parts: EngineParts,
  { signal }: Cancel,
  action: () => Promise<readonly Item[]>,
): Promise<readonly Item[]> {
  try {
    return await action()
  } catch (error) {
    if (signal.aborted) return []
    if (!(error instanceof BackupError) || error.retry !== 'later') throw error
    parts.deps.log.error('engine.poll-failed', error)
    await pause(parts, { signal }, parts.limits.watchMs)
    return []
  }
}

async function pause({ deps, limits }: EngineParts, { signal }: Cancel, ms = limits.idleMs): Promise<void> {
  try {
    await deps.clock.sleep(ms, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

function facts(message: StageMessage): Readonly<Record<string, string>> {
  if (message.kind === 'plan') return { stage: message.kind, run: message.runId }
  if (message.kind === 'alarm') return { stage: message.kind, alarm: message.alarmId }
  if (message.kind === 'abandon') return { stage: message.kind, target: JSON.stringify(message.target) }
  if (message.kind === 'operate') return { stage: message.kind, operation: message.operationId }
  return { stage: message.kind, job: message.jobId }
}
