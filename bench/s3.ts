// Our S3 store beside AWS's SDK, both against one HTTPS sink that throws puts away and answers ranges, interleaved:
// `node bench/s3.ts [--json] [--rounds 5]`. Puts of 16 MiB, 8 in flight; ranges of 128 KiB, 16 in flight.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { measure } from './s3/measure.ts'
import { type Line, table } from './s3/report.ts'

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '5' },
    client: { type: 'string' },
  },
})

if (values.client === undefined) await parent()
else process.stdout.write(JSON.stringify(await measure({ endpoint: values.client, rounds: Number(values.rounds) })))

/** Makes a certificate, starts the sink, and measures in a process of its own that trusts it. */
async function parent(): Promise<void> {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'coldframe-bench-s3-'))
  const [key, certificate] = [join(folder.path, 'key.pem'), join(folder.path, 'cert.pem')]
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', certificate],
  ])
  if (made.status !== 0) throw new Error(`openssl made no certificate: ${made.stderr}`)
  const sink = spawn(process.execPath, [join(import.meta.dirname, 's3', 'sink.ts'), key, certificate], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    const [port] = await once(createInterface(sink.stdout), 'line')
    const args = [import.meta.filename, '--client', `https://localhost:${String(port)}`, '--rounds', values.rounds]
    const client = spawnSync(process.execPath, args, {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: certificate },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      maxBuffer: 2 ** 24,
    })
    if (client.status !== 0) throw new Error('the measuring process failed')
    const lines: readonly Line[] = JSON.parse(client.stdout)
    process.stdout.write(values.json ? `${JSON.stringify({ v: 1, ok: true, data: { lines } })}\n` : table(lines))
  } finally {
    sink.stdin.end()
  }
}
