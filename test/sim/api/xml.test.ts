import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { escapeXml } from '../../../sim/soap/encode.ts'
import { attributeOf, parseXml } from '../../../sim/soap/xml.ts'

describe('parseXml()', () => {
  it('reads elements, attributes, namespaces, text, CDATA, comments and references', () => {
    const root = parseXml(
      '\ufeff<?xml version="1.0"?><!-- a --><a:root xmlns:a="urn:a" xmlns="urn:d" a:x="1" y=\'&lt;2&#x41;\'>t<![CDATA[<&]]><b/><!-- c -->&#66;</a:root>\n',
    )
    expect(root).toMatchObject({ name: 'root', namespace: 'urn:a', text: 't<&B' })
    expect(root.children).toMatchObject([{ name: 'b', namespace: 'urn:d', text: '' }])
    expect(attributeOf(root, { name: 'x', namespace: 'urn:a' })).toBe('1')
    expect(attributeOf(root, { name: 'y', namespace: '' })).toBe('<2A')
  })

  it('gives back any text that escapeXml() wrote, as content and as an attribute', () => {
    const texts = fc
      .string({ unit: 'grapheme' })
      .filter((text) => !/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(text))
    fc.assert(
      fc.property(texts, (text) => {
        const root = parseXml(`<a b="${escapeXml(text)}">${escapeXml(text)}</a>`)
        expect(root.text).toBe(text)
        expect(attributeOf(root, { name: 'b', namespace: '' })).toBe(text)
      }),
    )
  })

  it.each([
    ['a document type', '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'],
    ['an unknown entity', '<a>&b;</a>'],
    ['a bare ampersand', '<a>& b</a>'],
    ['elements that cross', '<a><b></a></b>'],
    ['an element without end', '<a><b></b>'],
    ['two document elements', '<a/><b/>'],
    ['an undeclared prefix', '<a:b/>'],
    ['attributes that touch', '<a b="1"c="2"/>'],
    ['an attribute without quotes', '<a b=1/>'],
    ['nothing', ''],
    ['endless depth', '<a>'.repeat(100) + '</a>'.repeat(100)],
  ])('refuses %s', (_, text) => {
    expect(() => parseXml(text)).toThrow(/Cannot read XML/)
  })
})
