// coldframe backup: asks for a run, waits for its end, says what became of each VM.

import { hexOf } from '../lib/base/bytes.ts'
import { BackupError } from '../lib/base/errors.ts'
import { formatBytes, formatDuration } from '../lib/base/text.ts'
import { requestRun } from '../lib/doors/request-run.ts'
import { defaultPolicy, type Policy } from '../lib/model/policy.ts'
import { isOver, type RunView, viewRun } from '../lib/operate/follow-run.ts'
import { describeJob } from '../lib/operate/job-words.ts'
import { faultOfRun, type JobReport, reportJob } from '../lib/operate/run-report.ts'
import { parsePolicy } from '../lib/wire/policy.ts'
import type { Answer } from './answer.ts'
import { createRepository, openHome, work } from './context.ts'
import { openProgress, type Progress } from './progress.ts'
import { readSettings, readText } from './settings.ts'
import { printable } from './terminal.ts'
import type { World } from './world.ts'

export type BackupOptions = {
  readonly vm: readonly string[]
  readonly policy?: string
  /** Idempotency key: the same one asks for the same run. */
  readonly key?: string
}

/** Said whenever no policy is given. */
export const defaultPolicyNote =
  'No policy given: quiescing is tried and a crash-consistent point accepted, no guest processing, transport "datastore"'

export async function backup(options: BackupOptions, world: World): Promise<Answer> {
  if (options.vm.length === 0 && options.policy === undefined) {
    throw new BackupError('Nothing says what to back up', {
      code: 'usage',
      kind: 'usage',
      hint: 'Name VMs with --vm NAME, or give a policy that selects them with --policy FILE',
    })
  }
  const policy =
    options.policy === undefined ? defaultPolicy() : parsePolicy(await readText(options.policy), options.policy)
  const settings = await readSettings(world, ['vcenter', 'repository'])
  const repository = await createRepository(settings, world)
  using state = await openHome(settings, world)
  using progress = openProgress({ stream: world.progress, clock: world.clock })

  if (options.policy === undefined) progress.say(defaultPolicyNote)
  const key = options.key ?? hexOf(world.random.bytes(16))
  const vms = options.vm.length === 0 ? null : options.vm
  const deps = { clock: world.clock, jobStore: state.jobStore, sender: state.queue }
  const runId = await requestRun({ door: 'api', policy, vms, key }, deps, world)
  const teller = jobTeller(progress)
  let view: RunView | null = null
  const isDone = async (): Promise<boolean> => {
    view = await viewRun({ runId, jobStore: state.jobStore }, world)
    teller(view)
    return isOver(view)
  }
  await work({ settings, state, repository, isDone, say: progress.say }, world)
  const ended = view ?? (await viewRun({ runId, jobStore: state.jobStore }, world))
  return answerOf(ended, { policy, byDefault: options.policy === undefined })
}

/** Says every change of a job's state, and shows how far its disks are. */
function jobTeller(progress: Progress): (view: RunView) => void {
  const said = new Map<string, string>()
  return ({ jobs }) => {
    for (const { job, attempt } of jobs) {
      // What moves needs no words.
      const words = describeJob(attempt === null ? job : { ...job, waitsFor: null })
      if (said.get(job.id) !== words && job.state !== 'done') progress.say(`${job.vm.name}: ${words}`)
      said.set(job.id, words)
      for (const disk of attempt?.progress ?? []) {
        progress.show({
          id: `${job.id} ${disk.key}`,
          title: `${job.vm.name}, ${disk.label}`,
          doneBytes: disk.doneBytes,
          totalBytes: disk.totalBytes,
          note: disk.transport,
        })
      }
    }
  }
}

function answerOf(view: RunView, used: { readonly policy: Policy; readonly byDefault: boolean }): Answer {
  const jobs = view.jobs.map(reportJob)
  const fault = faultOfRun(view)
  const note = used.byDefault ? defaultPolicyNote : null
  const data = { runId: view.run.id, policy: { name: used.policy.name, note }, jobs }
  const text = `${jobs.map(summaryOf).join('')}${note === null || jobs.length === 0 ? '' : `${note}\n`}`
  return { data, text, fault }
}

/** A few lines on one VM. */
export function summaryOf(job: JobReport): string {
  const { outcome } = job
  const lines = [`${job.vm.name}: ${outcome === null ? job.state : `${outcome.kind}: ${outcome.message}`}`]
  if (outcome !== null && outcome.hint !== null) lines.push(`  hint: ${outcome.hint}`)
  if (job.pointId !== null) {
    const number = job.sequence === null ? '' : `${job.vm.name}@${job.sequence}, `
    lines.push(`  restore point ${job.pointId.slice(0, 12)} (${number}${job.grade ?? 'unknown'}-consistent)`)
  }
  const { readBytes, storedBytes } = job.counts
  const { startedAt, doneAt } = job.times
  const time =
    startedAt === null || doneAt === null ? '' : `, ${formatDuration(Date.parse(doneAt) - Date.parse(startedAt))}`
  if (job.pointId !== null) lines.push(`  ${formatBytes(readBytes)} read, ${formatBytes(storedBytes)} stored${time}`)
  const notices = job.notices.filter(({ message }) => message !== outcome?.message)
  for (const { message, hint } of notices) lines.push(`  note: ${message}${hint === null ? '' : ` (${hint})`}`)
  return `${lines.map((line) => printable(line)).join('\n')}\n`
}
