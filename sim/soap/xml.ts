// A small strict XML 1.0 reader with namespaces. Not for documents with a DTD: those are refused.

import { malformed } from '../../lib/base/errors.ts'

export type XmlAttribute = { readonly name: string; readonly namespace: string; readonly value: string }

export type XmlElement = {
  /** Without its prefix. */
  readonly name: string
  readonly namespace: string
  readonly attributes: readonly XmlAttribute[]
  readonly children: readonly XmlElement[]
  /** All character data directly inside, joined. */
  readonly text: string
  /** Prefix (or '' for the default) to namespace, as far as declared here and above. */
  readonly namespaces: ReadonlyMap<string, string>
}

const DEPTH_MAX = 64
const ELEMENTS_MAX = 100_000
const XML_NAMESPACE = 'http://www.w3.org/XML/1998/namespace'
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** @throws BackupError `malformed` on anything that is not one well-formed element, or that is too deep or too large */
export function parseXml(text: string): XmlElement {
  const reader = { text: text.charCodeAt(0) === 0xfeff ? text.slice(1) : text, at: 0, elements: 0 }
  skipProlog(reader)
  const root = readElement(reader, { depth: 0, namespaces: new Map([['xml', XML_NAMESPACE]]) })
  skipProlog(reader)
  if (reader.at < reader.text.length) throw broken(reader, 'nothing may follow the document element')
  return root
}

/** The value of an attribute by name and namespace ('' for none), or null. */
export function attributeOf(
  element: XmlElement,
  wanted: { readonly name: string; readonly namespace: string },
): string | null {
  const found = element.attributes.find(({ name, namespace }) => name === wanted.name && namespace === wanted.namespace)
  return found?.value ?? null
}

type Reader = { readonly text: string; at: number; elements: number }
type Scope = { readonly depth: number; readonly namespaces: ReadonlyMap<string, string> }
type RawAttribute = { readonly name: string; readonly value: string }

function readElement(reader: Reader, scope: Scope): XmlElement {
  if (scope.depth > DEPTH_MAX) throw broken(reader, `at most ${DEPTH_MAX} levels are read`)
  if (++reader.elements > ELEMENTS_MAX) throw broken(reader, `at most ${ELEMENTS_MAX} elements are read`)
  expect(reader, '<')
  const tag = readName(reader)
  const raw: RawAttribute[] = []
  for (;;) {
    const spaced = skipSpace(reader)
    if (reader.text.startsWith('/>', reader.at) || reader.text.startsWith('>', reader.at)) break
    if (!spaced) throw broken(reader, 'a blank stands before an attribute')
    raw.push(readAttribute(reader))
  }
  const namespaces = declaredIn(raw, scope.namespaces)
  const own = { ...splitName(reader, { name: tag, namespaces, isAttribute: false }), namespaces }
  const attributes = raw
    .filter(({ name }) => name !== 'xmlns' && !name.startsWith('xmlns:'))
    .map(({ name, value }) => ({ ...splitName(reader, { name, namespaces, isAttribute: true }), value }))
  if (reader.text.startsWith('/>', reader.at)) {
    reader.at += 2
    return { ...own, attributes, children: [], text: '' }
  }
  expect(reader, '>')
  const { children, text } = readContent(reader, { tag, depth: scope.depth + 1, namespaces })
  return { ...own, attributes, children, text }
}

function readContent(reader: Reader, scope: Scope & { readonly tag: string }) {
  const children: XmlElement[] = []
  let text = ''
  for (;;) {
    const next = reader.text.indexOf('<', reader.at)
    if (next < 0) throw broken(reader, `the element "${scope.tag}" must end`)
    text += unescaped(reader, reader.text.slice(reader.at, next))
    reader.at = next
    if (reader.text.startsWith('</', next)) {
      reader.at += 2
      const end = readName(reader)
      skipSpace(reader)
      expect(reader, '>')
      if (end !== scope.tag) throw broken(reader, `"${scope.tag}" must end before "${end}"`)
      return { children, text }
    }
    if (reader.text.startsWith('<![CDATA[', next)) text += readUntil(reader, { start: '<![CDATA[', end: ']]>' })
    else if (!skipComment(reader)) children.push(readElement(reader, scope))
  }
}

function readAttribute(reader: Reader): RawAttribute {
  const name = readName(reader)
  skipSpace(reader)
  expect(reader, '=')
  skipSpace(reader)
  const quote = reader.text[reader.at]
  if (quote !== '"' && quote !== "'") throw broken(reader, 'an attribute value stands in quotes')
  const end = reader.text.indexOf(quote, reader.at + 1)
  if (end < 0) throw broken(reader, 'an attribute value must end')
  const text = reader.text.slice(reader.at + 1, end)
  if (text.includes('<')) throw broken(reader, 'an attribute value holds no "<"')
  reader.at = end + 1
  return { name, value: unescaped(reader, text) }
}

function declaredIn(raw: readonly RawAttribute[], outer: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const declared = raw.filter(({ name }) => name === 'xmlns' || name.startsWith('xmlns:'))
  if (declared.length === 0) return outer
  return new Map([...outer, ...declared.map(({ name, value }) => [name.slice('xmlns:'.length), value] as const)])
}

function splitName(
  reader: Reader,
  qualified: { readonly name: string; readonly namespaces: ReadonlyMap<string, string>; readonly isAttribute: boolean },
): { readonly name: string; readonly namespace: string } {
  const colon = qualified.name.indexOf(':')
  if (colon < 0) {
    return { name: qualified.name, namespace: qualified.isAttribute ? '' : (qualified.namespaces.get('') ?? '') }
  }
  const namespace = qualified.namespaces.get(qualified.name.slice(0, colon))
  if (namespace === undefined) throw broken(reader, `the prefix of "${qualified.name}" must be declared`)
  return { name: qualified.name.slice(colon + 1), namespace }
}

function unescaped(reader: Reader, text: string): string {
  if (!text.includes('&')) return text
  return text.replaceAll(/&([^;&]*)(;?)/g, (_, name: string, end: string) => {
    const code = /^#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}))$/.exec(name)
    const number = code === null ? Number.NaN : code[1] === undefined ? Number(code[2]) : Number.parseInt(code[1], 16)
    const plain = code === null ? ENTITIES[name] : number <= 0x10ffff ? String.fromCodePoint(number) : undefined
    if (end === '' || plain === undefined) throw broken(reader, `"&${name}${end}" is no reference to a character`)
    return plain
  })
}

function skipProlog(reader: Reader): void {
  for (;;) {
    skipSpace(reader)
    if (reader.text.startsWith('<?', reader.at)) readUntil(reader, { start: '<?', end: '?>' })
    else if (!skipComment(reader)) return
  }
}

function skipComment(reader: Reader): boolean {
  if (!reader.text.startsWith('<!--', reader.at)) return false
  readUntil(reader, { start: '<!--', end: '-->' })
  return true
}

function readUntil(reader: Reader, marks: { readonly start: string; readonly end: string }): string {
  const from = reader.at + marks.start.length
  const end = reader.text.indexOf(marks.end, from)
  if (end < 0) throw broken(reader, `"${marks.start}" must be closed by "${marks.end}"`)
  reader.at = end + marks.end.length
  return reader.text.slice(from, end)
}

function readName(reader: Reader): string {
  const pattern = /[\p{L}_][\p{L}\p{N}_.-]*(?::[\p{L}_][\p{L}\p{N}_.-]*)?/uy
  pattern.lastIndex = reader.at
  const name = pattern.exec(reader.text)?.[0]
  if (name === undefined) throw broken(reader, 'a name is needed')
  reader.at += name.length
  return name
}

function skipSpace(reader: Reader): boolean {
  const from = reader.at
  while (/[ \t\r\n]/.test(reader.text[reader.at] ?? '')) reader.at++
  return reader.at > from
}

function expect(reader: Reader, mark: string): void {
  if (!reader.text.startsWith(mark, reader.at)) throw broken(reader, `"${mark}" is needed`)
  reader.at += mark.length
}

function broken(reader: Reader, needed: string) {
  return malformed('XML', reader.text.slice(reader.at, reader.at + 40), `at character ${reader.at} ${needed}`)
}
