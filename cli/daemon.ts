// coldframe daemon: is the engine of this machine until it is stopped, and starts policies by their schedules.

import { logMetrics } from '../lib/adapters/local/log.ts'
import { sqliteSchedules } from '../lib/adapters/local/schedules.ts'
import { formatDuration } from '../lib/base/text.ts'
import { type StartedNow, startDue } from '../lib/compose/start-due.ts'
import type { Answer } from './answer.ts'
import { createRepository, openHome, work } from './context.ts'
import { openProgress } from './progress.ts'
import { readSettings } from './settings.ts'
import type { World } from './world.ts'

/** How often schedules are looked at. */
const lookMs = 1_000

export async function daemon(world: World): Promise<Answer> {
  const settings = await readSettings(world, ['vcenter', 'repository'])
  const repository = await createRepository(settings, world)
  using state = await openHome(settings, world)
  using progress = openProgress({ stream: world.progress, clock: world.clock })

  const log = state.log.with({ command: 'daemon' })
  const deps = {
    clock: world.clock,
    schedules: sqliteSchedules(state.state, world),
    jobStore: state.jobStore,
    sender: state.queue,
    log,
    metrics: logMetrics(log),
  }
  let started = 0
  let nextLookMs = 0
  progress.say(`Working in "${settings.home}" until stopped; policies that are applied start by their schedules`)
  const tick = async (): Promise<boolean> => {
    if (world.clock.monotonicMs() < nextLookMs) return false
    nextLookMs = world.clock.monotonicMs() + lookMs
    for (const one of await startDue(deps, world)) {
      if (one.answer.kind === 'started') started++
      progress.say(wordsOf(one))
    }
    return false
  }
  try {
    await work({ settings, state, repository, isDone: tick, say: progress.say }, world)
  } catch (error) {
    // Being stopped is how a daemon ends; what it leaves goes on with the next one.
    if (!world.signal.aborted) throw error
  }
  return {
    data: { started },
    text: `Stopped; ${started} ${started === 1 ? 'run was' : 'runs were'} started\n`,
    fault: null,
  }
}

function wordsOf({ policy, scheduledAt, lateMs, missed, answer }: StartedNow): string {
  const late = lateMs < 60_000 ? '' : `, ${formatDuration(lateMs)} late`
  const gone =
    missed === 0 ? '' : `; ${missed} earlier ${missed === 1 ? 'start was' : 'starts were'} missed and not made up for`
  if (answer.kind === 'not-started') return `${policy}, ${scheduledAt}: not started: ${answer.message}${gone}`
  return `${policy}, ${scheduledAt}: started${late}${gone}`
}
