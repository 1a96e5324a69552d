// Holds the architecture: which folder may import which, and which packages have a home. Refuses everything else,
// and cycles, type-only imports included. `node scripts/check-imports.ts` prints `path:line` of each fault.

import { isBuiltin } from 'node:module'
import { dirname, join, normalize } from 'node:path'
import {
  childOf,
  type Fault,
  formatFaults,
  listOf,
  parseSource,
  readSources,
  type SourceFile,
  textOf,
  walk,
} from './sources.ts'

/** The import table. A file belongs to the longest folder that its path starts with; its own folder is always allowed. */
export const architecture = {
  folders: {
    'lib/base': [],
    'lib/model': ['lib/base'],
    'lib/ports': ['lib/base', 'lib/model'],
    'lib/wire': ['lib/base', 'lib/model'],
    'lib/repository': ['lib/base', 'lib/model', 'lib/ports', 'lib/wire'],
    'lib/stages': ['lib/base', 'lib/model', 'lib/ports', 'lib/repository'],
    'lib/doors': ['lib/base', 'lib/model', 'lib/ports', 'lib/repository'],
    'lib/operate': ['lib/base', 'lib/model', 'lib/ports', 'lib/repository'],
    'lib/mover': ['lib/base', 'lib/model', 'lib/ports', 'lib/repository'],
    'lib/restore': ['lib/base', 'lib/model', 'lib/ports', 'lib/repository'],
    'lib/adapters/vsphere': ['lib/base', 'lib/model', 'lib/ports', 'lib/wire'],
    'lib/adapters/guest': ['lib/base', 'lib/model', 'lib/ports', 'lib/wire'],
    'lib/adapters/disk': ['lib/base', 'lib/model', 'lib/ports', 'lib/wire'],
    'lib/adapters/aws': ['lib/base', 'lib/model', 'lib/ports', 'lib/wire'],
    'lib/adapters/local': ['lib/base', 'lib/model', 'lib/ports', 'lib/wire'],
    'lib/adapters/memory': ['lib/base', 'lib/model', 'lib/ports', 'lib/wire'],
    'lib/adapters/wrap': ['lib/base', 'lib/model', 'lib/ports', 'lib/wire'],
    'lib/compose': ['lib'],
    functions: ['lib'],
    task: ['lib'],
    cli: ['lib'],
    local: ['lib'],
    sim: ['lib/base'],
    test: ['anything'],
    bench: ['anything'],
    scripts: ['anything'],
  },
  /** Where a package (or a scope, ending in /) may be imported; test, bench and scripts may import any. */
  packages: {
    '@aws-sdk/': ['lib/adapters/aws'],
    '@smithy/': ['lib/adapters/aws'],
    soap: ['lib/adapters/vsphere'],
    ssh2: ['lib/adapters/guest'],
    croner: ['lib/model'],
    zod: ['lib/wire'],
    yaml: ['lib/wire'],
    fflate: ['lib/wire'],
    sax: ['lib/wire'],
    'node:sqlite': ['lib/adapters/local'],
    commander: ['cli'],
    'cli-progress': ['cli', 'local'],
    '@middy/core': ['functions'],
    '@aws-lambda-powertools/': ['functions', 'lib/adapters/aws'],
    'aws-lambda': ['functions'],
  },
  /** Lambda functions are control path: no run-time import, however far, may lead from them to the data path. */
  dataPath: ['lib/mover', 'lib/restore', 'lib/adapters/disk', 'lib/adapters/local'],
} as const satisfies {
  readonly folders: Readonly<Record<string, readonly string[]>>
  readonly packages: Readonly<Record<string, readonly string[]>>
  readonly dataPath: readonly string[]
}

type Import = {
  readonly from: string
  readonly line: number
  readonly specifier: string
  readonly typeOnly: boolean
  /** Whether it is `import * as name`. */
  readonly namespace: boolean
  /** The imported file's path when the specifier is relative. */
  readonly target: string | undefined
}

const folders: Readonly<Record<string, readonly string[]>> = architecture.folders
const packages: Readonly<Record<string, readonly string[]>> = architecture.packages

if (import.meta.main) {
  const faults = checkImports(readSources(dirname(import.meta.dirname)))
  process.stdout.write(formatFaults(faults))
  process.exitCode = faults.length === 0 ? 0 : 1
}

/** @param files all files of the project: an import of a relative path that is not among them is a fault */
export function checkImports(files: readonly SourceFile[]): readonly Fault[] {
  const parsed = files.map(parseSource)
  const faults = parsed.flatMap((tree) => ('faults' in tree ? tree.faults : []))
  const imports = parsed.flatMap((tree) => ('faults' in tree ? [] : importsOf(tree)))
  const paths = new Set(files.map(({ path }) => path))
  return [
    ...faults,
    ...files.filter(({ path }) => path.startsWith('lib/') && folderOf(path) === undefined).map(homeless),
    ...imports.flatMap((one) => (one.target === undefined ? packageFaults(one) : fileFaults(one, paths))),
    ...cycleFaults(imports),
    ...dataPathFaults(imports),
  ]
}

function homeless({ path }: SourceFile): Fault {
  return { path, line: 1, message: `lies in a folder that the import table of scripts/check-imports.ts does not know` }
}

function importsOf(tree: Exclude<ReturnType<typeof parseSource>, { faults: unknown }>): readonly Import[] {
  const from = tree.file.path
  const found: Import[] = []
  walk(tree.program, (node) => {
    const source = sourceOf(node)
    if (source === undefined) return
    const typeOnly = node.type === 'TSImportType' || node['importKind'] === 'type' || node['exportKind'] === 'type'
    const namespace = listOf(node, 'specifiers').every(({ type }) => type === 'ImportNamespaceSpecifier')
    const target = source.startsWith('.') ? normalize(join(dirname(from), source)).replaceAll('\\', '/') : undefined
    found.push({ from, line: tree.lineAt(node.start), specifier: source, typeOnly, namespace, target })
  })
  return found
}

/** The specifier of any node that imports: statements, re-exports, import(), import types and require. */
function sourceOf(node: Parameters<typeof childOf>[0]): string | undefined {
  switch (node?.type) {
    case 'ImportDeclaration':
    case 'ExportNamedDeclaration':
    case 'ExportAllDeclaration':
    case 'ImportExpression':
    case 'TSImportType':
      return textOf(childOf(node, 'source'), 'value')
    case 'TSExternalModuleReference':
      return textOf(childOf(node, 'expression'), 'value')
    default:
      return undefined
  }
}

function packageFaults({ from, line, specifier, namespace }: Import): readonly Fault[] {
  const folder = folderOf(from)
  if (folder === undefined || may(folder, 'anything')) return []
  const home = Object.entries(packages).find(([name]) =>
    name.endsWith('/') ? specifier.startsWith(name) : specifier === name || specifier.startsWith(`${name}/`),
  )
  if (home === undefined) {
    if (isBuiltin(specifier)) return []
    return [{ path: from, line, message: `imports "${specifier}", a package without a home in the import table` }]
  }
  const [name, homes] = home
  if (!homes.some((place) => isIn(from, place))) {
    return [{ path: from, line, message: `imports "${specifier}", whose home is ${homes.join(' and ')}` }]
  }
  if (name === 'zod' && !namespace) {
    return [
      { path: from, line, message: `imports parts of "zod": write import * as z, or bundles carry all its languages` },
    ]
  }
  return []
}

function fileFaults({ from, line, specifier, target = '' }: Import, paths: ReadonlySet<string>): readonly Fault[] {
  const fault = (message: string) => [{ path: from, line, message }]
  if (!paths.has(target) && !target.endsWith('.json')) return fault(`imports "${specifier}", which is not there`)
  const folder = folderOf(from)
  if (folder === undefined || may(folder, 'anything')) return []
  const name = target.slice(target.lastIndexOf('/') + 1)
  if (name.startsWith('_') && !isIn(from, dirname(target))) {
    return fault(`imports "${specifier}", which is private to ${dirname(target)}`)
  }
  const targetFolder = folderOf(target) ?? dirname(target)
  if (targetFolder === folder || may(folder, targetFolder)) return []
  const allowed = folders[folder] ?? []
  return fault(`imports ${targetFolder}, but ${folder} may import ${allowed.join(', ') || 'nothing of ours'}`)
}

/** One fault for each group of files that import each other in a circle. */
function cycleFaults(imports: readonly Import[]): readonly Fault[] {
  const edges = Map.groupBy(imports, ({ from }) => from)
  const finished = new Set<string>()
  const faults: Fault[] = []
  const visit = (path: string, way: readonly string[]): void => {
    if (finished.has(path)) return
    for (const { target, line } of edges.get(path) ?? []) {
      if (target === undefined) continue
      const at = [...way, path].indexOf(target)
      if (at < 0) visit(target, [...way, path])
      else faults.push({ path, line, message: `closes a cycle: ${[...way, path].slice(at).join(' → ')} → ${target}` })
    }
    finished.add(path)
  }
  for (const path of edges.keys()) visit(path, [])
  return faults
}

function dataPathFaults(imports: readonly Import[]): readonly Fault[] {
  const edges = Map.groupBy(
    imports.filter(({ typeOnly }) => !typeOnly),
    ({ from }) => from,
  )
  const seen = new Set<string>()
  const waiting = [...edges.keys()].filter((path) => path.startsWith('functions/'))
  const faults: Fault[] = []
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path)) continue
    seen.add(path)
    for (const { target, line } of edges.get(path) ?? []) {
      if (target === undefined) continue
      if (architecture.dataPath.some((place) => isIn(target, place))) {
        faults.push({ path, line, message: `leads from a Lambda function to the data path: ${target}` })
      } else waiting.push(target)
    }
  }
  return faults
}

/** The longest known folder that holds the path; undefined for files beside the folders (settings of tools). */
function folderOf(path: string): string | undefined {
  return Object.keys(folders)
    .filter((folder) => isIn(path, folder))
    .toSorted((a, b) => b.length - a.length)[0]
}

function may(folder: string, target: string): boolean {
  const allowed = folders[folder] ?? []
  return allowed.includes('anything') || allowed.some((place) => target === place || target.startsWith(`${place}/`))
}

function isIn(path: string, folder: string): boolean {
  return path.startsWith(`${folder}/`)
}
