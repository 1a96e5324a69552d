// A reader of XML that is not the client's: xmldom, which comes with the soap package's xml-crypto.

import { createRequire } from 'node:module'

/** What is used of the DOM. */
export type DomElement = {
  readonly nodeType: number
  readonly nodeName: string
  readonly localName: string | null
  readonly namespaceURI: string | null
  readonly textContent: string | null
  readonly childNodes: ArrayLike<DomElement>
  getAttribute(name: string): string | null
  getAttributeNS(space: string, name: string): string | null
}

type Xmldom = {
  readonly DOMParser: new (options: {
    readonly errorHandler: Readonly<Record<'warning' | 'error' | 'fatalError', (message: unknown) => void>>
  }) => { parseFromString(text: string, type: string): { readonly documentElement: DomElement } }
}

// Its own types would bring the whole DOM of browsers into every file's globals.
const soap = createRequire(createRequire(import.meta.url).resolve('soap'))
const { DOMParser } = createRequire(soap.resolve('xml-crypto'))('@xmldom/xmldom') as Xmldom

/** The root element. @throws on anything that is not well-formed */
export function parseDom(text: string): DomElement {
  const refuse = (message: unknown) => {
    throw new Error(String(message))
  }
  const parser = new DOMParser({ errorHandler: { warning: refuse, error: refuse, fatalError: refuse } })
  return parser.parseFromString(text, 'text/xml').documentElement
}
