// What the doctor predicts: grade by the ladder, transport by the policy's order, time by what was measured.

import { describe, expect, it } from 'vitest'
import { predictGrade, predictTime, predictTransports } from '../../../lib/operate/doctor/predict.ts'
import type { Transport } from '../../../lib/ports/transport.ts'
import { diskOf, GiB, MiB, policyOf, vmOf } from './facts.ts'

const never = { open: () => Promise.reject(new Error('not opened')) }
const transports: readonly Transport[] = [
  { name: 'nbdssl', refusal: () => null, ...never },
  { name: 'datastore', refusal: ({ disk }) => (disk.encrypted ? 'it is encrypted' : null), ...never },
]

describe('the transport', () => {
  const none: ReadonlySet<string> = new Set()

  const policy = policyOf({ transport: ['san', 'datastore', 'nbdssl'] })

  it('is the first of the order that reads the disk, with the reasons of those before it', () => {
    const vm = vmOf({ disks: [diskOf(), diskOf({ key: 2001, label: 'Hard disk 2', encrypted: true })] })
    const disks = predictTransports(vm, policy, { transports, blockers: new Map(), objectStores: none })
    expect(disks.map(({ transport, reasons }) => ({ transport, reasons }))).toEqual([
      { transport: 'datastore', reasons: ['san: not available here'] },
      { transport: 'nbdssl', reasons: ['san: not available here', 'datastore: it is encrypted'] },
    ])
  })

  it('is not datastore where there are no files', () => {
    const objectStores = new Set(['ds1'])
    const [disk] = predictTransports(vmOf(), policy, { transports, blockers: new Map(), objectStores })
    expect(disk).toMatchObject({
      transport: 'nbdssl',
      reasons: [expect.anything(), 'datastore: its datastore "ds1" keeps objects, not files'],
    })
  })

  it('is none where something stands in the way of all, and left-out disks need none', () => {
    const blockers = new Map([
      ['datastore', ['a right is missing']],
      ['nbdssl', ['"esx:902" cannot be reached']],
    ] as const)
    const [disk] = predictTransports(vmOf(), policy, { transports, blockers, objectStores: none })
    expect(disk).toMatchObject({
      transport: null,
      reasons: ['san: not available here', 'datastore: a right is missing', 'nbdssl: "esx:902" cannot be reached'],
    })
    const without = policyOf({ disks: { exclude: ['Hard disk 1'] } })
    expect(predictTransports(vmOf(), without, { transports, blockers, objectStores: none })).toEqual([])
  })
})

describe('the grade', () => {
  it('is that of the first rung, and none where the policy asks for more', () => {
    const none = { kind: 'none', why: 'no way in' } as const
    expect(predictGrade(vmOf(), policyOf(), none)).toEqual({ grade: 'filesystem', reasons: [] })
    expect(predictGrade(vmOf({ powerState: 'poweredOff' }), policyOf(), none).grade).toBe('offline')
    const { consistency } = policyOf()
    const strict = policyOf({ consistency: { ...consistency, want: 'application', require: 'application' } })
    const { grade, reasons } = predictGrade(vmOf(), strict, none)
    expect(grade).toBeNull()
    expect(reasons).not.toEqual([])
  })

  it('is application where a script would freeze the guest, and says why not where nobody gets in', () => {
    const script = { bundle: 'scripts/a', sha256: '', entry: 'a.sh', timeoutMs: 1, successCodes: [0], elevated: false }
    const { consistency, guest } = policyOf()
    const policy = policyOf({
      consistency: { ...consistency, want: 'application' },
      guest: { ...guest, mode: 'try', credentials: 'db' },
      scripts: { linux: { preFreeze: script }, windows: {}, freezeLimitMs: 1 },
    })
    expect(predictGrade(vmOf(), policy, { kind: 'likely' })).toMatchObject({ grade: 'application', reasons: [] })
    expect(predictGrade(vmOf(), policy, { kind: 'none', why: 'the network is away' })).toEqual({
      grade: 'filesystem',
      reasons: ['the network is away'],
    })
  })
})

describe('the time', () => {
  const disk = { key: 2000, label: 'd', capacityBytes: 10 * GiB, transport: 'datastore', reasons: [] } as const

  it('is a range that is said to be assumed where nothing was measured', () => {
    const { full, incremental, basis } = predictTime([disk], { past: [], whole: null })
    expect(full?.fromMs).toBeCloseTo(102_400)
    expect(full?.toMs).toBeCloseTo(512_000)
    expect(incremental?.toMs).toBeLessThan(full?.fromMs ?? 0)
    expect(basis).toMatch(/^assumed, not measured: 20 to 100 MiB a second/)
  })

  it('comes from what this VM took before', () => {
    const past = [
      { readBytes: 100 * MiB, elapsedMs: 2_000 },
      { readBytes: 10 * GiB, elapsedMs: 102_400 },
    ]
    const { full, incremental, basis } = predictTime([disk], { past, whole: null })
    expect(full).toEqual({ fromMs: 102_400, toMs: 204_800 })
    expect(incremental).toEqual({ fromMs: 2_000, toMs: 2_000 })
    expect(basis).toMatch(/^measured: this VM's last 2 backups read 50 MiB to 100 MiB a second$/)
  })

  it('does not make a rate of a few bytes, nor of no time', () => {
    expect(predictTime([disk], { past: [{ readBytes: 4096, elapsedMs: 900 }], whole: null }).basis).toContain('assumed')
    expect(predictTime([disk], { past: [{ readBytes: GiB, elapsedMs: 0 }], whole: null }).basis).toContain('assumed')
  })

  it('is that of a full for each backup where whole disks are read', () => {
    const { full, incremental, basis } = predictTime([disk], { past: [], whole: 'tracking is off' })
    expect(incremental).toEqual(full)
    expect(basis).toContain('each backup reads whole disks: tracking is off')
  })

  it('is unknown where a disk cannot be read, or there is none', () => {
    expect(predictTime([{ ...disk, transport: null }], { past: [], whole: null }).full).toBeNull()
    expect(predictTime([], { past: [], whole: null }).full).toBeNull()
  })
})
