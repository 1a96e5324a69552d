// npm run bench: a full backup of an image beside `zstd -1 -T2` on the same image, interleaved; then 1 % changed, and restore.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { MiB } from '../lib/base/bytes.ts'
import { formatBytes } from '../lib/base/text.ts'
import { changeImage, makeImage } from './make-image.ts'

const { values } = parseArgs({
  options: {
    'size-mib': { type: 'string', default: '2048' },
    rounds: { type: 'string', default: '3' },
    workers: { type: 'string', default: '2' },
    folder: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  process.stdout.write(
    'Usage: npm run bench [-- --size-mib 2048] [--rounds 3] [--workers 2] [--folder DIR] [--json]\n' +
      'A full backup of an image beside "zstd -1 -T2" on the same image, then 1 % changed, and restore; medians and ratios.\n',
  )
  process.exit(0)
}
const sizeBytes = Number(values['size-mib']) * MiB
const rounds = Number(values.rounds)

type Run = {
  readonly wallMs: number
  readonly cpuSeconds: number
  readonly maxRssBytes: number
  readonly storedBytes: number
}

async function run(
  file: string,
  args: readonly string[],
): Promise<{ readonly wallMs: number; readonly output: string }> {
  const startedMs = performance.now()
  const env = { ...process.env, NODE_COMPILE_CACHE: join(folder, 'code') }
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'], env })
  const output = text(child.stdout)
  const [code] = await once(child, 'exit')
  const wallMs = performance.now() - startedMs
  if (code !== 0) throw new Error(`"${file} ${args.join(' ')}" ended with ${String(code)}`)
  return { wallMs, output: await output }
}

async function bench(args: readonly string[]): Promise<Run> {
  const program = fileURLToPath(new URL('./image.ts', import.meta.url))
  const { wallMs, output } = await run(process.execPath, [program, ...args])
  return { storedBytes: 0, ...JSON.parse(output), wallMs }
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const bytes of createReadStream(path, { highWaterMark: MiB })) hash.update(bytes)
  return hash.digest('hex')
}

const folder = mkdtempSync(join(values.folder ?? tmpdir(), 'coldframe-bench-'))
try {
  const image = join(folder, 'image.raw')
  const changedList = join(folder, 'changed.json')
  const packed = join(folder, 'image.zst')
  const copy = join(folder, 'restored.raw')
  const full: Run[] = []
  const incremental: Run[] = []
  const restored: Run[] = []
  const zstd: number[] = []
  let packedBytes = 0
  for (let round = 0; round < rounds; round++) {
    const repository = join(folder, `repository-${round}`)
    makeImage(image, { sizeBytes, seed: 1 })
    if (round === 0) await digest(image)
    full.push(await bench(['backup', '--image', image, '--repository', repository, '--workers', values.workers]))
    zstd.push((await run('zstd', ['-1', '-T2', '-q', '-f', image, '-o', packed])).wallMs)
    packedBytes = statSync(packed).size
    writeFileSync(changedList, JSON.stringify(changeImage(image, { sizeBytes, seed: 100 + round })))
    const changed = ['backup', '--image', image, '--repository', repository, '--changed', changedList]
    incremental.push(await bench([...changed, '--workers', values.workers]))
    restored.push(await bench(['restore', '--repository', repository, '--to', copy, '--workers', values.workers]))
    if ((await digest(image)) !== (await digest(copy))) throw new Error('the restored image differs from the image')
    for (const path of [repository, packed, copy]) if (existsSync(path)) rmSync(path, { recursive: true })
  }
  const fullMs = median(full.map((one) => one.wallMs))
  const zstdMs = median(zstd)
  const report = {
    sizeBytes,
    rounds,
    workers: Number(values.workers),
    fullMs,
    zstdMs,
    ratio: fullMs / zstdMs,
    bytesPerSecond: sizeBytes / (fullMs / 1000),
    fullCpuSeconds: median(full.map((one) => one.cpuSeconds)),
    maxRssBytes: Math.max(...full.map((one) => one.maxRssBytes)),
    storedBytes: median(full.map((one) => one.storedBytes)),
    zstdBytes: packedBytes,
    incrementalMs: median(incremental.map((one) => one.wallMs)),
    incrementalStoredBytes: median(incremental.map((one) => one.storedBytes)),
    restoreMs: median(restored.map((one) => one.wallMs)),
    restoreMaxRssBytes: Math.max(...restored.map((one) => one.maxRssBytes)),
  }
  process.stdout.write(values.json ? `${JSON.stringify({ v: 1, ok: true, data: report })}\n` : tableOf(report))
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function tableOf(report: {
  readonly sizeBytes: number
  readonly fullMs: number
  readonly zstdMs: number
  readonly ratio: number
  readonly bytesPerSecond: number
  readonly fullCpuSeconds: number
  readonly maxRssBytes: number
  readonly storedBytes: number
  readonly zstdBytes: number
  readonly incrementalMs: number
  readonly incrementalStoredBytes: number
  readonly restoreMs: number
  readonly restoreMaxRssBytes: number
}): string {
  const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`
  return [
    `image ${formatBytes(report.sizeBytes)}, medians of ${rounds}, interleaved, ${values.workers} workers, in ${folder}`,
    `full         ${seconds(report.fullMs)}  ${formatBytes(report.bytesPerSecond)}/s  ${report.fullCpuSeconds.toFixed(2)} CPU s  stored ${formatBytes(report.storedBytes)}  peak ${formatBytes(report.maxRssBytes)}`,
    `zstd -1 -T2  ${seconds(report.zstdMs)}  stored ${formatBytes(report.zstdBytes)}`,
    `ratio        ${report.ratio.toFixed(3)} x zstd`,
    `1 % changed  ${seconds(report.incrementalMs)}  stored ${formatBytes(report.incrementalStoredBytes)}  ${(report.incrementalMs / report.fullMs).toFixed(3)} x full`,
    `restore      ${seconds(report.restoreMs)}  ${(report.restoreMs / report.fullMs).toFixed(3)} x full  peak ${formatBytes(report.restoreMaxRssBytes)}  equal`,
    '',
  ].join('\n')
}
