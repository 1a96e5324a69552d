// What the VDDK transports refuse before anything is started, and in which words.

import { describe, expect, it } from 'vitest'
import { type VddkTransportOptions, vddkTransports } from '../../../lib/adapters/disk/vddk-transport.ts'
import { manualClock } from '../../../lib/base/clock.ts'
import { systemRandom } from '../../../lib/base/random.ts'
import type { VmDisk } from '../../../lib/model/vm.ts'
import { diskRequest } from '../../real/vddk/site.ts'

const cancel = { signal: new AbortController().signal }

function refusalsOf(disk: Partial<VmDisk>, change: Partial<VddkTransportOptions> = {}) {
  const request = diskRequest({ fileName: '[ds1] a/a.vmdk', capacityBytes: 1024, ...disk })
  const transports = vddkTransports({
    presence: { kind: 'there', nbdkit: '/nowhere/nbdkit', libdir: '/nowhere' },
    plugin: 'vddk',
    compression: 'none',
    nfcPort: null,
    hotadd: true,
    login: () => Promise.reject(new Error('Nobody logs in for a disk that is refused')),
    findAgain: async () => null,
    clock: manualClock(),
    random: systemRandom,
    ...change,
  })
  return { request, transports, reasons: transports.map(({ name, refusal }) => [name, refusal(request)]) }
}

const nothing = [
  ['san', null],
  ['hotadd', null],
  ['nbdssl', null],
  ['nbd', null],
]

describe('the VDDK transports', () => {
  it('take disks of every kind that a snapshot holds', () => {
    for (const disk of [
      {},
      { parents: ['[ds1] a/b.vmdk'] },
      { backing: 'sesparse' },
      { backing: 'rdm-virtual' },
    ] as const)
      expect(refusalsOf(disk).reasons).toEqual(nothing)
  })

  it('refuse what no snapshot freezes', () => {
    for (const mode of ['independent_persistent', 'independent_nonpersistent'] as const)
      for (const [, reason] of refusalsOf({ mode }).reasons) expect(reason).toMatch(/independent/)
    for (const [, reason] of refusalsOf({ backing: 'rdm-physical' }).reasons) expect(reason).toMatch(/raw device/)
  })

  it('read encrypted disks over nbdssl and hotadd only', () => {
    const refusing = refusalsOf({ encrypted: true }).reasons.filter(([, reason]) => reason !== null)
    expect(refusing.map(([name]) => name)).toEqual(['san', 'nbd'])
  })

  it('attach nothing where no VM of the mover is named', () => {
    const refusing = refusalsOf({}, { hotadd: false }).reasons.filter(([, reason]) => reason !== null)
    expect(refusing).toEqual([['hotadd', expect.stringContaining('COLDFRAME_MOVER_VM')]])
  })

  it('say what is missing on this machine, also when a disk is opened all the same', async () => {
    const reason = 'nbdkit is not found ("nbdkit")'
    const { transports, reasons, request } = refusalsOf({}, { presence: { kind: 'absent', reason, hint: '' } })
    expect(reasons.map(([, said]) => said)).toEqual([reason, reason, reason, reason])
    for (const transport of transports) {
      const error = await transport.open(request, cancel).catch((failure: unknown) => failure)
      expect(error).toMatchObject({ code: 'transport-refused', facts: { transport: transport.name, reason } })
    }
  })
})
