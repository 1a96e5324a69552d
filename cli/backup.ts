// coldframe backup: asks for a run, waits for its end, says what became of each VM.

import { BackupError } from '../lib/base/errors.ts'
import { faultOfRun } from '../lib/operate/run-report.ts'
import type { Answer } from './answer.ts'
import { defaultPolicyNote } from './backup-note.ts'
import { summaryOf } from './job-summary.ts'
import { engineOf } from './open-engine.ts'
import { openProgress } from './progress.ts'
import type { World } from './world.ts'

export type BackupOptions = {
  readonly vm: readonly string[]
  readonly policy?: string
  /** Idempotency key: the same one asks for the same run. */
  readonly key?: string
  /** Reads and stores everything anew instead of continuing the newest restore point. */
  readonly full?: boolean
}

export async function backup(options: BackupOptions, world: World): Promise<Answer> {
  if (options.vm.length === 0 && options.policy === undefined) {
    throw new BackupError('Nothing says what to back up', {
      code: 'usage',
      kind: 'usage',
      hint: 'Name VMs with --vm NAME, or give a policy that selects them with --policy, by name or file',
    })
  }
  const engine = engineOf(world)
  using progress = openProgress({ stream: world.progress, clock: world.clock })

  const wanted = {
    policy: options.policy ?? null,
    vms: options.vm.length === 0 ? null : options.vm,
    full: options.full === true,
    key: options.key ?? null,
  }
  const run = await engine.backUp(wanted, progress)
  const note = wanted.policy === null ? defaultPolicyNote : null
  const data = { runId: run.id, policy: { name: run.policy, note }, jobs: run.jobs }
  const text = `${run.jobs.map(summaryOf).join('')}${note === null || run.jobs.length === 0 ? '' : `${note}\n`}`
  return { data, text, fault: faultOfRun(run) }
}
