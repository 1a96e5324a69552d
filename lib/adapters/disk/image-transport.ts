// A transport that reads raw image files of this machine: a disk's file name is a path. For benchmarks and tests.

import type { Transport } from '../../ports/transport.ts'
import { openRawFileSource } from './raw-source.ts'

export function imageTransport(): Transport {
  return {
    name: 'image',
    refusal: ({ disk }) => (disk.fileName.startsWith('[') ? 'its file lies in a datastore' : null),
    open: ({ disk }, cancel) => openRawFileSource({ path: disk.fileName }, cancel),
  }
}
