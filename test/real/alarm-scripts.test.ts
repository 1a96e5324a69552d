// What we ship for the alarm doors, run by real shells, openssl and curl, and by snmptrapd on real traps, against the Lambda handler of
// the doors behind HTTP on loopback.

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Alarm } from '../../lib/model/alarm.ts'
import { HMAC_KEY, startAlarmServer } from '../kit/alarm-server.ts'
import { peer, requirePeer } from '../kit/peers.ts'

const script = join(import.meta.dirname, '../../docs/alarms/coldframe-alarm.sh')
const curl = peer('curl')
const jq = peer('jq')
const busybox = peer('busybox')
const snmptrap = peer('snmptrap')
const snmptrapd = peer('snmptrapd')
const cancel = { signal: new AbortController().signal }

let folder = ''
let keyFile = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coldframe-alarms-'))
  keyFile = join(folder, 'key')
  await writeFile(keyFile, `${HMAC_KEY}\n`)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const variables = {
  VMWARE_ALARM_NAME: 'Ransomware suspected',
  VMWARE_ALARM_ID: 'alarm-12',
  VMWARE_ALARM_TARGET_NAME: 'db-1',
  VMWARE_ALARM_TARGET_ID: 'vm-101',
  VMWARE_ALARM_OLDSTATUS: 'Green',
  VMWARE_ALARM_NEWSTATUS: 'Red',
  VMWARE_ALARM_TRIGGERINGSUMMARY: 'Event: many files were renamed',
}

type Ended = { readonly code: number | null; readonly stderr: string }

function run(command: readonly string[], environment: Readonly<Record<string, string>>, input = ''): Promise<Ended> {
  const [file = '', ...args] = command
  const { promise, resolve, reject } = Promise.withResolvers<Ended>()
  const child = spawn(file, args, { env: environment, stdio: ['pipe', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', (piece) => {
    stderr += piece
  })
  child.on('error', reject)
  child.on('close', (code) => resolve({ code, stderr }))
  child.stdin.on('error', () => undefined).end(input)
  return promise
}

type Server = Awaited<ReturnType<typeof startAlarmServer>>

async function alarmsOf({ parts }: Server): Promise<readonly Alarm[]> {
  const records = await parts.jobStore.recentAlarms({ limit: 100 }, cancel)
  return records.map(({ alarm }) => alarm)
}

/** A PATH with everything but these programs. */
async function pathWithout(...names: readonly string[]): Promise<string> {
  const bin = await mkdtemp(join(folder, 'bin-'))
  for (const name of ['sh', 'cat', 'head', 'tr', 'sed', 'od', 'cut', 'date', 'awk', 'openssl', 'curl', 'jq', 'iconv'])
    if (!names.includes(name)) await symlink(`/usr/bin/${name}`, join(bin, name))
  return bin
}

describe.skipIf(!curl || !jq || !busybox)('the script of a vCenter alarm', () => {
  const shells = ['/bin/dash', '/bin/bash', `${busybox} sh`]

  it.each(shells.flatMap((shell) => [[shell, 'with jq'] as const, [shell, 'without jq and iconv'] as const]))(
    'run by %s %s signs and posts what vCenter says',
    async (shell, how) => {
      requirePeer('curl')
      await using server = await startAlarmServer()
      const PATH = how === 'with jq' ? '/usr/bin:/bin' : await pathWithout('jq', 'iconv')
      const names = { VMWARE_ALARM_NAME: 'Say "Ransom" \\ täst\tend', VMWARE_ALARM_TARGET_NAME: "db'1 $(id) `id` %s" }
      const args = [...shell.split(' '), script, 'vcenter', server.url, keyFile, '5e3c9a1b-0000-4000-8000-000000000001']
      expect(await run(args, { PATH, ...variables, ...names })).toEqual({ code: 0, stderr: '' })
      expect(await alarmsOf(server)).toMatchObject([
        {
          source: 'vcenter-script',
          vcenterId: '5e3c9a1b-0000-4000-8000-000000000001',
          alarmName: 'Say "Ransom" \\ täst end',
          state: 'raised',
          from: 'Green',
          to: 'Red',
          target: { moref: 'vm-101', name: "db'1 $(id) `id` %s", kind: 'VirtualMachine' },
          message: 'Event: many files were renamed',
        },
      ])
    },
  )

  it('says what is wrong, and does not succeed: another key, no key, nobody there', async () => {
    await using server = await startAlarmServer()
    const other = join(folder, 'other')
    await writeFile(other, 'some-other-key-000000')
    const call = (url: string, key: string) =>
      run(['/bin/sh', script, 'vcenter', url, key], { PATH: '/usr/bin:/bin', ...variables })
    expect(await call(server.url, other)).toMatchObject({ code: 1, stderr: expect.stringContaining('answered 401') })
    expect(await call(server.url, join(folder, 'none'))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('cannot read the key'),
    })
    expect(await call('http://127.0.0.1:1', keyFile)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('cannot reach'),
    })
    expect(await alarmsOf(server)).toEqual([])
  })

  it('shows its key to nobody who looks at the processes', async () => {
    await using server = await startAlarmServer()
    const bin = await pathWithout('openssl', 'curl')
    const seen = join(folder, 'seen')
    for (const name of ['openssl', 'curl'])
      await writeFile(
        join(bin, name),
        `#!/bin/sh\necho "$0 $*" >> ${seen}\nenv >> ${seen}\nexec /usr/bin/${name} "$@"\n`,
        {
          mode: 0o755,
        },
      )
    expect((await run(['/bin/sh', script, 'vcenter', server.url, keyFile], { PATH: bin, ...variables })).code).toBe(0)
    const text = await readFile(seen, 'utf8')
    expect(text).toContain('curl')
    expect(text).not.toContain(HMAC_KEY)
  })
})

/** A UDP port that is free now. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function startTrapd(server: Server): Promise<{ readonly port: number; readonly child: ChildProcess }> {
  const port = await freePort()
  const conf = join(await mkdtemp(join(folder, 'trapd-')), 'snmptrapd.conf')
  const handler = `/bin/sh ${script} snmp ${server.url} ${keyFile}`
  await writeFile(conf, `authCommunity execute,log coldframe\ntraphandle .1.3.6.1.4.1.6876.4.3.0.203 ${handler}\n`)
  const args = ['-f', '-Le', '-C', '-c', conf, '-m', '', '-p', `${conf}.pid`, `udp:127.0.0.1:${port}`]
  const child = spawn('/usr/sbin/snmptrapd', args, {
    env: { PATH: '/usr/bin:/bin', SNMP_PERSISTENT_DIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (piece) => {
      if (String(piece).includes('NET-SNMP version')) resolve()
    })
  child.on('error', reject)
  child.on('exit', (code) => reject(new Error(`snmptrapd ended with ${code}`)))
  await promise
  return { port, child }
}

describe.skipIf(!curl || !snmptrap || !snmptrapd)('the trap handler', () => {
  it('posts what vCenter sends, of both versions, in ASCII and not, and none of other communities or traps', async () => {
    requirePeer('snmptrapd')
    await using server = await startAlarmServer()
    const { port, child } = await startTrapd(server)
    const base = '1.3.6.1.4.1.6876.4.3'
    const values = (name: string, message: string) => [
      ...[`${base}.308.0`, 'i', '3', `${base}.304.0`, 's', 'Gray', `${base}.305.0`, 's', 'Yellow'],
      ...[`${base}.306.0`, 's', message, `${base}.307.0`, 's', name],
    ]
    const send = (args: readonly string[]) => run(['/usr/bin/snmptrap', ...args], { PATH: '/usr/bin', MIBS: '' })
    const to = `udp:127.0.0.1:${port}`
    try {
      const v2 = (community: string, trap: string) => ['-v', '2c', '-c', community, to, '', trap]
      await send([...v2('public', `${base}.0.203`), ...values('nobody', 'x - Metric Usage = 1%')])
      await send([...v2('coldframe', `${base}.0.202`), ...values('diagnostic', 'x - Metric Usage = 1%')])
      await send([...v2('coldframe', `${base}.0.203`), ...values('db-1', 'Mem > 80% - Tests - Metric Memory = 89%')])
      await send([
        ...v2('coldframe', `${base}.0.203`),
        ...values('db-"ä" \\ 2', 'Größe "x"\nof all - Metric Usage = 2%'),
      ])
      await send([...v2('coldframe', `${base}.0.203`), ...values('db-4', 'Two\nlines "x" \\ - Metric Usage = 2%')])
      await send(['-v', '1', '-c', 'coldframe', to, base, '127.0.0.1', '6', '203', '', ...values('db-3', 'Alone')])
      await expect.poll(async () => (await alarmsOf(server)).length, { timeout: 10_000 }).toBe(4)
    } finally {
      child.removeAllListeners('exit')
      const ended = new Promise((resolve) => child.on('exit', resolve))
      child.kill()
      await ended
    }
    const alarms = await alarmsOf(server)
    const told = alarms
      .map(({ alarmName, target, to: state }) => [target.name, target.kind, alarmName, state])
      .toSorted()
    expect(told).toEqual([
      ['db-"ä" \\ 2', 'VirtualMachine', 'Größe "x" of all', 'Yellow'],
      ['db-1', 'VirtualMachine', 'Mem > 80% - Tests', 'Yellow'],
      ['db-3', 'VirtualMachine', 'Alone', 'Yellow'],
      ['db-4', 'VirtualMachine', 'Two lines "x" \\', 'Yellow'],
    ])
  }, 30_000)
})
