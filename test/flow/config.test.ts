// A captured configuration is complete enough: from what a restore point keeps, an equivalent VM is made in the simulator.

import { describe, expect, it } from 'vitest'
import { openVsphere } from '../../lib/adapters/vsphere/vsphere.ts'
import { systemClock } from '../../lib/base/clock.ts'
import { systemRandom } from '../../lib/base/random.ts'
import { openLocalRepository } from '../../lib/compose/local-mover.ts'
import { type Moref, parseVmId } from '../../lib/model/ids.ts'
import type { VmConfig } from '../../lib/model/vm.ts'
import type { VsphereSession } from '../../lib/ports/vsphere.ts'
import { readPoint } from '../../lib/repository/points.ts'
import { parseSettings } from '../../lib/wire/settings.ts'
import { backUp, type Home, openHome, openSim, pointsOf, type Sim } from './kit.ts'

const cancel = { signal: AbortSignal.timeout(100_000) }
const place = { datacenter: 'DC1', cluster: 'cluster-1', datastore: 'ds1' }

describe('a configuration kept in a restore point', () => {
  it('recreates an equivalent VM: EFI with secure boot, two controllers and cards, and BIOS', async () => {
    await using sim = await openSim('--estate', 'small')
    await using home = await openHome(sim)
    await using session = await openSession(sim)
    const rich = richer(await captured(session, await vmNamed(session, 'app-01')))
    await session.createVm({ config: rich, name: 'rich-01', ...place }, cancel)

    await backUp(home, ['rich-01', 'db-01'])
    for (const name of ['rich-01', 'db-01']) {
      const config = await configInPoint(home, name)
      expect(config.missing).toEqual([])
      expect(config.vmx).toContain(`displayName = "${name}"`)
      const { vm, missing } = await session.createVm({ config, name: `${name}-back`, ...place }, cancel)
      expect(missing).toEqual([])
      const copy = await captured(session, vm)
      expect(copy.name).toBe(`${name}-back`)
      expect(equivalentPart(copy)).toEqual(equivalentPart(config))
    }

    const kept = await configInPoint(home, 'rich-01')
    expect(kept).toMatchObject({ firmware: 'efi', secureBoot: true, cpus: 6, coresPerSocket: 3, memoryMB: 3072 })
    expect(kept.annotation).toBe(rich.annotation)
    expect(kept.controllers.map(({ type }) => type)).toEqual(expect.arrayContaining(wantedControllers))
    expect(kept.disks.map(({ controllerKey, unitNumber }) => [controllerKey, unitNumber])).toEqual([
      [1000, 0],
      [1001, 3],
    ])
    expect(kept.nics.map(({ type, network, macAddress }) => [type, network, macAddress])).toEqual(
      rich.nics.map(({ type, network, macAddress }) => [type, network, macAddress]),
    )
    expect(Buffer.from(kept.nvramBase64 ?? '', 'base64').byteLength).toBe(264 * 1024)
    expect((await configInPoint(home, 'db-01')).firmware).toBe('bios')
  }, 90_000)

  it('names what the new place does not have', async () => {
    await using sim = await openSim('--estate', 'small')
    await using session = await openSession(sim)
    const config = await captured(session, await vmNamed(session, 'app-01'))
    const [first, ...others] = config.nics
    if (first === undefined) throw new Error('The VM has no network card')
    const elsewhere: VmConfig = {
      ...config,
      folder: '/DC1/closed',
      nics: [{ ...first, network: 'gone' }, ...others],
      otherDevices: [{ key: 7000, type: 'VirtualUSBController', label: 'USB controller' }],
    }
    const { vm, missing } = await session.createVm({ config: elsewhere, name: 'copy', ...place }, cancel)
    expect(missing).toEqual([
      expect.stringContaining('/DC1/closed'),
      expect.stringContaining('USB controller'),
      expect.stringContaining('"gone"'),
    ])
    expect((await captured(session, vm)).nics.length).toBe(others.length)
  }, 60_000)
})

const wantedControllers = ['ParaVirtualSCSIController', 'VirtualLsiLogicController']

/** A VM that uses more of what a VM can have than those of the small estate do. */
function richer(config: VmConfig): VmConfig {
  const [scsi] = config.controllers.filter(({ type }) => type === wantedControllers[0])
  if (scsi === undefined) throw new Error('The VM has no paravirtual controller')
  const second = { ...scsi, key: 1001, type: 'VirtualLsiLogicController', busNumber: 1 }
  return {
    ...config,
    vmId: parseVmId('52fe0000-0000-4000-8000-0000000000aa'),
    biosUuid: '42fe0000-0000-4000-8000-0000000000bb',
    annotation: 'Owner: team "shop" <&>\nsecond line',
    cpus: 6,
    coresPerSocket: 3,
    memoryMB: 3072,
    controllers: [...config.controllers, second],
    disks: config.disks.map((disk, index) => (index === 0 ? disk : { ...disk, controllerKey: 1001, unitNumber: 3 })),
    nics: config.nics.map((nic, index) => (index === 0 ? nic : { ...nic, type: 'VirtualE1000e' })),
  }
}

/** Everything that must be the same in an equivalent VM. */
function equivalentPart(config: VmConfig) {
  const { firmware, secureBoot, cpus, coresPerSocket, memoryMB, guestId, annotation, hardwareVersion } = config
  return {
    ...{ firmware, secureBoot, cpus, coresPerSocket, memoryMB, guestId, annotation, hardwareVersion },
    biosUuid: config.biosUuid,
    folder: config.folder,
    video: config.extraConfig['svga.present'],
    controllers: config.controllers,
    disks: config.disks.map(({ key, capacityBytes, controllerKey, unitNumber, mode }) => ({
      ...{ key, capacityBytes, controllerKey, unitNumber, mode },
    })),
    nics: config.nics.map(({ type, label, macAddress, network, startConnected }) => ({
      ...{ type, label, macAddress, network, startConnected },
    })),
    otherDevices: config.otherDevices,
    nvram: config.nvramBase64,
  }
}

function openSession(sim: Sim): Promise<VsphereSession> {
  return openVsphere({
    url: sim.sdkUrl,
    account: async () => ({ user: sim.user, password: sim.password }),
    trust: { kind: 'thumbprint', sha256: sim.thumbprintSha256 },
    clock: systemClock,
    random: systemRandom,
  }).open(cancel)
}

async function vmNamed(session: VsphereSession, name: string): Promise<Moref> {
  const found = (await session.listVms(cancel)).find((vm) => vm.name === name)
  if (found === undefined) throw new Error(`There is no VM "${name}"`)
  return found.moref
}

async function captured(session: VsphereSession, vm: Moref): Promise<VmConfig> {
  const request = { vm, name: 'look', description: '', quiesce: { kind: 'none' } } as const
  const snapshot = await session.createSnapshot(request, cancel)
  const config = await session.captureConfig({ vm, snapshot }, cancel)
  await session.removeSnapshot(snapshot, cancel)
  return config
}

async function configInPoint(home: Home, name: string): Promise<VmConfig> {
  const point = (await pointsOf(home)).find((each) => each.vm === name)
  if (point === undefined) throw new Error(`There is no point of "${name}"`)
  const around = { environment: home.environment, clock: systemClock, random: systemRandom }
  const settings = parseSettings({ ...around, file: null, folder: home.folder }, ['repository'])
  const repository = await openLocalRepository(settings, around, cancel)
  const ref = { vmId: parseVmId(point.vmId), sequence: point.sequence }
  return (await readPoint({ repository, ref }, cancel)).body.config
}
