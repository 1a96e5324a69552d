// Puts and ranged reads by our store and by AWS's SDK in this process, in turns; the processor time is this process's.

import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { DEFAULT_PATIENCE, s3Client } from '../../lib/adapters/aws/s3-client.ts'
import { s3Store } from '../../lib/adapters/aws/s3-store.ts'
import { KiB, MiB } from '../../lib/base/bytes.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { seededRandom, systemRandom } from '../../lib/base/random.ts'
import type { Line, Sample } from './report.ts'

const cancel = { signal: new AbortController().signal }
const credentials = { accessKeyId: 'AKIDBENCH', secretAccessKey: 'nobody' }
const region = 'eu-central-1'

type Work = {
  readonly name: string
  readonly bytes: number
  readonly count: number
  readonly inFlight: number
  readonly by: Readonly<Record<'ours' | 'sdk', (index: number) => Promise<unknown>>>
}

export async function measure(options: {
  readonly endpoint: string
  readonly rounds: number
}): Promise<readonly Line[]> {
  const works = worksOf(options.endpoint)
  const lines: Line[] = []
  for (const work of works) {
    const samples: Record<'ours' | 'sdk', Sample[]> = { ours: [], sdk: [] }
    // The first round of each warms up: connections, compiled code.
    for (let round = 0; round <= options.rounds; round++) {
      for (const who of ['ours', 'sdk'] as const) {
        const sample = await run(work, who)
        if (round > 0) samples[who].push(sample)
      }
    }
    lines.push({ name: work.name, ...samples })
  }
  return lines
}

function worksOf(endpoint: string): readonly Work[] {
  const connectionsMax = 16
  const client = s3Client({
    ...{ bucket: 'bench', region, endpoint, clock: systemClock, random: systemRandom, connectionsMax },
    credentials: { read: async () => credentials },
    patience: DEFAULT_PATIENCE,
    idleMs: 30_000,
    limitMs: 60_000,
  })
  const store = s3Store({ client, prefix: '', lock: null, kmsKey: null, clock: systemClock, random: systemRandom })
  const sdk = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  const pack = Buffer.from(seededRandom(1).bytes(16 * MiB))
  const targets = Array.from({ length: 16 }, () => new Uint8Array(128 * KiB))
  return [
    {
      name: 'put 16 MiB',
      ...{ bytes: pack.byteLength, count: 32, inFlight: 8 },
      by: {
        ours: (index) => store.putIfAbsent({ key: `p/00/${index}`, bytes: pack }, cancel),
        sdk: (index) => sdk.send(new PutObjectCommand({ Bucket: 'bench', Key: `p/00/${index}`, Body: pack })),
      },
    },
    {
      name: 'get a range of 128 KiB',
      ...{ bytes: 128 * KiB, count: 2_000, inFlight: 16 },
      by: {
        ours: (index) =>
          store.getRange({ key: 'p/00/1', offsetBytes: index, target: targetOf(targets, index) }, cancel),
        sdk: async (index) => {
          const Range = `bytes=${index}-${index + 128 * KiB - 1}`
          const { Body } = await sdk.send(new GetObjectCommand({ Bucket: 'bench', Key: 'p/00/1', Range }))
          targetOf(targets, index).set((await Body?.transformToByteArray()) ?? new Uint8Array())
        },
      },
    },
  ]
}

function targetOf(targets: readonly Uint8Array[], index: number): Uint8Array {
  const target = targets[index % targets.length]
  if (target === undefined) throw new Error('there are targets')
  return target
}

async function run({ by, bytes, count, inFlight }: Work, who: 'ours' | 'sdk'): Promise<Sample> {
  const cpu = process.cpuUsage()
  const start = performance.now()
  let next = 0
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (next < count) await by[who](next++)
    }),
  )
  const { user, system } = process.cpuUsage(cpu)
  return { bytes: bytes * count, count, seconds: (performance.now() - start) / 1000, cpuSeconds: (user + system) / 1e6 }
}
