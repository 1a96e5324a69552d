// The test kit's vcsim: that it is a server apart from us, closed to strangers, and gone without a trace after the test.

import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { request } from 'node:https'
import { describe, expect, it } from 'vitest'
import { peerSkip } from '../kit/peers.ts'
import { openVcsim } from '../kit/vcsim.ts'

type Answer = { readonly status: number | undefined; readonly body: string; readonly fingerprint: string }

async function post(url: string, body: string): Promise<Answer> {
  const outgoing = request(url, {
    method: 'POST',
    rejectUnauthorized: false,
    agent: false,
    headers: { SOAPAction: 'urn:vim25/6.5' },
  })
  let fingerprint = ''
  outgoing.on('socket', (socket) =>
    socket.on('secureConnect', () => {
      if ('getPeerCertificate' in socket && typeof socket.getPeerCertificate === 'function') {
        fingerprint = String(socket.getPeerCertificate().fingerprint256)
      }
    }),
  )
  outgoing.end(`<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body>${body}</Body></Envelope>`)
  const [response] = await once(outgoing, 'response')
  let text = ''
  for await (const piece of response.setEncoding('utf8')) text += piece
  return { status: response.statusCode, body: text, fingerprint }
}

function login(user: string, password: string): string {
  return `<Login xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this><userName>${user}</userName><password>${password}</password></Login>`
}

describe.skipIf(peerSkip('vcsim'))('vcsim', () => {
  it('answers over TLS with the certificate it names, lets its user in and nobody else', async () => {
    await using vcsim = await openVcsim({ user: 'operator', password: 'right' })

    const accepted = await post(vcsim.url, login('operator', 'right'))
    expect(accepted.body).toContain('<userName>operator</userName>')
    expect(accepted.fingerprint).toBe(vcsim.thumbprintSha256)
    expect((await post(vcsim.url, login('operator', 'wrong'))).body).toContain('InvalidLogin')
  })

  it('keeps its datastores in its own folder and leaves neither them nor a process behind', async () => {
    const vcsim = await openVcsim()
    expect((await readdir(vcsim.temporaryDirectory)).some((name) => name.startsWith('govcsim-DC0-LocalDS_0-'))).toBe(
      true,
    )
    await vcsim[Symbol.asyncDispose]()
    expect(existsSync(vcsim.temporaryDirectory)).toBe(false)
    expect(() => process.kill(vcsim.pid, 0)).toThrow('ESRCH')
  })
})
