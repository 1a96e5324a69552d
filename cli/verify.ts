// coldframe verify: reads and authenticates everything that a restore point reaches, and reports every fault.

import { BackupError } from '../lib/base/errors.ts'
import { formatBytes, formatDuration } from '../lib/base/text.ts'
import { findPoint } from '../lib/operate/find-point.ts'
import { type KnownPoints, readKnownPoints } from '../lib/operate/known-points.ts'
import { doubtWords, type PointProof } from '../lib/operate/point-proof.ts'
import type { PointRef } from '../lib/repository/object-keys.ts'
import type { Repository } from '../lib/repository/repository.ts'
import { type VerifyFault, type VerifyReport, verifyPoint } from '../lib/repository/verify.ts'
import type { Answer } from './answer.ts'
import { isRepositoryElsewhere, openRepository } from './context.ts'
import { engineOf } from './open-engine.ts'
import { answerOfOperation } from './operation-answer.ts'
import { openProgress, type Progress } from './progress.ts'
import { readSettings } from './settings.ts'
import { printable } from './terminal.ts'
import type { World } from './world.ts'

export type VerifyCommand = { readonly point?: string; readonly all: boolean }

type Target = {
  readonly ref: PointRef
  readonly title: string
  /** Null for a point that cannot be read: its id and its VM's name are not known. */
  readonly id: string | null
  readonly vm: string | null
  /** Null for a point that cannot be read. */
  readonly proof: PointProof | null
}

type Verified = Omit<Target, 'ref' | 'title'> & PointRef & VerifyReport & { readonly elapsedMs: number }

export async function verify(command: VerifyCommand, world: World): Promise<Answer> {
  if ((command.point === undefined) === !command.all) {
    throw new BackupError(command.all ? 'Give either a point or --all, not both' : 'Nothing says what to verify', {
      code: 'usage',
      kind: 'usage',
      hint: 'Give one restore point, or --all',
    })
  }
  if (await isRepositoryElsewhere(world)) return verifyByTask(command, world)
  const settings = await readSettings(world, ['repository'])
  const repository = await openRepository(settings, world)
  const targets = targetsOf(command, await readKnownPoints(repository, world))
  using progress = openProgress({ stream: world.progress, clock: world.clock })

  const points: Verified[] = []
  for (const target of targets) points.push(await verifyOne({ repository, target, progress }, world))
  return { data: { points }, text: textOf(points), fault: faultOf(points) }
}

/** Where only the engine can reach the repository, one of its tasks reads it. */
async function verifyByTask({ point }: VerifyCommand, world: World): Promise<Answer> {
  using progress = openProgress({ stream: world.progress, clock: world.clock })

  const request = { kind: 'verify', point: point ?? null, deep: true } as const
  return answerOfOperation(await engineOf(world).operate({ request, key: null }, progress))
}

function targetsOf(command: VerifyCommand, known: KnownPoints): readonly Target[] {
  const points = command.point === undefined ? known.points : [findPoint(command.point, known)]
  const readable = points.map(({ envelope, body }) => ({
    ref: { vmId: envelope.vmId, sequence: envelope.sequence },
    title: `${body.vmName}@${envelope.sequence}`,
    id: envelope.pointId,
    vm: body.vmName,
    proof: known.proofs.get(envelope.pointId) ?? null,
  }))
  if (command.point !== undefined) return readable
  const damaged = known.unreadable.map(({ ref }) => ({
    ref,
    title: `${ref.vmId}@${ref.sequence}`,
    id: null,
    vm: null,
    proof: null,
  }))
  return [...readable, ...damaged]
}

async function verifyOne(
  options: { readonly repository: Repository; readonly target: Target; readonly progress: Progress },
  world: World,
): Promise<Verified> {
  const { repository, progress } = options
  const { ref, title, id, vm, proof } = options.target
  const startMs = world.clock.monotonicMs()
  const report = await verifyPoint(
    {
      repository,
      ref,
      level: 'chunks',
      onProgress: ({ diskKey, ...bytes }) =>
        progress.show({ id: `${title} ${diskKey}`, title: `${title}, disk ${diskKey}`, note: '', ...bytes }),
    },
    world,
  )
  return { id, vm, proof, ...ref, ...report, elapsedMs: Math.round(world.clock.monotonicMs() - startMs) }
}

function textOf(points: readonly Verified[]): string {
  if (points.length === 0) return 'No restore points yet\n'
  return points
    .flatMap(linesOf)
    .map((line) => `${printable(line)}\n`)
    .join('')
}

function linesOf(point: Verified): readonly string[] {
  const name = `${point.vm ?? point.vmId}@${point.sequence}`
  const read = `${point.chunks} chunks (${formatBytes(point.plainBytes)}), ${point.pages} pages, ${point.packs} packs`
  const doubt = point.proof?.state === 'unproven' ? [`  ${doubtWords(point.proof)}`] : []
  if (point.faultCount === 0) return [`${name}: whole: ${read}, ${formatDuration(point.elapsedMs)}`, ...doubt]
  const more = point.faultCount - point.faults.length
  return [
    `${name}: DAMAGED: ${point.faultCount === 1 ? '1 fault' : `${point.faultCount} faults`}; readable: ${read}`,
    ...point.faults.map((fault) => `  ${faultText(fault)}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
    ...doubt,
  ]
}

function faultText({ place, lost, message }: VerifyFault): string {
  if (lost === null) return `${place}: ${message}`
  return `${place}: ${message}; lost: ${lost.lengthBytes} bytes from ${lost.offsetBytes} of disk ${lost.diskKey}`
}

function faultOf(points: readonly Verified[]): BackupError | null {
  const damaged = points.filter((point) => point.faultCount > 0)
  const [first] = damaged
  if (first === undefined) return null
  const what =
    points.length === 1
      ? 'The restore point is damaged'
      : `${damaged.length} of ${points.length} restore points are damaged`
  return new BackupError(`${what}: ${first.faults[0]?.message ?? 'see the list'}`, {
    code: 'integrity',
    kind: 'integrity',
    hint: 'Look at the storage that holds the repository; what is not named as lost can still be restored',
    facts: { damaged: damaged.map(({ vm, vmId, sequence }) => `${vm ?? vmId}@${sequence}`) },
  })
}
