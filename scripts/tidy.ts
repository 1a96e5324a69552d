// Holds the rules of style that a program can judge, by the syntax tree. What biome and tsc already refuse is left
// to them. `node scripts/tidy.ts` prints `path:line` of each fault.

import { dirname } from 'node:path'
import {
  childOf,
  type Fault,
  formatFaults,
  listOf,
  type Node,
  parseSource,
  parsesAsModule,
  readSources,
  type SourceFile,
  type Tree,
  textOf,
  walk,
} from './sources.ts'

const fileLinesMax = 400
const functionLinesMax = 70

/** Words that say nothing about a thing. VMware's own names that contain them are data: strings and property keys. */
const emptyWords = new Set(['util', 'utils', 'utility', 'utilities', 'helper', 'helpers', 'common', 'misc'])
for (const word of ['manager', 'managers', 'service', 'services', 'info', 'infos']) emptyWords.add(word)

/** VMware's word for VMware's things: its own type names may be part of a name. Any writing: SERVICE_INSTANCE too. */
const vmwareNames = [
  'service (instance|content)',
  '(task|event|alarm|session|view|file|virtual disk|ovf|license|extension|authorization|custom fields) manager',
  'guest (operations|auth|file|process) manager',
  '(task|about|guest|virtual machine file|datastore|guest process|guest file|http nfc lease|ovf) info',
]
const vmwareName = new RegExp(`\\b(${vmwareNames.join('|')})\\b`, 'g')

/** Functions that make a brand without being called parse…: their one cast to the type they return is allowed. */
const brandMakers: ReadonlySet<string> = new Set([])

/** Files that see the clock, chance and the environment: the programs, and the one place that wraps the clock. */
const worldlyFiles = /^(lib\/base\/clock\.ts$|(functions|task|cli|local|test|bench|scripts)\/|sim\/main\.ts$|[^/]+$)/
const defaultExportFiles = /^vitest\.config\.ts$/

type Rule = (node: Node, context: Context) => string | undefined
type Context = { readonly tree: Tree; readonly path: string; readonly above: readonly Node[] }

const rules: readonly Rule[] = [
  functionLength,
  defaultExport,
  starExport,
  emptyName,
  inheritance,
  looseType,
  world,
  mockedModule,
]

if (import.meta.main) {
  const faults = checkTidiness(readSources(dirname(import.meta.dirname)))
  process.stdout.write(formatFaults(faults))
  process.exitCode = faults.length === 0 ? 0 : 1
}

export function checkTidiness(files: readonly SourceFile[]): readonly Fault[] {
  return files.flatMap((file) => {
    const tree = parseSource(file)
    if ('faults' in tree) return tree.faults
    return [...fileFaults(tree), ...commentFaults(tree), ...nodeFaults(tree)]
  })
}

function nodeFaults(tree: Tree): readonly Fault[] {
  const faults: Fault[] = []
  walk(tree.program, (node, above) => {
    for (const rule of rules) {
      const message = rule(node, { tree, path: tree.file.path, above })
      if (message !== undefined) faults.push({ path: tree.file.path, line: tree.lineAt(node.start), message })
    }
  })
  return faults
}

function fileFaults({ file: { path, text }, program }: Tree): readonly Fault[] {
  const faults: Fault[] = []
  const lines = text.split('\n').length - 1
  if (lines > fileLinesMax) faults.push({ path, line: lines, message: `has ${lines} lines, at most ${fileLinesMax}` })
  const name = path.slice(path.lastIndexOf('/') + 1)
  const word = emptyWordOf(name)
  if (word !== undefined) faults.push({ path, line: 1, message: `file name says "${word}", which says nothing` })
  if (!/^_?[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)+$/.test(name)) {
    faults.push({ path, line: 1, message: `file name is not in kebab-case` })
  }
  const statements = listOf(program, 'body')
  const onlyPassesOn = statements.every(
    ({ type, source }) => type === 'ImportDeclaration' || (type === 'ExportNamedDeclaration' && source !== null),
  )
  if (/^index\.[a-z]+$/.test(name) || (statements.length > 0 && onlyPassesOn && statements.some(isReExport))) {
    faults.push({ path, line: 1, message: 'is a barrel: import from where a thing is' })
  }
  return faults
}

function isReExport({ type }: Node): boolean {
  return type === 'ExportNamedDeclaration'
}

/** Comments: work that is put off without an issue, and code that was put to sleep. */
function commentFaults({ file: { path, text }, comments, lineAt }: Tree): readonly Fault[] {
  const faults: Fault[] = []
  for (const { value, start } of comments) {
    if (/\b(TODO(?!\(#\d+\): )|FIXME|XXX|HACK)\b/.test(value)) {
      faults.push({ path, line: lineAt(start), message: 'puts work off without an issue: TODO(#12): …' })
    }
  }
  for (const { value, start } of commentBlocks({ comments, text })) {
    if (looksLikeCode(value)) faults.push({ path, line: lineAt(start), message: 'holds code in a comment' })
  }
  return faults
}

/** Line comments on following lines as one text. Docstrings are left out: they may show examples. */
function commentBlocks({ comments, text }: { readonly comments: Tree['comments']; readonly text: string }) {
  const blocks: { value: string; start: number; end: number }[] = []
  for (const { type, value, start, end } of comments) {
    const last = blocks.at(-1)
    if (type === 'Block' && value.startsWith('*')) continue
    if (type === 'Line' && last !== undefined && /^\n[ \t]*$/.test(text.slice(last.end, start))) {
      last.value += `\n${value}`
      last.end = end
    } else blocks.push({ value, start, end })
  }
  return blocks
}

/** Prose seldom parses; what does (one word, a label) is not one of these statements. */
function looksLikeCode(text: string): boolean {
  const program = parsesAsModule(text)
  return listOf(program, 'body').some((statement) => {
    if (statement.type !== 'ExpressionStatement') {
      return !['EmptyStatement', 'LabeledStatement', 'BlockStatement'].includes(statement.type)
    }
    const { type } = childOf(statement, 'expression') ?? { type: '' }
    return ['CallExpression', 'AwaitExpression', 'AssignmentExpression', 'NewExpression'].includes(type)
  })
}

function functionLength(node: Node, { tree, path }: Context): string | undefined {
  if (!isFunction(node)) return undefined
  const lines = tree.lineAt(node.end) - tree.lineAt(node.start) + 1
  if (lines <= functionLinesMax) return undefined
  // A suite of tests is a list, not a function to be read at once.
  if (path.startsWith('test/') && declaresTests(node)) return undefined
  return `function of ${lines} lines, at most ${functionLinesMax}`
}

function declaresTests(node: Node): boolean {
  let found = false
  walk(node, (inner) => {
    if (inner.type !== 'CallExpression') return
    let callee = childOf(inner, 'callee')
    while (callee !== undefined && callee.type !== 'Identifier') {
      callee = childOf(callee, 'object') ?? childOf(callee, 'callee')
    }
    found ||= ['describe', 'it', 'test'].includes(textOf(callee, 'name') ?? '')
  })
  return found
}

function defaultExport(node: Node, { path }: Context): string | undefined {
  if (defaultExportFiles.test(path)) return undefined
  const named = node.type === 'ExportSpecifier' && textOf(childOf(node, 'exported'), 'name') === 'default'
  return named || node.type === 'ExportDefaultDeclaration' ? 'has a default export' : undefined
}

function starExport(node: Node): string | undefined {
  return node.type === 'ExportAllDeclaration' ? 'exports all of another file: import from where a thing is' : undefined
}

function emptyName(node: Node, { above }: Context): string | undefined {
  if (node.type !== 'Identifier' || !isDeclaration(node, above)) return undefined
  const name = textOf(node, 'name') ?? ''
  const word = emptyWordOf(name)
  return word === undefined ? undefined : `name "${name}" says "${word}", which says nothing`
}

/** Whether this identifier gives a name to something of ours; `{ info }` taken from an object has that object's name. */
function isDeclaration(node: Node, [parent, grandparent]: readonly Node[]): boolean {
  switch (parent?.type) {
    case 'VariableDeclarator':
    case 'FunctionDeclaration':
    case 'FunctionExpression':
    case 'ClassDeclaration':
    case 'TSTypeAliasDeclaration':
    case 'TSInterfaceDeclaration':
    case 'TSTypeParameter':
      return parent['id'] === node || parent['name'] === node || isParameter(node, parent)
    case 'ArrowFunctionExpression':
      return isParameter(node, parent)
    case 'AssignmentPattern':
      return parent['left'] === node && grandparent?.type !== 'Property'
    case 'RestElement':
    case 'ArrayPattern':
      return true
    case 'Property':
      return grandparent?.type === 'ObjectPattern' && parent['value'] === node && parent['shorthand'] !== true
    case 'ImportSpecifier':
      return parent['local'] === node && textOf(childOf(parent, 'imported'), 'name') !== textOf(node, 'name')
    case 'ImportNamespaceSpecifier':
    case 'ImportDefaultSpecifier':
      return true
    default:
      return false
  }
}

function isParameter(node: Node, parent: Node): boolean {
  return listOf(parent, 'params').includes(node)
}

function emptyWordOf(name: string): string | undefined {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replaceAll(/([A-Z])([A-Z][a-z])/g, '$1 $2')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, ' ')
    .replaceAll(vmwareName, '')
    .split(' ')
    .find((word) => emptyWords.has(word))
}

function inheritance(node: Node): string | undefined {
  if (node.type !== 'ClassDeclaration' && node.type !== 'ClassExpression') return undefined
  const parent = childOf(node, 'superClass')
  if (parent === undefined || /(Error|Fault)$/.test(textOf(parent, 'name') ?? '')) return undefined
  return 'extends a class that is not an error: wrap it instead'
}

function looseType(node: Node, { path, above }: Context): string | undefined {
  switch (node.type) {
    case 'TSAnyKeyword':
      return 'uses "any"'
    case 'TSNonNullExpression':
      return 'uses "!": say what happens when it is missing'
    case 'TSTypeAssertion':
      return 'casts with <…>'
    case 'TSAsExpression':
      if (path.startsWith('lib/wire/') || path.startsWith('test/') || isConstCast(node)) return undefined
      return isBrandCast(node, above) ? undefined : 'casts with "as" outside the maker of a brand'
    default:
      return undefined
  }
}

function isConstCast(node: Node): boolean {
  return textOf(childOf(childOf(node, 'typeAnnotation'), 'typeName'), 'name') === 'const'
}

/** The cast that a parse function ends in: to the very type that the function says it returns. */
function isBrandCast(node: Node, above: readonly Node[]): boolean {
  const maker = above.find(isFunction)
  const name =
    textOf(childOf(maker, 'id'), 'name') ?? textOf(childOf(above[above.indexOf(maker ?? node) + 1], 'id'), 'name')
  if (maker === undefined || name === undefined) return false
  const returned = childOf(childOf(childOf(maker, 'returnType'), 'typeAnnotation'), 'typeName')
  const target = childOf(childOf(node, 'typeAnnotation'), 'typeName')
  const sameType = returned !== undefined && textOf(returned, 'name') === textOf(target, 'name')
  return sameType && (/^parse[A-Z]/.test(name) || brandMakers.has(name))
}

function isFunction({ type }: Node): boolean {
  return ['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression'].includes(type)
}

function world(node: Node, { path }: Context): string | undefined {
  if (worldlyFiles.test(path)) return undefined
  if (node.type === 'NewExpression' && textOf(childOf(node, 'callee'), 'name') === 'Date') {
    return listOf(node, 'arguments').length === 0 ? 'reads the clock: take a Clock' : undefined
  }
  if (node.type !== 'MemberExpression') return undefined
  const property = childOf(node, 'property')
  const name = textOf(property, 'name') ?? textOf(property, 'value')
  switch (`${textOf(childOf(node, 'object'), 'name')}.${name}`) {
    case 'Date.now':
    case 'performance.now':
    case 'process.hrtime':
      return 'reads the clock: take a Clock'
    case 'Math.random':
      return 'uses chance: take a random source'
    case 'process.env':
      return 'reads the environment: take settings'
    default:
      return undefined
  }
}

function mockedModule(node: Node): string | undefined {
  if (node.type !== 'CallExpression') return undefined
  const callee = childOf(node, 'callee')
  const object = textOf(childOf(callee, 'object'), 'name') ?? ''
  const method = textOf(childOf(callee, 'property'), 'name') ?? ''
  const mocks = ['mock', 'doMock', 'unmock', 'hoisted', 'mockModule'].includes(method)
  return mocks && ['vi', 'jest'].includes(object) ? 'mocks a module: implement the port instead' : undefined
}
