// What the S3 server of the tests answers with: replies, errors in S3's XML, and the XML itself.

export type S3Reply = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** An error as S3 says it (S3 API Reference, "Error responses"). */
export class S3Error extends Error {
  readonly status: number
  readonly code: string
  readonly headers: Readonly<Record<string, string>>
  readonly elements: Readonly<Record<string, string>>

  constructor(
    status: number,
    code: string,
    message: string,
    more: { readonly headers?: Record<string, string>; readonly elements?: Record<string, string> } = {},
  ) {
    super(message)
    this.status = status
    this.code = code
    this.headers = more.headers ?? {}
    this.elements = more.elements ?? {}
  }
}

export function notImplemented(what: string): S3Error {
  return new S3Error(
    501,
    'NotImplemented',
    `A header or parameter you provided implies functionality that is not implemented: ${what}`,
  )
}

export function badRequest(message: string): S3Error {
  return new S3Error(400, 'InvalidRequest', message)
}

export function invalidArgument(message: string): S3Error {
  return new S3Error(400, 'InvalidArgument', message)
}

export function emptyReply(status: number, headers: Record<string, string> = {}): S3Reply {
  return { status, headers, body: Buffer.alloc(0) }
}

/** A piece of XML that is written already. */
export type Xml = { readonly xml: string }

/** An element with text or with elements in it. */
export function element(name: string, content: string | readonly Xml[]): Xml {
  const inner = typeof content === 'string' ? escapeXml(content) : content.map(({ xml }) => xml).join('')
  return { xml: `<${name}>${inner}</${name}>` }
}

export function xmlReply(name: string, content: readonly Xml[], headers: Record<string, string> = {}): S3Reply {
  const inner = content.map(({ xml }) => xml).join('')
  const text = `<?xml version="1.0" encoding="UTF-8"?>\n<${name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inner}</${name}>`
  return { status: 200, headers: { 'content-type': 'application/xml', ...headers }, body: Buffer.from(text) }
}

export function errorReply(error: S3Error, { requestId }: { readonly requestId: string }): S3Reply {
  const content = [
    element('Code', error.code),
    element('Message', error.message),
    ...Object.entries(error.elements).map(([name, value]) => element(name, value)),
    element('RequestId', requestId),
    element('HostId', 'coldframe-test-s3'),
  ]
  const text = `<?xml version="1.0" encoding="UTF-8"?>\n<Error>${content.map(({ xml }) => xml).join('')}</Error>`
  const headers = { 'content-type': 'application/xml', ...error.headers }
  return { status: error.status, headers, body: Buffer.from(text) }
}

/** The text of the first element of this name; null when there is none. Requests' bodies are flat enough for it. */
export function textIn(xml: string, name: string): string | null {
  const match = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)
  return match?.[1] === undefined ? null : unescapeXml(match[1])
}

/** The insides of every element of this name. */
export function elementsIn(xml: string, name: string): readonly string[] {
  return [...xml.matchAll(new RegExp(`<${name}>(.*?)</${name}>`, 'gs'))].map((match) => match[1] ?? '')
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

function unescapeXml(text: string): string {
  const names: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' }
  return text.replaceAll(/&(#x?[0-9a-fA-F]+|[a-z]+);/g, (whole, name: string) => {
    if (name.startsWith('#x')) return String.fromCodePoint(Number.parseInt(name.slice(2), 16))
    if (name.startsWith('#')) return String.fromCodePoint(Number(name.slice(1)))
    return names[name] ?? whole
  })
}
