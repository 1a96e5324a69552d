import { memoryDisk, memoryTarget } from '../../../lib/adapters/memory/disk.ts'
import { describeDiskSource } from '../../contract/disk-source.ts'
import { describeDiskTarget } from '../../contract/disk-target.ts'

describeDiskSource('a disk in memory', async (image) => memoryDisk(image))

describeDiskTarget('a target in memory', async (capacityBytes) => {
  const target = memoryTarget(capacityBytes)
  return { target, finished: async () => (target.committed() ? target.bytes() : null) }
})
