// The reader and writer of XML that WS-Management goes through.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { escapeXml, findElement, parseXml, xml } from '../../../lib/adapters/guest/wsman-xml.ts'
import { parseDom } from '../../kit/winrm-server-xml.ts'

const prefixes = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => ` xmlns:p${from + index}="urn:x"`).join('')

describe('XML of WS-Management', () => {
  it('names are known by their namespace, whatever the prefix', () => {
    const root = parseXml(`\ufeff<?xml version="1.0"?>
      <!-- said by nobody --><a:one xmlns:a="urn:x" xmlns="urn:y" a:at="1" at='2'><two><![CDATA[<&>]]> and &#xe4;</two><a:two/></a:one>\n`)
    expect(root).toMatchObject({ space: 'urn:x', name: 'one' })
    expect([...root.attributes]).toEqual([
      ['{urn:x}at', '1'],
      ['at', '2'],
    ])
    expect(root.children.map(({ space, name, text }) => [space, name, text])).toEqual([
      ['urn:y', 'two', '<&> and ä'],
      ['urn:x', 'two', ''],
    ])
    expect(findElement(root, ['urn:x', 'two'])?.children).toEqual([])
  })

  it('any text comes back as it went in, here and in another reader of XML', () => {
    const texts = fc
      .string({ unit: 'binary' })
      .filter((text) => !/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.test(text))
    fc.assert(
      fc.property(texts, texts, (attribute, content) => {
        const source = xml('e', { at: attribute }, escapeXml(content))
        const own = parseXml(source)
        expect([own.attributes.get('at'), own.text]).toEqual([attribute, content])
        const other = parseDom(source)
        expect([other.getAttribute('at'), other.textContent]).toEqual([attribute, content])
      }),
    )
  })

  it('declares as many prefixes as any guest needs', () => {
    expect(parseXml(`<p1:a${prefixes(0, 40)}><p59:b${prefixes(40, 60)}/></p1:a>`).children[0]?.space).toBe('urn:x')
  })

  it('what XML cannot carry is not sent', () => {
    for (const text of ['\0', 'a\x1bb', '\ufffe', '\ud800']) expect(() => escapeXml(text)).toThrow(/XML cannot carry/)
  })

  it.each([
    ['<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', /document type/],
    ['<a>&x;</a>', /five of XML/],
    ['<a>& b</a>', /five of XML/],
    ['<a><b></a></b>', /not open/],
    ['<a/><b/>', /one root/],
    ['<a>', /ends inside/],
    ['', /ends inside/],
    ['x<a/>', /outside its root/],
    ['<p:a/>', /prefix/],
    ['<a b="1" b="2"/>', /twice/],
    ['<a b=1/>', /well-formed/],
    ['<a b="<"/>', /well-formed/],
    ['<a>'.repeat(65), /deeper/],
    [`<a${prefixes(0, 65)}/>`, /more than 64 namespace prefixes/],
    [`<a${prefixes(0, 40)}><b${prefixes(40, 65)}/></a>`, /more than 64 namespace prefixes/],
  ])('%s is refused', (source, reason) => {
    expect(() => parseXml(source)).toThrow(reason)
  })

  it('no text at all makes the reader throw anything but its own error', () => {
    const pieces = [
      '<',
      '>',
      '/',
      '&',
      ';',
      '"',
      "'",
      '=',
      ' ',
      'a',
      ':',
      '<a>',
      '</a>',
      '<![CDATA[',
      ']]>',
      '<!--',
      '#x41',
    ]
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 30 }), (parts) => {
        try {
          parseXml(parts.join(''))
        } catch (error) {
          expect(error).toMatchObject({ code: 'malformed' })
        }
      }),
    )
  })
})
