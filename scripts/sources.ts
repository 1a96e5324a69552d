// The project's own source files and their syntax trees, for the programs that check them.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseSync } from 'oxc-parser'

/** `path` is relative to the project and has forward slashes. */
export type SourceFile = { readonly path: string; readonly text: string }

export type Fault = { readonly path: string; readonly line: number; readonly message: string }

/** A node of the tree (ESTree with TypeScript's additions): `type` says which, the other fields depend on it. */
export type Node = {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [field: string]: unknown
}

export type Tree = {
  readonly file: SourceFile
  readonly program: Node
  readonly comments: readonly {
    readonly type: 'Line' | 'Block'
    readonly value: string
    readonly start: number
    readonly end: number
  }[]
  /** 1 for the first line. */
  readonly lineAt: (offset: number) => number
}

/** The folders that hold programs and libraries; files beside them (settings of tools) are read too. */
const sourceFolders = ['lib', 'functions', 'task', 'cli', 'local', 'sim', 'test', 'bench', 'scripts']
const sourceName = /\.(ts|mts|mjs|js)$/

/** @returns every source file, in order of path */
export function readSources(root: string): readonly SourceFile[] {
  const entries = readdirSync(root, { withFileTypes: true })
  const atRoot = entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
  const folders = entries.filter((entry) => entry.isDirectory() && sourceFolders.includes(entry.name))
  const inFolders = folders.flatMap(({ name }) =>
    readdirSync(join(root, name), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1)),
  )
  return [...atRoot, ...inFolders]
    .filter((path) => sourceName.test(path) && !path.includes('node_modules/'))
    .map((path) => path.replaceAll('\\', '/'))
    .toSorted()
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
}

/** Parses a file; a file that is not TypeScript or JavaScript gives faults and no tree. */
export function parseSource(file: SourceFile): Tree | { readonly faults: readonly Fault[] } {
  const { program, comments, errors } = parseSync(file.path, file.text)
  const lineAt = lineFinder(file.text)
  if (errors.length > 0) {
    const faults = errors.map((error) => {
      const line = lineAt(error.labels[0]?.start ?? 0)
      return { path: file.path, line, message: `cannot be parsed: ${error.message}` }
    })
    return { faults }
  }
  if (!isNode(program)) throw new Error(`The parser gave no program for "${file.path}"`)
  return { file, program, comments, lineAt }
}

/** Whether this text, on its own, is a module without syntax errors. */
export function parsesAsModule(text: string): Node | undefined {
  const { program, errors } = parseSync('text.ts', text)
  return errors.length === 0 && isNode(program) ? program : undefined
}

/** Calls `visit` for the node and all below it, parents first, with the nodes above, nearest first. */
export function walk(
  node: Node,
  visit: (node: Node, above: readonly Node[]) => void,
  above: readonly Node[] = [],
): void {
  visit(node, above)
  const nextAbove = [node, ...above]
  for (const child of childrenOf(node)) walk(child, visit, nextAbove)
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
}

/** The child in this field, when there is one. */
export function childOf(node: Node | undefined, field: string): Node | undefined {
  const value = node?.[field]
  return isNode(value) ? value : undefined
}

/** The children in this field, which holds a list. */
export function listOf(node: Node | undefined, field: string): readonly Node[] {
  const value = node?.[field]
  return Array.isArray(value) ? value.filter(isNode) : []
}

/** The text in this field (a name, a literal's value), when it is text. */
export function textOf(node: Node | undefined, field: string): string | undefined {
  const value = node?.[field]
  return typeof value === 'string' ? value : undefined
}

/** Prints faults as `path:line message`, as editors and terminals know to open them. */
export function formatFaults(faults: readonly Fault[]): string {
  return faults
    .toSorted((a, b) => (a.path === b.path ? a.line - b.line : a.path < b.path ? -1 : 1))
    .map(({ path, line, message }) => `${path}:${line} ${message}\n`)
    .join('')
}

function childrenOf(node: Node): readonly Node[] {
  return Object.values(node).flatMap((value) =>
    Array.isArray(value) ? value.filter(isNode) : isNode(value) ? [value] : [],
  )
}

function lineFinder(text: string): (offset: number) => number {
  const starts = [0, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)]
  return (offset) => {
    let [low, high] = [0, starts.length]
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle
    }
    return low + 1
  }
}
