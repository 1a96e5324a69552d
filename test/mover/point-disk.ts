// A point's record of a disk, plausible in all parts; override what a test is about.

import type { PointDisk } from '../../lib/model/point.ts'

export function pointDisk(change: Partial<PointDisk> = {}): PointDisk {
  return {
    key: 2000,
    label: 'Hard disk 1',
    capacityBytes: 1 << 20,
    chunkLog2: 18,
    fileName: '[ds] vm/vm_2000.vmdk',
    backingUuid: 'uuid-2000-1',
    changeId: '52 2000 1/1',
    readMode: 'full',
    readModeReason: null,
    readModeCode: null,
    transport: 'datastore',
    audit: null,
    readBytes: 0,
    newChunks: 0,
    newPlainBytes: 0,
    newStoredBytes: 0,
    ...change,
  }
}
