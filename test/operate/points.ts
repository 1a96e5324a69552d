// Restore points as tests of questions need them: only names and numbers matter.

import { BackupError } from '../../lib/base/errors.ts'
import { parsePointId, parseSessionId, parseVmId } from '../../lib/model/ids.ts'
import type { StoredPoint } from '../../lib/repository/point-object.ts'
import type { UnreadablePoint } from '../../lib/repository/points.ts'
import { sampleConfig } from '../kit/record-samples.ts'

export const vmOne = '502f1a2b-0000-4000-8000-000000000001'
export const vmTwo = '502f1a2b-0000-4000-8000-000000000002'

export type PointFacts = {
  readonly id: string
  readonly vm: string
  readonly vmId?: string
  readonly sequence: number
}

/** @param facts.id its beginning; filled up to 32 digits with zeros */
export function pointOf({ id, vm, vmId = vmOne, sequence }: PointFacts): StoredPoint {
  return {
    envelope: {
      repositoryId: '0'.repeat(32),
      pointId: parsePointId(id.padEnd(32, '0')),
      vmId: parseVmId(vmId),
      sequence,
      parentSequence: sequence === 1 ? null : sequence - 1,
      sessionId: parseSessionId(`${'0'.repeat(32)}-1`),
      capturedAt: '2026-01-02T03:04:05.678Z',
      sealedAt: '2026-01-02T03:05:05.678Z',
      retainUntil: null,
      kid: '0'.repeat(16),
      disks: [{ key: 2000, capacityBytes: 4096, chunkLog2: 18, root: null }],
      packSet: [],
    },
    body: {
      vmName: vm,
      vcenterId: null,
      snapshotName: 'coldframe-x',
      policyName: 'default',
      writer: 'coldframe/0',
      usage: null,
      grade: {
        requested: 'filesystem',
        reached: 'crash',
        quiesced: false,
        method: 'none',
        freezeMs: 0,
        snapshotMs: 1,
        fallbacks: [],
        proof: null,
      },
      config: sampleConfig(),
      disks: [],
      excludedDisks: [],
      notices: [],
      storedBytes: 0,
    },
  }
}

export function unreadableOf(facts: { readonly vmId: string; readonly sequence: number }): UnreadablePoint {
  const error = new BackupError('Its MAC does not fit', { code: 'integrity', kind: 'integrity' })
  return { ref: { vmId: parseVmId(facts.vmId), sequence: facts.sequence }, error }
}

/** The code and hint of what `action` throws. */
export function refusalOf(action: () => unknown): {
  readonly code: string
  readonly kind: string
  readonly hint: string
} {
  try {
    action()
  } catch (error) {
    if (error instanceof BackupError) return { code: error.code, kind: error.kind, hint: error.hint ?? '' }
    throw error
  }
  throw new Error('Nothing was refused')
}
