import { describe, expect, it } from 'vitest'
import { parseNbdUri } from '../../lib/wire/nbd-uri.ts'

describe('parseNbdUri()', () => {
  it('reads hosts, ports and export names as the format defines them', () => {
    const plain = { tls: false, tlsServerName: null }
    const at = (host: string, port = 10809) => ({ ...plain, address: { host, port } })
    expect(parseNbdUri('nbd://example.com')).toEqual({ ...at('example.com'), exportName: '' })
    expect(parseNbdUri('nbd://example.com/')).toEqual({ ...at('example.com'), exportName: '' })
    expect(parseNbdUri('nbd://example.com/disk')).toEqual({ ...at('example.com'), exportName: 'disk' })
    expect(parseNbdUri('nbd://example.com//disk')).toEqual({ ...at('example.com'), exportName: '/disk' })
    expect(parseNbdUri('nbd://example.com/hello%20world')).toEqual({ ...at('example.com'), exportName: 'hello world' })
    expect(parseNbdUri('nbd://10.0.0.1:1/a')).toEqual({ ...at('10.0.0.1', 1), exportName: 'a' })
    expect(parseNbdUri('nbd://[::1]:9/a')).toEqual({ ...at('::1', 9), exportName: 'a' })
  })

  it('reads unix sockets', () => {
    const address = { unix: '/run/a b.sock' }
    const text = 'nbd+unix:///disk?socket=/run/a%20b.sock'
    expect(parseNbdUri(text)).toEqual({ address, exportName: 'disk', tls: false, tlsServerName: null })
    expect(parseNbdUri('nbd+unix://?socket=x').address).toEqual({ unix: 'x' })
  })

  it('asks for TLS, with the name to verify', () => {
    expect(parseNbdUri('nbds://h/').tls).toBe(true)
    const uri = parseNbdUri('nbds+unix:///?socket=/s&tls-hostname=db.example.com')
    expect(uri).toMatchObject({ tls: true, tlsServerName: 'db.example.com', address: { unix: '/s' } })
  })

  it('refuses what it does not understand, and says why', () => {
    const refused = {
      'http://example.com/': 'start with nbd://',
      'nbd:example': '"//"',
      'nbd://': 'host',
      'nbd://user@example.com/': 'user name',
      'nbd://h/?socket=/s': 'nbd+unix',
      'nbd+unix:///': 'socket=PATH',
      'nbd+unix://host/?socket=/s': 'three slashes',
      'nbd://h/?tls-certificates=/etc': 'tls-certificates',
      'nbds://h/?tls-verify-peer=0': 'always verified',
      'nbds://h/?tls-type=psk': 'x509',
      'nbd://h/%ff': 'UTF-8',
      'nbd://h/#a': 'fragment',
      'nbd+unix:///?socket=a&socket=b': 'once',
      'nbd://h:99999/': 'start with',
      '': 'start with',
    }
    for (const [text, why] of Object.entries(refused)) {
      const reading = () => parseNbdUri(text)
      expect(reading, text).toThrow(why)
      expect(reading, text).toThrow(expect.objectContaining({ code: 'malformed' }))
    }
  })
})
