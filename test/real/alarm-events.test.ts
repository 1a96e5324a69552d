// Events of alarms, read by us from a vCenter that is not ours (vcsim, which pyVmomi has say that alarms changed), and by pyVmomi from
// the simulated one.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { openVsphere } from '../../lib/adapters/vsphere/vsphere.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { systemRandom } from '../../lib/base/random.ts'
import { peerSkip, requirePeer } from '../kit/peers.ts'
import { openVcsim } from '../kit/vcsim.ts'
import { startSimProgram } from '../sim/api/sim-program.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }

async function python(args: readonly string[]): Promise<Record<string, unknown>> {
  const script = join(import.meta.dirname, 'sim_alarms.py')
  const { stdout } = await promisify(execFile)(requirePeer('pyvmomi'), [script, ...args], { timeout: 30_000 })
  return JSON.parse(stdout)
}

describe.skipIf(peerSkip('vcsim', 'pyvmomi'))('the events of alarms of vcsim', () => {
  it('are read as they were posted, and no other event is', async () => {
    await using vcsim = await openVcsim()
    const { url, user, password, thumbprintSha256 } = vcsim
    const posted = await python([String(new URL(url).port), user, password, 'post'])
    const vms = Array.isArray(posted['vms']) ? posted['vms'] : []
    const vsphere = openVsphere({
      ...{ url, account: async () => ({ user, password }), clock: systemClock, random: systemRandom },
      trust: { kind: 'thumbprint', sha256: thumbprintSha256 },
    })
    await using session = await vsphere.open(cancel)

    const query = { since: '2020-01-01T00:00:00.000Z', known: new Set<number>(), limit: 10 }
    const events = await session.readAlarmEvents(query, cancel)
    expect(events.map(({ alarmName, from, to, entity }) => [alarmName, from, to, entity.name, entity.kind])).toEqual([
      ['Ransomware suspected', 'green', 'red', vms[0], 'VirtualMachine'],
      ['Ransomware suspected', 'red', 'green', vms[1], 'VirtualMachine'],
      ['Ransomware suspected', 'gray', 'yellow', vms[2], 'VirtualMachine'],
    ])
    const listed = await session.listVms(cancel)
    for (const { entity } of events) expect(listed.find(({ moref }) => moref === entity.moref)?.name).toBe(entity.name)
    const known = new Set(events.map(({ key }) => key))
    expect(await session.readAlarmEvents({ ...query, known }, cancel)).toEqual([])
    expect(await session.readAlarmEvents({ ...query, since: '2099-01-01T00:00:00.000Z' }, cancel)).toEqual([])
  })
})

describe.skipIf(peerSkip('pyvmomi'))('the events of alarms of the simulated vCenter, asked by pyVmomi', () => {
  it('come by a collector, forwards and back, by time and by type', async () => {
    await using sim = await startSimProgram('--estate', 'small')
    const raise = (vm: string, body: unknown) =>
      fetch(`${sim.controlUrl}/machines/${vm}/raise-alarm`, { method: 'POST', body: JSON.stringify(body) })
    expect((await raise('app-01', { name: 'Ransomware suspected' })).status).toBe(200)
    expect((await raise('db-01', { name: 'CPU usage', from: 'gray', to: 'yellow', times: 4 })).status).toBe(200)
    expect((await raise('db-01', { name: 'CPU usage', to: 'blue' })).status).toBe(400)
    expect(await python([String(sim.port), sim.user, sim.password, 'read'])).toEqual({
      pages: [2, 2, 1],
      ascending: true,
      first: [
        ...['Ransomware suspected', 'app-01', true, 'green', 'red', 'Datacenters'],
        "Alarm 'Ransomware suspected' on app-01 changed from green to red",
      ],
      back: true,
      later: 0,
      since: 5,
      other: 0,
      gone: 'vmodl.fault.ManagedObjectNotFound',
    })
  })
})
