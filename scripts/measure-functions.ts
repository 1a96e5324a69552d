// `npm run measure:functions`: how large each function's package is and how long its module takes to load, cold: a table. Loading is
// timed inside a new process, without its own start; the median of several.

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { bundleAll } from './bundle.ts'

export type Measure = {
  readonly name: string
  /** All that is packaged. */
  readonly zipBytes: number
  /** What is loaded at the start, as it lies there. */
  readonly startBytes: number
  readonly importMs: number
}

const TIMES = 7

if (import.meta.main) {
  const root = dirname(import.meta.dirname)
  await bundleAll(root)
  process.stdout.write('function        zip KiB  starts with KiB  import ms\n')
  for (const { name, zipBytes, startBytes, importMs } of measureAll(root, TIMES)) {
    const kib = (bytes: number) => (bytes / 1024).toFixed(0)
    const columns = [
      name.padEnd(14),
      kib(zipBytes).padStart(8),
      kib(startBytes).padStart(16),
      importMs.toFixed(0).padStart(10),
    ]
    process.stdout.write(`${columns.join(' ')}\n`)
  }
}

/** Needs the bundles. @param times how often each is loaded; 0: not at all, importMs is 0 */
export function measureAll(root: string, times: number): readonly Measure[] {
  const folder = join(root, 'build', 'functions')
  return readdirSync(folder).map((name) => {
    const files = readdirSync(join(folder, name)).map((file) => join(folder, name, file))
    return {
      name,
      zipBytes: files
        .filter(isPackaged)
        .reduce((sum, path) => sum + deflateRawSync(readFileSync(path), { level: 9 }).length + 150, 0),
      startBytes: startFiles(join(folder, name, 'handler.mjs')).reduce(
        (sum, path) => sum + readFileSync(path).length,
        0,
      ),
      importMs:
        times === 0 ? 0 : median(Array.from({ length: times }, () => importMs(join(folder, name, 'handler.mjs')))),
    }
  })
}

/** As functions/<name>/function.yml says. */
function isPackaged(path: string): boolean {
  return !path.endsWith('.map')
}

/** The file and all that it imports at once, over and over. */
function startFiles(entry: string, seen: Set<string> = new Set()): readonly string[] {
  if (seen.has(entry)) return []
  seen.add(entry)
  const text = readFileSync(entry, 'utf8')
  const found = [...text.matchAll(/(?:^|[;\n}])(?:import|export)[^"'();]*["'](\.\/[^"']+\.mjs)["']/g)].map(
    ([, name = '']) => name,
  )
  return [entry, ...found.flatMap((name) => startFiles(join(dirname(entry), name), seen))]
}

function importMs(path: string): number {
  const script = `
    const before = performance.now()
    await import(${JSON.stringify(path)})
    process.stderr.write(String(performance.now() - before))
    process.exit()`
  const environment = {
    PATH: process.env['PATH'],
    AWS_REGION: 'eu-central-1',
    COLDFRAME_TABLE: 'coldframe-state',
    POWERTOOLS_LOG_LEVEL: 'SILENT',
  }
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    env: environment,
  })
  const ms = Number(stderr.trim().split('\n').at(-1))
  if (!Number.isFinite(ms)) throw new Error(`Cannot load "${path}": ${stderr}`)
  return ms
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
}
