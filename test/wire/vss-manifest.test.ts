// Names of VSS writers out of the manifest that VMware Tools leave.

import { type Zippable, zipSync } from 'fflate'
import { describe, expect, it } from 'vitest'
import { parseVssManifest } from '../../lib/wire/vss-manifest.ts'

const SQL = '{a65faa63-5ea8-4ebc-9dbd-a0c4db26912a}'
const REGISTRY = '{afbab4a2-367d-4d15-a586-71dbb18f8485}'
const LONELY = '{11111111-2222-3333-4444-555555555555}'

const metadata = (name: string, id: string) =>
  `<?xml version="1.0"?>\r\n<WRITER_METADATA xmlns="x-schema:#VssWriterMetadataInfo" version="1.2">` +
  `<IDENTIFICATION writerId="${id}" instanceId="{0}" friendlyName="${name}" usage="USER_DATA" dataSource="OTHER"/>` +
  `<BACKUP_LOCATIONS><DATABASE friendlyName="no writer" writerId="{none}"/></BACKUP_LOCATIONS></WRITER_METADATA>`
const components = (...ids: readonly string[]) =>
  `<BACKUP_COMPONENTS xmlns="x-schema:#VssComponentMetadata" version="1.2" bootableSystemStateBackup="yes" selectComponents="no">` +
  `${ids.map((id) => `<WRITER_COMPONENTS instanceId="{0}" writerId="${id}"><COMPONENT componentName="C"/></WRITER_COMPONENTS>`).join('')}</BACKUP_COMPONENTS>`

const utf8 = (text: string) => new TextEncoder().encode(text)
const utf16le = (text: string) => new Uint8Array(Buffer.from(text, 'utf16le'))
const utf16be = (text: string) => new Uint8Array(Buffer.from(text, 'utf16le').swap16())
const refused = (reason: string) =>
  expect.objectContaining({ code: 'vss-manifest-malformed', message: expect.stringContaining(reason) })
const zipOf = (files: Zippable) => zipSync(files)

describe('a VSS manifest', () => {
  it('names its writers once each, ascending, and those without a document by their id', () => {
    const zip = zipOf({
      'backup.xml': utf8(components(SQL.toUpperCase(), LONELY)),
      'writer1.xml': utf8(metadata('SqlServerWriter', SQL)),
      'writer0.xml': utf8(metadata('Registry Writer', REGISTRY)),
      'writer2.xml': utf8(metadata('SqlServerWriter', SQL)),
      'readme.txt': utf8('<not xml'),
    })
    expect(parseVssManifest(zip)).toEqual({ writers: ['Registry Writer', 'SqlServerWriter', LONELY] })
  })

  it.each([
    ['UTF-8', utf8],
    ['UTF-8 with a byte order mark', (text: string) => utf8(`\ufeff${text}`)],
    ['UTF-16LE with a byte order mark', (text: string) => utf16le(`\ufeff${text}`)],
    ['UTF-16BE with a byte order mark', (text: string) => utf16be(`\ufeff${text}`)],
    ['UTF-16LE without one', utf16le],
    ['UTF-16BE without one', utf16be],
  ])('is read in %s', (_name, encode) => {
    const zip = zipOf({ 'vss/writer0.xml': encode(metadata('Größe &amp; &#x65E5;', REGISTRY)) })
    expect(parseVssManifest(zip).writers).toEqual(['Größe & 日'])
  })

  it('is one without any writer, too', () => {
    expect(parseVssManifest(zipOf({ 'backup.xml': utf8(components()) }))).toEqual({ writers: [] })
  })

  it('keeps names that are no plain keys', () => {
    const zip = zipOf({ 'writer0.xml': utf8(metadata('__proto__', SQL)) })
    expect(parseVssManifest(zip).writers).toEqual(['__proto__'])
  })

  it('is refused when it is no archive, has no documents, or documents of something else', () => {
    const whole = zipOf({ 'writer0.xml': utf8(metadata('W', SQL)) })
    expect(() => parseVssManifest(new Uint8Array())).toThrow(refused('no zip archive'))
    expect(() => parseVssManifest(utf8('<html>login</html>'))).toThrow(refused('no zip archive'))
    expect(() => parseVssManifest(whole.subarray(0, whole.length - 30))).toThrow(refused('no zip archive'))
    expect(() => parseVssManifest(zipOf({ 'notes.xml': utf8('<a/>') }))).toThrow(refused('neither backup.xml'))
    expect(() => parseVssManifest(zipOf({ 'backup.xml': utf8('<html/>') }))).toThrow(refused('none of its documents'))
    for (const text of ['', 'no xml', '<WRITER_METADATA>', '<WRITER_METADATA><A></WRITER_METADATA>', '\u0000\u0001'])
      expect(() => parseVssManifest(zipOf({ 'writer0.xml': utf8(text) }))).toThrow(refused('"writer0.xml" is no XML'))
    const broken = Uint8Array.from([0xc3, 0x28])
    expect(() => parseVssManifest(zipOf({ 'writer0.xml': broken }))).toThrow(refused('"writer0.xml" is no XML'))
  })

  it('does not grow in memory beyond its bound, whatever the archive states', () => {
    const bomb = zipOf({ 'writer0.xml': [new Uint8Array(33 * 1024 * 1024), { level: 9 }] })
    expect(bomb.length).toBeLessThan(100_000)
    expect(() => parseVssManifest(bomb)).toThrow(refused('larger than'))
    // The size is understated in the directory, where readers look: four bytes at 24 after its signature.
    const lying = bomb.slice()
    const directory = Buffer.from(lying.buffer).indexOf(Buffer.from([0x50, 0x4b, 1, 2]))
    new DataView(lying.buffer).setUint32(directory + 24, 1000, true)
    expect(() => parseVssManifest(lying)).toThrow(refused(''))
    const crowd = Object.fromEntries(Array.from({ length: 1001 }, (_, index) => [`file${index}`, utf8('')]))
    expect(() => parseVssManifest(zipOf(crowd))).toThrow(refused('more than 1000 files'))
  })

  it('is refused when it is deeper than any document of VSS', () => {
    const deep = (depth: number) => `${'<a>'.repeat(depth)}${'</a>'.repeat(depth)}`
    const read = (depth: number) => () => parseVssManifest(zipOf({ 'writer1.xml': utf8(deep(depth)) }))
    expect(read(64)).toThrow(refused('none of its documents is of VSS'))
    expect(read(65)).toThrow(refused('"writer1.xml" is deeper than 64 elements'))
  })

  it('does not expand entities that a document declares', () => {
    const text = `<!DOCTYPE a [<!ENTITY x "yyyy"><!ENTITY z "&x;&x;">]>${metadata('&z;', SQL)}`
    expect(() => parseVssManifest(zipOf({ 'writer0.xml': utf8(text) }))).toThrow(refused('is no XML'))
  })
})
