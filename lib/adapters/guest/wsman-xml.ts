// XML as WS-Management uses it: a strict little reader (namespaces, no DTD, so no entities but the five) and a writer that
// escapes everything.

import { malformed } from '../../base/errors.ts'

export type XmlElement = {
  /** The namespace, "" for none. */
  readonly space: string
  readonly name: string
  /** Without a prefix by their name; with one as "{namespace}name". */
  readonly attributes: ReadonlyMap<string, string>
  readonly children: readonly XmlElement[]
  /** All text directly inside, joined. */
  readonly text: string
}

const DEPTH_MAX = 64
/** Windows declares a dozen; each element that declares one carries them all on. */
const PREFIXES_MAX = 64
const NAME = '[A-Za-z_][A-Za-z0-9_.-]*(?::[A-Za-z_][A-Za-z0-9_.-]*)?'
const ATTRIBUTE = `\\s+(${NAME})\\s*=\\s*(?:"([^<"]*)"|'([^<']*)')`
const TOKEN = new RegExp(
  [
    '<!--[\\s\\S]*?-->',
    '<!\\[CDATA\\[(?<data>[\\s\\S]*?)\\]\\]>',
    '<\\?[\\s\\S]*?\\?>',
    `</(?<end>${NAME})\\s*>`,
    `<(?<start>${NAME})(?<attributes>(?:${ATTRIBUTE})*)\\s*(?<empty>/?)>`,
    '(?<text>[^<]+)',
  ].join('|'),
  'y',
)
const XML_SPACE = 'http://www.w3.org/XML/1998/namespace'
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

type Open = {
  readonly written: string
  readonly element: XmlElement & { readonly children: XmlElement[] }
  readonly texts: string[]
  readonly spaces: ReadonlyMap<string, string>
}

/** @throws BackupError `malformed` */
export function parseXml(source: string): XmlElement {
  const token = new RegExp(TOKEN)
  const open: Open[] = []
  let root: XmlElement | null = null
  for (token.lastIndex = source.startsWith('\ufeff') ? 1 : 0; token.lastIndex < source.length; ) {
    const at = token.lastIndex
    const groups = token.exec(source)?.groups
    // No group at all: a comment or a processing instruction has matched; no match: neither.
    if (token.lastIndex === 0) throw broken(source, at, 'is not well-formed, or has a document type')
    const { data, end, start, attributes = '', empty = '', text } = groups ?? {}
    const parent = open.at(-1)
    if (start !== undefined) {
      if (root !== null) throw broken(source, at, 'must have one root element')
      if (open.length >= DEPTH_MAX) throw broken(source, at, `must not be deeper than ${DEPTH_MAX} elements`)
      open.push(opened(start, { attributes, spaces: parent?.spaces ?? new Map([['xml', XML_SPACE]]) }))
    } else if (data !== undefined || text !== undefined) {
      const plain = data ?? unescaped(text ?? '')
      if (parent !== undefined) parent.texts.push(plain)
      else if (plain.trim() !== '') throw broken(source, at, 'has text outside its root element')
    }
    if (end !== undefined || empty === '/') {
      const closing = open.pop()
      if (closing === undefined || (end ?? closing.written) !== closing.written)
        throw broken(source, at, 'closes an element that is not open')
      const element = { ...closing.element, text: closing.texts.join('') }
      const above = open.at(-1)
      if (above === undefined) root = element
      else above.element.children.push(element)
    }
  }
  if (root === null) throw broken(source, source.length, 'ends inside an element')
  return root
}

/** The first child of this name. */
export function childOf(element: XmlElement | undefined, name: readonly [space: string, name: string]) {
  return childrenOf(element, name)[0]
}

export function childrenOf(
  element: XmlElement | undefined,
  [space, name]: readonly [space: string, name: string],
): readonly XmlElement[] {
  return element?.children.filter((child) => child.space === space && child.name === name) ?? []
}

/** The first one below, at any depth. */
export function findElement(
  element: XmlElement | undefined,
  name: readonly [space: string, name: string],
): XmlElement | undefined {
  const own = childOf(element, name)
  if (own !== undefined) return own
  for (const child of element?.children ?? []) {
    const found = findElement(child, name)
    if (found !== undefined) return found
  }
  return undefined
}

/** An element as text; `content` is markup: elements of this function, or escapeXml() of a text. */
export function xml(name: string, attributes: Readonly<Record<string, string>>, ...content: readonly string[]): string {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeXml(value)}"`)
  return `<${name}${written.join('')}>${content.join('')}</${name}>`
}

/** @throws BackupError `malformed` for characters that XML 1.0 cannot carry */
export function escapeXml(text: string): string {
  if (/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.test(text))
    throw malformed('text', JSON.stringify(text), 'must have no characters that XML cannot carry')
  return text.replaceAll(/[&<>"'\t\n\r]/g, (character) => `&#${character.charCodeAt(0)};`)
}

function opened(
  written: string,
  { attributes: source, spaces: outer }: { readonly attributes: string; readonly spaces: Open['spaces'] },
): Open {
  const pairs = [...source.matchAll(new RegExp(ATTRIBUTE, 'g'))].map(
    ([, key = '', double, single]) => [key, unescaped(double ?? single ?? '')] as const,
  )
  if (new Set(pairs.map(([key]) => key)).size !== pairs.length)
    throw malformed('XML', written, 'must not name an attribute twice')
  const declared = pairs.flatMap(([key, value]): (readonly [string, string])[] =>
    key === 'xmlns' ? [['', value]] : key.startsWith('xmlns:') ? [[key.slice(6), value]] : [],
  )
  if (declared.length > PREFIXES_MAX) throw crowded(written)
  const spaces = declared.length === 0 ? outer : new Map([...outer, ...declared])
  if (spaces.size > PREFIXES_MAX) throw crowded(written)
  const attributes = new Map(
    pairs
      .filter(([key]) => key !== 'xmlns' && !key.startsWith('xmlns:'))
      .map(([key, value]) => {
        const { space, name } = key.includes(':') ? resolved(key, spaces) : { space: '', name: key }
        return [space === '' ? name : `{${space}}${name}`, value] as const
      }),
  )
  return { written, element: { ...resolved(written, spaces), attributes, children: [], text: '' }, texts: [], spaces }
}

function crowded(written: string) {
  return malformed('XML', written, `must have no more than ${PREFIXES_MAX} namespace prefixes in scope`)
}

function resolved(written: string, spaces: Open['spaces']): { readonly space: string; readonly name: string } {
  const colon = written.indexOf(':')
  const prefix = written.slice(0, Math.max(0, colon))
  const space = spaces.get(prefix) ?? (prefix === '' ? '' : undefined)
  if (space === undefined) throw malformed('XML', written, 'must declare its namespace prefix')
  return { space, name: written.slice(colon + 1) }
}

function unescaped(text: string): string {
  return text.replaceAll(/&([^;]{0,10});?/g, (whole, body: string) => {
    const number = /^#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}))$/.exec(body)
    const code =
      number === null ? null : Number.parseInt(number[1] ?? number[2] ?? '', number[1] === undefined ? 10 : 16)
    if (whole.endsWith(';') && code !== null && code <= 0x10ffff) return String.fromCodePoint(code)
    const character = whole.endsWith(';') ? Object.entries(ENTITIES).find(([name]) => name === body)?.[1] : undefined
    if (character === undefined) throw malformed('XML', whole, 'must have no entities but the five of XML')
    return character
  })
}

function broken(source: string, at: number, needed: string) {
  return malformed('XML', source.slice(Math.max(0, at - 20), at + 80), needed)
}
