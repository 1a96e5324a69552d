// Certificates for one test, made by openssl in the layout that nbdkit and libnbd read.

import { spawnSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { testFolder } from './nbdkit.ts'

export type TestCertificates = {
  /** Holds ca-cert.pem, server-cert.pem, server-key.pem. */
  readonly folder: string
  readonly ca: string
  /** SHA-256 of the server's certificate, hex. */
  readonly pin: string
}

/** A certificate authority, and a server certificate for `localhost` and 127.0.0.1 signed by it. */
export async function makeCertificates(): Promise<TestCertificates> {
  const folder = await testFolder()
  const at = (name: string) => join(folder, name)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  await writeFile(at('san.cnf'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n')
  openssl([
    'req',
    '-x509',
    ...key,
    '-days',
    '2',
    '-subj',
    '/CN=Test CA',
    '-keyout',
    at('ca-key.pem'),
    '-out',
    at('ca-cert.pem'),
  ])
  openssl(['req', ...key, '-subj', '/CN=localhost', '-keyout', at('server-key.pem'), '-out', at('server.csr')])
  const signing = ['-CA', at('ca-cert.pem'), '-CAkey', at('ca-key.pem'), '-CAcreateserial', '-extfile', at('san.cnf')]
  openssl(['x509', '-req', '-days', '2', '-in', at('server.csr'), ...signing, '-out', at('server-cert.pem')])
  const certificate = new X509Certificate(await readFile(at('server-cert.pem')))
  const pin = createHash('sha256').update(certificate.raw).digest('hex')
  return { folder, ca: await readFile(at('ca-cert.pem'), 'utf8'), pin }
}

function openssl(args: readonly string[]): void {
  const result = spawnSync('openssl', args, { encoding: 'utf8' })
  if (result.status !== 0) throw new Error(`openssl ${args[0]}: ${result.stderr}`)
}
