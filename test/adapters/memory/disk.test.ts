import { memoryDisk, memoryTarget } from '../../../lib/adapters/memory/disk.ts'
import { memoryDiskSource } from '../../../lib/adapters/memory/transport.ts'
import { describeDiskSource } from '../../contract/disk-source.ts'
import { describeDiskStream } from '../../contract/disk-stream.ts'
import { describeDiskTarget } from '../../contract/disk-target.ts'

describeDiskSource('a disk in memory', async (image) => memoryDisk(image))

describeDiskStream('a stream of a disk in memory', async (image) => memoryDiskSource(image, { access: 'sequential' }))

describeDiskTarget('a target in memory', async (capacityBytes) => {
  const target = memoryTarget(capacityBytes)
  return { target, finished: async () => (target.committed() ? target.bytes() : null) }
})
