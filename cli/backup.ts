// coldframe backup: asks for a run, waits for its end, says what became of each VM.

import { hexOf } from '../lib/base/bytes.ts'
import { BackupError } from '../lib/base/errors.ts'
import { requestRun } from '../lib/doors/request-run.ts'
import { defaultPolicy, type Policy } from '../lib/model/policy.ts'
import { isOver, type RunView, viewRun } from '../lib/operate/follow-run.ts'
import { faultOfRun, reportJob } from '../lib/operate/run-report.ts'
import type { Answer } from './answer.ts'
import { createRepository, openHome, work } from './context.ts'
import { summaryOf } from './job-summary.ts'
import { policyNamed, policyOfFile } from './policy-files.ts'
import { openProgress } from './progress.ts'
import { interruptedWork } from './resume.ts'
import { readSettings } from './settings.ts'
import { jobTeller } from './tell-jobs.ts'
import type { World } from './world.ts'

export type BackupOptions = {
  readonly vm: readonly string[]
  readonly policy?: string
  /** Idempotency key: the same one asks for the same run. */
  readonly key?: string
  /** Reads and stores everything anew instead of continuing the newest restore point. */
  readonly full?: boolean
}

/** Said whenever no policy is given. */
export const defaultPolicyNote =
  'No policy given: quiescing is tried and a crash-consistent point accepted, no guest processing, transport "datastore"'

/** The last look at the records must succeed also right after Ctrl-C. */
const lastLookMs = 5_000

export async function backup(options: BackupOptions, world: World): Promise<Answer> {
  if (options.vm.length === 0 && options.policy === undefined) {
    throw new BackupError('Nothing says what to back up', {
      code: 'usage',
      kind: 'usage',
      hint: 'Name VMs with --vm NAME, or give a policy that selects them with --policy, by name or file',
    })
  }
  const given = options.policy === undefined ? defaultPolicy() : await policyOfFile(options.policy)
  const settings = await readSettings(world, ['vcenter', 'repository'])
  const policy = given ?? (await policyNamed(options.policy ?? '', settings, world))
  const repository = await createRepository(settings, world)
  using state = await openHome(settings, world)
  using progress = openProgress({ stream: world.progress, clock: world.clock })

  if (options.policy === undefined) progress.say(defaultPolicyNote)
  const key = options.key ?? hexOf(world.random.bytes(16))
  const vms = options.vm.length === 0 ? null : options.vm
  const deps = { clock: world.clock, jobStore: state.jobStore, sender: state.queue }
  const runId = await requestRun({ door: 'api', policy, vms, full: options.full === true, key }, deps, world)
  const tell = jobTeller(progress)
  let view: RunView | null = null
  const isDone = async (): Promise<boolean> => {
    view = await viewRun({ runId, jobStore: state.jobStore }, world)
    tell(view.jobs)
    return isOver(view)
  }
  try {
    await work({ settings, state, repository, isDone, say: progress.say }, world)
  } catch (error) {
    if (!world.signal.aborted) throw error
    // Stopped while it waited for others only: what was asked for is done.
    if (view === null || !isOver(view)) throw await interruptedWork(state.jobStore, error)
  }
  const ended = await viewRun({ runId, jobStore: state.jobStore }, { signal: AbortSignal.timeout(lastLookMs) })
  return answerOf(ended, { policy, byDefault: options.policy === undefined })
}

function answerOf(view: RunView, used: { readonly policy: Policy; readonly byDefault: boolean }): Answer {
  const jobs = view.jobs.map(reportJob)
  const fault = faultOfRun(view)
  const note = used.byDefault ? defaultPolicyNote : null
  const data = { runId: view.run.id, policy: { name: used.policy.name, note }, jobs }
  const text = `${jobs.map(summaryOf).join('')}${note === null || jobs.length === 0 ? '' : `${note}\n`}`
  return { data, text, fault }
}
