// Whether restored files are what the simulator froze, byte for byte.

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import type { Cancel } from '../lib/base/time-limit.ts'

/** SHA-256 of a whole file, lower-case hex. */
export async function digestOf(path: string, { signal }: Cancel): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: 4 * 1024 * 1024 }), hash, { signal })
  return hash.digest('hex')
}
