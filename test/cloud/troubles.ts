// What AWS may do to a stack, one kind at a time: a site is brought into trouble, backs up, and must come out whole.

import type { Random } from '../../lib/base/random.ts'
import type { EcsEvent } from '../kit/aws/ecs.ts'
import type { Call, Fate } from './call-proxy.ts'
import type { Site } from './site.ts'

/** @returns what it did, for the summary; asked when the run is over */
export type Trouble = (site: Site, random: Random) => () => string

/** How late a copy of a message may come, and an event that is old. */
const LATE_MS = 90_000

/** Nothing happens that was asked for before. */
export function calmDown({ cloud, mischief }: Site): void {
  cloud.proxy.decide = () => 'pass'
  cloud.proxy.countAnew()
  for (const source of cloud.sources) source.mischief = null
  mischief.refuses = () => null
  mischief.events = (event) => [event]
}

/** Every message comes twice, out of order, some of them much later; events of tasks come twice, and old ones again after new ones. */
export const twice: Trouble = ({ cloud, mischief }, random) => {
  const before = cloud.sources.reduce((sum, { counts }) => sum + counts.duplicates, 0)
  for (const source of cloud.sources) source.mischief = { random, twiceChance: 1, lateMs: LATE_MS }
  const seen: EcsEvent[] = []
  let events = 0
  mischief.events = (event) => {
    seen.push(event)
    const old = seen[Math.floor(random.fraction() * seen.length)] ?? event
    events += 2
    return [event, event, old]
  }
  return () => {
    const copies = cloud.sources.reduce((sum, { counts }) => sum + counts.duplicates, 0) - before
    return `${copies} messages and ${events} events more than once`
  }
}

/** Each program that calls AWS meets this fate once, at its n-th write. */
export function atWrite(fate: Fate, nth: number): Trouble {
  return ({ cloud }) => {
    const writes = new Map<string, number>()
    const struck: string[] = []
    cloud.proxy.decide = ({ caller, operation, target, isWrite }: Call) => {
      if (!isWrite) return 'pass'
      const count = (writes.get(caller) ?? 0) + 1
      writes.set(caller, count)
      if (count !== nth) return 'pass'
      struck.push(`${caller} ${target} ${operation}`)
      return fate
    }
    return () => struck.join(', ')
  }
}

/** The answers of these operations are lost each first time: they were carried out. */
export function loseAnswersOf(operations: readonly string[]): Trouble {
  return ({ cloud }) => {
    const lost = new Set<string>()
    cloud.proxy.decide = ({ caller, operation }) => {
      const key = `${caller} ${operation}`
      if (!operations.includes(operation) || lost.has(key)) return 'pass'
      lost.add(key)
      return 'lose-answer'
    }
    return () => [...lost].join(', ')
  }
}

/** No placement has capacity for the first tries. */
export function noCapacity(tries: number): Trouble {
  return ({ mischief, ecs }) => {
    const before = ecs.calls.filter(({ operation }) => operation === 'RunTask').length
    let refused = 0
    mischief.refuses = () => {
      if (refused >= tries) return null
      refused++
      return 'Capacity is unavailable at this time. Please try again later or in a different availability zone'
    }
    return () => {
      const asked = ecs.calls.filter(({ operation }) => operation === 'RunTask').length - before
      return `${refused} of ${asked} starts without capacity`
    }
  }
}

/** Bursts in which services refuse calls because there are too many: about every third call, at most four in a row for one program. */
export const throttling: Trouble = ({ cloud }, random) => {
  const inRow = new Map<string, number>()
  let throttled = 0
  cloud.proxy.decide = ({ caller }) => {
    const count = inRow.get(caller) ?? 0
    const strikes = count === 0 ? random.fraction() < 0.08 : count < 3 && random.fraction() < 0.6
    inRow.set(caller, strikes ? count + 1 : 0)
    if (!strikes) return 'pass'
    throttled++
    return 'throttle'
  }
  return () => `${throttled} calls throttled`
}

/** Events of tasks that no record knows, come before all else; and of a cluster's other tasks. */
export const strangeEvents: Trouble = ({ cloud, mischief }) => {
  let count = 0
  const strange = (event: EcsEvent, startedBy: string): EcsEvent => ({
    ...event,
    detail: { ...event.detail, startedBy, lastStatus: 'STOPPED', stoppedReason: 'of another', version: 9 },
  })
  mischief.events = (event) => {
    count += 2
    return [strange(event, 'ecs-svc/1234567890'), strange(event, `coldframe/move/${'0'.repeat(32)}/1/token`), event]
  }
  return () => `${count} events of tasks that nobody knows, to ${cloud.functions.size} functions`
}

/** What is no message of ours, in every queue that a function reads. */
export const poison: Trouble = ({ cloud }) => {
  const bodies = ['nonsense', '{"v":1', '{"v":9,"kind":"prepare"}', '[]']
  let count = 0
  for (const { queue } of cloud.sources) {
    cloud.queues.send(queue, bodies[count % bodies.length] ?? '')
    count++
  }
  return () => `${count} messages that nobody can read`
}
