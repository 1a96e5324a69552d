// Lies about which blocks changed: replies, change ids, and what became of the disks between two backups.

import { MiB } from '../../lib/base/bytes.ts'
import type { AreasLie } from '../../sim/machine/types.ts'
import { type Chapter, ok, QUERY, READ, type Rule, warning, writes } from './lie.ts'

const areas = (lie: AreasLie): readonly Rule[] => [{ call: QUERY, nth: 1, mishap: { kind: 'areas', lie } }]

/** What could not be trusted is begun anew before the next backup. */
const unusable = {
  noticed: [{ read: 'query-failed' }],
  ends: warning('cbt-unavailable'),
  next: warning('cbt-reset'),
} as const

const replies: Chapter = {
  title: 'Replies about changed areas',
  lies: [
    { lie: 'Areas come out of order', rules: areas('disorder'), ...unusable },
    { lie: 'Areas overlap', rules: areas('overlap'), ...unusable },
    { lie: 'An area lies outside the window that the reply is about', rules: areas('outside'), ...unusable },
    { lie: 'The window reaches beyond the disk', rules: areas('beyond'), ...unusable },
    { lie: 'A reply covers nothing', rules: areas('nothing'), ...unusable },
    { lie: 'A reply begins elsewhere than it was asked to', rules: areas('wrong-start'), ...unusable },
    {
      lie: 'A later reply of the loop begins elsewhere',
      machine: { changeWindowBytes: 256 * 1024 },
      rules: [{ call: QUERY, nth: 3, mishap: { kind: 'areas', lie: 'wrong-start' } }],
      ...unusable,
    },
    {
      lie: '`FileFault` in the middle of the loop',
      machine: { changeWindowBytes: 256 * 1024 },
      rules: [{ call: QUERY, nth: 3, mishap: { kind: 'fault', fault: 'FileFault', message: 'Error caused by file' } }],
      ...unusable,
    },
    {
      lie: '`InvalidArgument: startOffset` in the middle of the loop',
      machine: { changeWindowBytes: 256 * 1024 },
      rules: [
        {
          call: QUERY,
          nth: 3,
          mishap: {
            kind: 'fault',
            fault: 'InvalidArgument',
            message: 'A specified parameter was not correct: startOffset',
            properties: { invalidProperty: 'startOffset' },
          },
        },
      ],
      ...unusable,
    },
    {
      lie: 'Everything is said to be changed',
      rules: areas('everything'),
      noticed: [{ readBytes: MiB }],
      ends: ok,
    },
  ],
}

const ids: Chapter = {
  title: 'Change ids and what they stand for',
  lies: [
    {
      lie: 'The counter went back',
      before: [{ action: 'change-tracking', body: { lie: 'rewind', by: 3 } }, ...writes],
      noticed: [{ read: 'change-id-went-back' }, { notice: 'cbt-reset' }],
      ends: warning('cbt-reset'),
      next: warning('cbt-reset'),
    },
    {
      lie: 'The same counter, of another chain',
      before: [{ action: 'change-tracking', body: { lie: 'other-uuid' } }],
      noticed: [{ read: 'change-id-other-chain' }, { notice: 'cbt-reset' }],
      ends: warning('cbt-reset'),
    },
    {
      lie: 'One disk has none',
      before: [{ action: 'change-tracking', body: { lie: 'no-change-id', deviceKey: 2001 } }],
      noticed: [{ read: 'no-change-id' }],
      ends: warning('cbt-unavailable'),
      next: warning('cbt-reset'),
    },
    {
      lie: 'The machine lost its power, and its tracking with it',
      before: [{ action: 'power-loss' }],
      noticed: [{ read: 'change-id-other-chain' }],
      ends: warning('cbt-reset'),
    },
    {
      lie: 'Somebody reverted the machine',
      before: [
        { action: 'snapshot', body: { name: 'mine' } },
        ...writes,
        { action: 'revert' },
        { action: 'remove-all-snapshots' },
        { action: 'power' },
      ],
      noticed: [{ read: 'change-id-other-chain' }],
      ends: warning('cbt-reset'),
    },
    {
      lie: 'All blocks are said to be written since',
      before: [{ action: 'change-tracking', body: { lie: 'exaggerate' } }],
      noticed: [{ readBytes: MiB }],
      ends: ok,
    },
    {
      lie: 'Tracking was turned off and on while a snapshot was there',
      before: [
        { action: 'snapshot', body: { name: 'mine' } },
        { action: 'change-tracking', body: { enabled: false } },
        { action: 'change-tracking', body: { enabled: true } },
        ...writes,
        { action: 'remove-all-snapshots' },
      ],
      noticed: [{ read: 'change-id-other-chain' }],
      ends: warning('cbt-reset'),
    },
  ],
}

const between: Chapter = {
  title: 'Between two backups',
  lies: [
    {
      lie: 'The disks moved to another datastore',
      before: [{ action: 'relocate', body: { datastore: 'ds2' } }],
      noticed: [{ harmless: 'a disk is known by its uuid, not by its path' }],
      ends: ok,
    },
    {
      lie: 'The disks moved, and tracking began anew',
      before: [{ action: 'relocate', body: { datastore: 'ds2', changeTracking: 'reset' } }],
      noticed: [{ read: 'change-id-other-chain' }],
      ends: warning('cbt-reset'),
    },
    {
      lie: 'A disk grew',
      before: [{ action: 'grow-disk', body: { deviceKey: 2000, capacityBytes: 2 * MiB } }, ...writes],
      noticed: [{ readBytes: MiB }],
      ends: ok,
    },
    {
      lie: 'A disk was added',
      before: [{ action: 'add-disk', body: { capacityBytes: MiB } }],
      noticed: [{ read: 'disk-added' }],
      ends: ok,
    },
    {
      lie: 'A disk was replaced by a new one at its place',
      before: [
        { action: 'remove-disk', body: { deviceKey: 2001 } },
        { action: 'add-disk', body: { capacityBytes: MiB } },
      ],
      noticed: [{ read: 'disk-replaced' }],
      ends: ok,
    },
    {
      lie: 'A disk was removed',
      before: [{ action: 'remove-disk', body: { deviceKey: 2001 } }],
      noticed: [{ harmless: 'the point holds the disks that were there' }],
      ends: ok,
    },
  ],
}

/** The audit reads everything that is called unchanged; with a smaller share the same is noticed some backups later. */
const audited = {
  policy: { changeTracking: { auditPercent: 100 } },
  noticed: [{ read: 'audit-mismatch' }],
  ends: warning('cbt-mismatch'),
  next: warning('cbt-reset'),
} as const

const silence: Chapter = {
  title: 'Changes that are left out, with an audit of 100 %',
  lies: [
    {
      lie: 'Half of the written blocks count as unwritten',
      before: [{ action: 'change-tracking', body: { lie: 'forget', share: 0.5, seed: 7 } }],
      ...audited,
    },
    {
      lie: 'All written blocks count as unwritten',
      before: [{ action: 'change-tracking', body: { lie: 'forget' } }],
      ...audited,
    },
    { lie: 'A reply leaves out every second area', rules: areas('leave-out'), ...audited },
    {
      lie: 'What was written while disks were merged is missing (VMware KB 317933)',
      before: [
        { action: 'snapshot', body: { name: 'theirs' } },
        { action: 'hold-consolidation', body: { ms: 50, deaf: true } },
        { action: 'remove-snapshot', body: { name: 'theirs' } },
        ...writes,
      ],
      ...audited,
    },
    {
      lie: 'The counter stands still, and what is written now belongs to the past',
      before: [{ action: 'change-tracking', body: { lie: 'rewind', by: 1 } }, ...writes],
      ...audited,
    },
  ],
}

/** What nobody can notice in time is noticed later. */
const later = {
  policy: { changeTracking: { auditPercent: 0 } },
  nextPolicy: { changeTracking: { auditPercent: 100 } },
  ends: ok,
  next: warning('cbt-mismatch'),
  unproven: [2],
  quiet: true,
} as const

const unaudited: Chapter = {
  title: 'The same with no audit, and with one in the next backup',
  lies: [
    {
      lie: 'Written blocks count as unwritten',
      before: [{ action: 'change-tracking', body: { lie: 'forget' } }],
      noticed: [{ later: 'the next audit finds that chunks differ' }],
      ...later,
    },
    {
      lie: 'Reads of changed blocks are answered with the bytes of another place, under the right heads',
      rules: [{ call: READ, nth: 2, times: 6, mishap: { kind: 'other-bytes' } }],
      noticed: [{ later: 'the next audit finds that chunks differ' }],
      ...later,
    },
  ],
}

export const TRACKING_LIES: readonly Chapter[] = [replies, silence, unaudited, ids, between]
