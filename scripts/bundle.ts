// Bundles what runs on AWS: one module for each Lambda function and each entry of the container task (workers are
// entries of their own), with all packages inside, into build/. `node scripts/bundle.ts` prints the sizes.

import { existsSync, globSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'

export type Bundle = { readonly entry: string; readonly target: string; readonly bytes: number }

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
  for (const { target, bytes } of bundles) {
    process.stdout.write(`${(bytes / 1024).toFixed(0).padStart(6)} KiB  ${target}\n`)
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

/** @param options.folder relative to the project, or anywhere; bundles lie in it as their entries lie in the project */
export async function bundle(
  root: string,
  { entries, folder }: { readonly entries: readonly string[]; readonly folder: string },
): Promise<readonly Bundle[]> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [...entries],
    outdir: folder,
    outbase: '.',
    bundle: true,
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
  return Object.entries(metafile.outputs)
    .filter(([, { entryPoint }]) => entryPoint !== undefined)
    .map(([target, { entryPoint = '', bytes }]) => ({ entry: entryPoint, target, bytes }))
}
