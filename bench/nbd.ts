// Compares our NBD client with nbdcopy on the same nbdkit, interleaved: `node bench/nbd.ts [--json] [--gib 2] [--rounds 5]`.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { openNbdSource } from '../lib/adapters/disk/nbd-source.ts'
import { GiB, KiB, MiB } from '../lib/base/bytes.ts'
import { systemClock } from '../lib/base/clock.ts'
import { seededRandom } from '../lib/base/random.ts'

const signal = new AbortController().signal

type Run = { readonly client: string; readonly seconds: number; readonly cpuSeconds: number }

/** The whole export, its bytes thrown away. */
async function runOurs(unix: string, request: { readonly readBytes: number; readonly depth: number }): Promise<Run> {
  const cpu = process.cpuUsage()
  const start = performance.now()
  const options = { exportName: '', clock: systemClock, random: seededRandom(1), readsMax: request.depth }
  await using source = await openNbdSource({ ...options, address: { unix } }, { signal })
  let next = 0
  await Promise.all(
    Array.from({ length: request.depth }, async () => {
      const target = new Uint8Array(request.readBytes)
      for (let at = next; at < source.capacityBytes; at = next) {
        next = at + request.readBytes
        await source.read({ offsetBytes: at, target }, { signal })
      }
    }),
  )
  const seconds = (performance.now() - start) / 1000
  const used = process.cpuUsage(cpu)
  return {
    client: `ours ${request.readBytes / KiB} KiB × ${request.depth}`,
    seconds,
    cpuSeconds: (used.user + used.system) / 1e6,
  }
}

/** The same with nbdcopy, every byte transferred; its processor time is that of the shell's children. */
function runNbdcopy(unix: string, readBytes: number): Run {
  const uri = `nbd+unix:///?socket=${unix}`
  const command = `nbdcopy --connections=1 --request-size=${readBytes} --allocated '${uri}' null: && times`
  const start = performance.now()
  const result = spawnSync('bash', ['-c', command], { encoding: 'utf8' })
  const seconds = (performance.now() - start) / 1000
  if (result.status !== 0) throw new Error(result.stderr)
  const times = [...(result.stdout.trim().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)]
  const cpuSeconds = times.reduce((sum, [, minutes, rest]) => sum + Number(minutes) * 60 + Number(rest), 0)
  return { client: `nbdcopy ${readBytes / KiB} KiB × 64`, seconds, cpuSeconds }
}

async function startNbdkit(folder: string, sizeBytes: number) {
  const file = join(folder, 'disk.raw')
  await using image = await open(file, 'wx')
  const block = seededRandom(1).bytes(16 * MiB)
  for (let at = 0; at < sizeBytes; at += block.byteLength) await image.write(block, 0, block.byteLength, at)
  const unix = join(folder, 'nbd.sock')
  const child = spawn('nbdkit', ['-f', '-r', '-U', unix, '--filter=noextents', 'file', file], { stdio: 'inherit' })
  while (!existsSync(unix)) {
    if (child.exitCode !== null) throw new Error('nbdkit did not start')
    await delay(20)
  }
  return { unix, child }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    gib: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' },
  },
})
const sizeBytes = Number(values.gib) * GiB
const folder = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'coldframe-bench-'))
try {
  const { unix, child } = await startNbdkit(folder, sizeBytes)
  const runs: Run[] = []
  try {
    for (let round = 0; round < Number(values.rounds); round++) {
      runs.push(runNbdcopy(unix, 256 * KiB), await runOurs(unix, { readBytes: 256 * KiB, depth: 16 }))
      runs.push(runNbdcopy(unix, MiB), await runOurs(unix, { readBytes: MiB, depth: 16 }))
    }
  } finally {
    child.kill()
    await once(child, 'exit')
  }
  const clients = [...new Set(runs.map(({ client }) => client))].map((client) => {
    const own = runs.filter((run) => run.client === client)
    return {
      client,
      bytesPerSecond: Math.round(sizeBytes / median(own.map(({ seconds }) => seconds))),
      bytesPerCpuSecond: Math.round(sizeBytes / median(own.map(({ cpuSeconds }) => cpuSeconds))),
    }
  })
  const best = (name: string, figure: 'bytesPerSecond' | 'bytesPerCpuSecond') =>
    Math.max(...clients.filter(({ client }) => client.startsWith(name)).map((row) => row[figure]))
  const ratioOf = (figure: 'bytesPerSecond' | 'bytesPerCpuSecond') =>
    Number((best('ours', figure) / best('nbdcopy', figure)).toFixed(2))
  const ratio = ratioOf('bytesPerSecond')
  const cpuRatio = ratioOf('bytesPerCpuSecond')
  if (values.json)
    process.stdout.write(`${JSON.stringify({ v: 1, ok: true, data: { sizeBytes, clients, ratio, cpuRatio } })}\n`)
  else {
    for (const row of clients) {
      const speed = `${Math.round(row.bytesPerSecond / 1e6)} MB/s`.padStart(10)
      process.stdout.write(
        `${row.client.padEnd(26)}${speed}${String(Math.round(row.bytesPerCpuSecond / 1e6)).padStart(8)} MB per CPU second\n`,
      )
    }
    process.stdout.write(`ours to nbdcopy: ${ratio} (goal 0.95 on a quiet machine), ${cpuRatio} by processor time\n`)
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
