// coldframe quarantine: what alarms have put on a VM, and taking it off again, by somebody and for a reason.

import { isoTime } from '../lib/base/clock.ts'
import { BackupError, hasCode } from '../lib/base/errors.ts'
import { suspicionsOf } from '../lib/model/annotation.ts'
import type { AlarmId, VmId } from '../lib/model/ids.ts'
import type { VmHistory } from '../lib/model/vm-history.ts'
import { withMarksLifted } from '../lib/model/vm-marks.ts'
import { type KnownPoints, readKnownPoints } from '../lib/operate/known-points.ts'
import { annotatePoint } from '../lib/repository/annotations.ts'
import type { Repository } from '../lib/repository/repository.ts'
import { rememberVm, vmHistoryOf } from '../lib/stages/vm-history.ts'
import type { Answer } from './answer.ts'
import { openRecords, openRepository } from './context.ts'
import { readSettings } from './settings.ts'
import { printable } from './terminal.ts'
import type { World } from './world.ts'

export type QuarantineCommand = {
  readonly vm: string
  /** Why it is lifted; null: it is only shown. */
  readonly lift: string | null
}

const JOBS_MAX = 1_000

export async function quarantine({ vm: name, lift }: QuarantineCommand, world: World): Promise<Answer> {
  const settings = await readSettings(world, ['repository'])
  using local = await openRecords(settings, world)

  const { jobStore } = local
  // Before the first backup there is none.
  const repository = await openRepository(settings, world).catch((error: unknown) => {
    if (hasCode(error, 'repository-missing')) return null
    throw error
  })
  const known = repository === null ? null : await readKnownPoints(repository, world)
  const jobs = await jobStore.recentJobs({ limit: JOBS_MAX }, world)
  const vm = vmNamed(name, [
    ...(known?.points ?? []).map(({ envelope, body }) => ({ vmId: envelope.vmId, name: body.vmName })),
    ...jobs.map((job) => job.vm),
  ])
  const call = { deps: { jobStore }, cancel: world }
  const before = await vmHistoryOf(vm, call.deps, world)
  if (lift === null) return answerOf(before, suspectPoints(known, vm.vmId), [])
  const at = isoTime(world.clock.nowMs())
  const by = world.environment['USER'] ?? world.environment['LOGNAME'] ?? 'unknown'
  const cleared = await clearPoints({ known, repository, vmId: vm.vmId, reason: lift, by }, world)
  await rememberVm(vm, (history) => withMarksLifted(history, { at, by, reason: lift }), call)
  return answerOf(await vmHistoryOf(vm, call.deps, world), [], cleared)
}

type Named = { readonly vmId: VmId; readonly name: string }

/** By instance uuid, or by a name that only one VM has or had. */
function vmNamed(name: string, vms: readonly Named[]): Named {
  const meant = vms.filter((vm) => vm.vmId === name.toLowerCase() || vm.name === name)
  const ids = [...new Set(meant.map(({ vmId }) => vmId))]
  const [first] = meant
  if (first !== undefined && ids.length === 1) return first
  if (first === undefined) {
    throw new BackupError(`Nothing is known of a VM "${name}": it has neither restore points nor jobs here`, {
      code: 'vm-not-found',
      kind: 'not-found',
      hint: '"coldframe points" and "coldframe jobs" list those that are known',
    })
  }
  throw new BackupError(`${ids.length} VMs are named "${name}": ${ids.join(', ')}`, {
    code: 'vm-ambiguous',
    kind: 'not-found',
    hint: 'Name it by its instance uuid',
  })
}

type SuspectPoint = {
  readonly sequence: number
  readonly pointId: string
  readonly reasons: readonly string[]
  readonly alarms: readonly AlarmId[]
}

function suspectPoints(known: KnownPoints | null, vmId: VmId): readonly SuspectPoint[] {
  const points = (known?.points ?? []).filter(({ envelope }) => envelope.vmId === vmId)
  return points.flatMap(({ envelope: { sequence, pointId } }) => {
    const own = known?.said.annotations.filter((one) => one.pointId === pointId) ?? []
    const suspicions = suspicionsOf(own.map(({ said }) => said))
    if (suspicions.length === 0) return []
    return [
      {
        sequence,
        pointId,
        reasons: suspicions.map(({ reason }) => reason),
        alarms: suspicions.map(({ alarm }) => alarm),
      },
    ]
  })
}

/** Before the marks are lifted: whoever is stopped in between lifts again. @returns sequences */
async function clearPoints(
  clear: {
    readonly known: KnownPoints | null
    readonly repository: Repository | null
    readonly vmId: VmId
    readonly reason: string
    readonly by: string
  },
  world: World,
): Promise<readonly number[]> {
  const { known, repository, vmId, reason, by } = clear
  if (known === null || repository === null) return []
  const { clock, random } = world
  const found = suspectPoints(known, vmId)
  for (const { sequence, alarms } of found) {
    const point = known.points.find(({ envelope }) => envelope.vmId === vmId && envelope.sequence === sequence)
    if (point === undefined) continue
    for (const alarm of alarms) {
      const said = { kind: 'cleared', reason, alarm, by } as const
      await annotatePoint({ repository, point: point.envelope, said, random, clock }, world)
    }
  }
  return found.map(({ sequence }) => sequence)
}

function answerOf(history: VmHistory, suspect: readonly SuspectPoint[], cleared: readonly number[]): Answer {
  const { name, vmId, quarantine: put, retentionFreeze, lifted } = history
  const lines = [
    put === null
      ? `VM "${name}" is not in quarantine`
      : `VM "${name}" is in quarantine since ${put.since}, for alarm "${put.alarmName}"`,
    ...(retentionFreeze === null
      ? []
      : [`No restore point of it is let go since ${retentionFreeze.since}, for alarm "${retentionFreeze.alarmName}"`]),
    ...suspect.map(({ sequence, reasons }) => `@${sequence}: SUSPECT: ${reasons.join('; ')}`),
    ...(cleared.length === 0 ? [] : [`Suspected no more: ${cleared.map((sequence) => `@${sequence}`).join(', ')}`]),
    ...lifted.map(
      (one) =>
        `${one.what} of ${one.since} (alarm "${one.alarmName}") lifted ${one.liftedAt} by ${one.by}: ${one.reason}`,
    ),
  ]
  return {
    data: { vm: name, vmId, quarantine: put, retentionFreeze, suspect, cleared, lifted },
    text: lines.map((line) => `${printable(line)}\n`).join(''),
    fault: null,
  }
}
