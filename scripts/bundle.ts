// Bundles what runs on AWS, with all packages inside, into build/: a folder for each Lambda function, whose parts are loaded when they are first
// needed, and one module for each entry of the container task (workers are entries of their own). `node scripts/bundle.ts` prints the sizes.

import { existsSync, globSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build, type Metafile } from 'esbuild'

export type Bundle = {
  readonly entry: string
  readonly target: string
  /** With all its parts. */
  readonly bytes: number
  /** What is loaded at its start. */
  readonly startBytes: number
}

/**
 * Some packages inside are CommonJS: they call require() for Node's own modules, and ask where their file lies when they are loaded. The
 * other names clash with no short one.
 */
const banner = [
  "import { createRequire as createBundleRequire } from 'node:module'",
  'const require = createBundleRequire(import.meta.url)',
  'const __filename = import.meta.filename',
  'const __dirname = import.meta.dirname',
  '',
].join(';')

if (import.meta.main) {
  const bundles = await bundleAll(dirname(import.meta.dirname))
  const kib = (bytes: number): string => `${(bytes / 1024).toFixed(0).padStart(6)} KiB`
  for (const { target, bytes, startBytes } of bundles) {
    process.stdout.write(`${kib(startBytes)} at its start, ${kib(bytes)} in all  ${target}\n`)
  }
}

/** Entry points: functions/<name>/handler.ts, task/main.ts, and each task/*worker.ts; paths relative to the project. */
export function findEntries(root: string): readonly string[] {
  return globSync(['functions/*/handler.ts', 'task/main.ts', 'task/*worker.ts'], { cwd: root }).toSorted()
}

/** Empties build/functions and build/task first, so that nothing old is packaged. */
export async function bundleAll(root: string): Promise<readonly Bundle[]> {
  for (const folder of ['functions', 'task']) rmSync(join(root, 'build', folder), { recursive: true, force: true })
  if (!existsSync(join(root, 'functions'))) throw new Error(`There are no functions in "${root}"`)
  return bundle(root, { entries: findEntries(root), folder: 'build' })
}

/** A function of Lambda lies in a folder of its own, and its parts with it. */
function isFunction(entry: string): boolean {
  return entry.startsWith('functions/')
}

type Wanted = { readonly entries: readonly string[]; readonly folder: string }

/** @param wanted.folder relative to the project, or anywhere; bundles lie in it as their entries lie in the project */
export async function bundle(root: string, { entries, folder }: Wanted): Promise<readonly Bundle[]> {
  const programs = entries.filter((entry) => !isFunction(entry))
  const made: Bundle[] = []
  for (const entry of entries.filter(isFunction)) made.push(...(await buildOnce(root, { entries: [entry], folder })))
  return programs.length === 0 ? made : [...made, ...(await buildOnce(root, { entries: programs, folder }))]
}

/** One function, or several programs. */
async function buildOnce(root: string, { entries, folder }: Wanted): Promise<readonly Bundle[]> {
  const [first = ''] = entries
  const parted = isFunction(first)
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [...entries],
    outdir: folder,
    outbase: '.',
    bundle: true,
    splitting: parted,
    chunkNames: parted ? `${dirname(first)}/[name]-[hash]` : '[name]-[hash]',
    format: 'esm',
    platform: 'node',
    target: 'node24',
    outExtension: { '.js': '.mjs' },
    banner: { js: banner },
    minify: true,
    keepNames: true,
    sourcemap: 'linked',
    sourcesContent: false,
    metafile: true,
    logLevel: 'warning',
    // Native parts that their packages do without.
    external: ['*.node', 'cpu-features'],
  })
  const { outputs } = metafile
  const all = Object.values(outputs).reduce((sum, { bytes }) => sum + bytes, 0)
  return Object.entries(outputs)
    .filter(([, { entryPoint }]) => entryPoint !== undefined && entries.includes(entryPoint))
    .map(([target, { entryPoint = '', bytes }]) => ({
      entry: entryPoint,
      target,
      bytes: parted ? all - mapBytes(outputs) : bytes,
      startBytes: startBytesOf(target, outputs),
    }))
}

type Outputs = Metafile['outputs']

function mapBytes(outputs: Outputs): number {
  return Object.entries(outputs).reduce((sum, [path, { bytes }]) => sum + (path.endsWith('.map') ? bytes : 0), 0)
}

/** The module and all that it imports by statements. */
function startBytesOf(target: string, outputs: Outputs): number {
  const seen = new Set<string>()
  const visit = (path: string): number => {
    const output = outputs[path]
    if (output === undefined || seen.has(path)) return 0
    seen.add(path)
    const imported = output.imports.filter(({ kind }) => kind === 'import-statement')
    return imported.reduce((sum, one) => sum + visit(one.path), output.bytes)
  }
  return visit(target)
}
