// trackingNotice(): one notice a job, and none of what is known already.

import { describe, expect, it } from 'vitest'
import type { WholeCause } from '../../lib/model/point.ts'
import type { Reading } from '../../lib/mover/decide.ts'
import { trackingNotice } from '../../lib/mover/tracking-notice.ts'
import { sampleDisk } from '../kit/record-samples.ts'
import { pointDisk } from './point-disk.ts'

function told(label: string, reading: Reading) {
  return { disk: { ...sampleDisk(), label }, reading }
}

function compared(
  label: string,
  { cause, reason = 'It broke', before = null }: { cause: WholeCause; reason?: string; before?: string | null },
) {
  const parent = pointDisk({ readModeCode: before })
  return told(label, { kind: 'differential', parent, why: { cause, reason } })
}

const fine = told('Fine', { kind: 'incremental', parent: pointDisk(), changeId: 'a/1', grownFromBytes: null })

describe('trackingNotice()', () => {
  it('says nothing when every disk was read by its changes, or is new, or was replaced', () => {
    expect(trackingNotice([])).toBeNull()
    expect(trackingNotice([fine, told('First', { kind: 'full', why: null })])).toBeNull()
    expect(
      trackingNotice([compared('a', { cause: 'disk-replaced' }), compared('b', { cause: 'disk-added' })]),
    ).toBeNull()
  })

  it('tells of all disks in one notice, named by the gravest cause', () => {
    const notice = trackingNotice([
      compared('a', { cause: 'query-failed', reason: 'Changed areas could not be read: FileFault' }),
      compared('b', { cause: 'change-id-went-back', reason: 'The change counter went back' }),
      fine,
      compared('c', { cause: 'query-failed', reason: 'Changed areas could not be read: FileFault' }),
    ])
    expect(notice).toMatchObject({
      code: 'cbt-reset',
      message:
        'Disks "a", "c" were read whole: changed areas could not be read: FileFault; Disk "b" was read whole: the change counter went back',
    })
  })

  it('stays short with many disks', () => {
    const many = Array.from({ length: 60 }, (_, i) => compared(`d${i}`, { cause: 'tracking-off' }))
    expect(trackingNotice(many)?.message).toBe('Disks "d0", "d1", "d2" and 57 more were read whole: it broke')
    const reasons = many.map((_, i) => compared(`d${i}`, { cause: 'query-failed', reason: `Reason ${i}` }))
    expect(trackingNotice(reasons)?.message).toMatch(/and 57 more reasons$/)
  })

  it('says a lasting state once, and again when it becomes another', () => {
    expect(trackingNotice([compared('a', { cause: 'tracking-off', before: 'tracking-off' })])).toBeNull()
    expect(trackingNotice([compared('a', { cause: 'query-failed', before: 'tracking-off' })])).toMatchObject({
      code: 'cbt-unavailable',
    })
    const one = trackingNotice([
      compared('old', { cause: 'tracking-off', before: 'tracking-off' }),
      compared('new', { cause: 'tracking-off' }),
    ])
    expect(one?.message).toBe('Disk "new" was read whole: it broke')
  })

  it('says a mismatch of the audit each time', () => {
    const again = compared('a', { cause: 'audit-mismatch', before: 'audit-mismatch' })
    expect(trackingNotice([again, compared('b', { cause: 'tracking-off' })])).toMatchObject({ code: 'cbt-mismatch' })
  })
})
