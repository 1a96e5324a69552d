import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  jobIdOf,
  parseJobId,
  parseMoref,
  parsePolicyName,
  parseRunId,
  parseSessionId,
  parseSnapshotName,
  parseVmId,
  runIdOf,
  sessionIdOf,
  snapshotNameOf,
} from '../../lib/model/ids.ts'

const uuid = fc.uuid().map(parseVmId)
const hex32 = fc.stringMatching(/^[0-9a-f]{32}$/)

describe('ids', () => {
  it('of runs and jobs are the same for the same cause, and others for another', () => {
    const gold = parsePolicyName('gold')
    const run = runIdOf({ policy: gold, key: 'k1' })

    expect(runIdOf({ policy: gold, key: 'k1' })).toBe(run)
    expect(runIdOf({ policy: gold, key: 'k2' })).not.toBe(run)
    expect(runIdOf({ policy: parsePolicyName('silver'), key: 'k1' })).not.toBe(run)
    // Joined without a border, these two would be one.
    expect(runIdOf({ policy: parsePolicyName('a'), key: 'bc' })).not.toBe(
      runIdOf({ policy: parsePolicyName('ab'), key: 'c' }),
    )
    fc.assert(
      fc.property(hex32, uuid, uuid, (text, first, second) => {
        const id = parseRunId(text)
        expect(jobIdOf(id, first)).toBe(jobIdOf(id, first))
        expect(jobIdOf(id, first) === jobIdOf(id, second)).toBe(first === second)
      }),
    )
  })

  it('of VMs do not depend on the case that vCenter writes them in', () => {
    expect(parseVmId('502F1A2B-0000-4000-8000-00000000ABCD')).toBe('502f1a2b-0000-4000-8000-00000000abcd')
  })

  it('are refused with what they must be', () => {
    expect(() => parseJobId('XYZ')).toThrow(/job id "XYZ": must be 32 lower-case hex digits/)
    expect(() => parseVmId('vm-1')).toThrow(/must be a uuid/)
    expect(() => parseMoref('')).toThrow(/printable/)
    expect(() => parseMoref('vm 1')).toThrow(/printable/)
    expect(() => parsePolicyName('-gold')).toThrow(/starting with a letter or digit/)
    expect(() => parsePolicyName('a'.repeat(65))).toThrow(/1 to 64/)
    for (const text of ['', `${'a'.repeat(32)}-0`, `${'a'.repeat(32)}-01`, `${'a'.repeat(32)}-10000`, 'a-1']) {
      expect(() => parseSessionId(text)).toThrow(/must be a job id/)
    }
  })
})

describe('names of snapshots', () => {
  it('come back as they were made', () => {
    fc.assert(
      fc.property(
        hex32.map(parseJobId),
        fc.constantFrom('backup' as const, 'stun' as const),
        fc.integer({ min: 1, max: 9999 }),
        (job, purpose, attempt) => {
          const name = snapshotNameOf({ job, purpose, attempt })
          expect(name.length).toBeLessThanOrEqual(80)
          expect(parseSnapshotName(name)).toEqual({ job, purpose, attempt })
          expect(sessionIdOf(job, attempt)).toBe(parseSessionId(sessionIdOf(job, attempt)))
        },
      ),
    )
  })

  it('of others are never taken for ours', () => {
    const job = 'a'.repeat(32)
    for (const name of [
      '',
      'VEEAM BACKUP TEMPORARY SNAPSHOT',
      `coldframe-${job}-backup-0`,
      `coldframe-${job}-backup-01`,
      `coldframe-${job}-backup-1 `,
      `x coldframe-${job}-backup-1`,
      `coldframe-${job}-restore-1`,
      `coldframe-${job.toUpperCase()}-backup-1`,
      `coldframe-${job}-backup-1\n`,
    ]) {
      expect(parseSnapshotName(name)).toBe(null)
    }
  })
})
