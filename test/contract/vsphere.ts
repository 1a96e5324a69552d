// What every vCenter keeps, ours and others: run on each implementation of the Vsphere port.

import { describe, expect, it } from 'vitest'
import { BackupError, hasCode } from '../../lib/base/errors.ts'
import { collectChangedAreas } from '../../lib/model/changed-areas.ts'
import { endOf } from '../../lib/model/extent.ts'
import { type Moref, parseMoref } from '../../lib/model/ids.ts'
import { flattenSnapshots, type VmState, type VmSummary } from '../../lib/model/vm.ts'
import type { PrivilegeQuestion, Quiesce, Vsphere, VsphereSession } from '../../lib/ports/vsphere.ts'

export type OpenedVcenter = AsyncDisposable & {
  readonly vsphere: Vsphere
  /** A VM without snapshots, with at least one disk that snapshots cover. */
  readonly vmName: string
  /**
   * Attaches the disks of a snapshot of this VM to another VM, as a backup proxy hot-adds them; @returns that VM. Left out where it
   * cannot be arranged.
   */
  readonly hotAdd?: (session: VsphereSession, snapshot: Moref) => Promise<Moref>
}

export type VcenterTraits = {
  /** QueryChangedDiskAreas is there, and tracking is real on the VM after setChangeTracking() and one snapshot cycle. */
  readonly changedAreas: boolean
  /** createVm() makes VMs. */
  readonly createVm: boolean
}

const cancel = { signal: AbortSignal.timeout(120_000) }
const none: Quiesce = { kind: 'none' }

export function vsphereContract(name: string, traits: VcenterTraits, open: () => Promise<OpenedVcenter>): void {
  describe(`vCenter: ${name}`, () => {
    const withVm: WithVm = async (act) => {
      await using opened = await open()
      await using session = await opened.vsphere.open(cancel)
      const vm = (await session.listVms(cancel)).find((each) => each.name === opened.vmName)
      if (vm === undefined) throw new Error(`No VM "${opened.vmName}"`)
      await act(session, vm, opened)
    }

    it('lists a VM and reads it with the same identity, in the same place', () =>
      withVm(async (session, listed) => {
        const vm = await session.readVm(listed.moref, cancel)
        expect(vm).toMatchObject({
          moref: listed.moref,
          vmId: listed.vmId,
          name: listed.name,
          datacenter: listed.datacenter,
          powerState: listed.powerState,
          template: listed.template,
        })
        expect(listed.folder.startsWith(`/${listed.datacenter}`)).toBe(true)
        expect(vm.disks.length).toBeGreaterThan(0)
        for (const disk of vm.disks) expect(disk.capacityBytes).toBeGreaterThan(0)
      }))

    it('shows a snapshot in the tree until it is removed, with its name, its text and its disks', () =>
      withVm(async (session, { moref }) => {
        const before = await session.readVm(moref, cancel)
        const texts = { name: 'coldframe-test', description: 'a <b> & "c"' }
        const snapshot = await session.createSnapshot({ vm: moref, ...texts, quiesce: none }, cancel)
        expect(snapshotsOf(await session.readVm(moref, cancel))).toMatchObject([{ moref: snapshot, ...texts }])
        const state = await session.readSnapshot(snapshot, cancel)
        expect(state.disks.map(shape)).toEqual(before.disks.map(shape))
        await session.removeSnapshot(snapshot, cancel)
        expect(snapshotsOf(await session.readVm(moref, cancel))).toEqual([])
      }))

    it('surveys the snapshots of every VM as each VM tells them itself', () =>
      withVm(async (session, { moref, vmId, name: vmName }) => {
        const texts = { name: 'surveyed / 1', description: '' }
        const snapshot = await session.createSnapshot({ vm: moref, ...texts, quiesce: none }, cancel)
        const survey = await session.surveySnapshots(cancel)
        const listed = (await session.listVms(cancel)).map((vm) => vm.moref)
        expect(survey.map((vm) => vm.moref).toSorted()).toEqual(listed.toSorted())
        const own = survey.find((vm) => vm.moref === moref)
        expect(own).toMatchObject({ vmId, name: vmName, consolidationNeeded: false })
        expect(own?.snapshots).toEqual((await session.readVm(moref, cancel)).snapshots)
        expect(own?.layersMax).toBeGreaterThanOrEqual(1)
        await session.removeSnapshot(snapshot, cancel)
      }))

    it('tells how a snapshot grows and how full its datastores are, or that it cannot tell', () =>
      withVm(async (session, { moref, datastores }) => {
        const snapshot = await session.createSnapshot(
          { vm: moref, name: 'growing', description: '', quiesce: none },
          cancel,
        )
        const growth = await session.readSnapshotGrowth({ vm: moref, snapshot }, cancel)
        if (growth.growthBytes !== null) expect(growth.growthBytes).toBeGreaterThanOrEqual(0)
        for (const { name: datastore, freeBytes, capacityBytes } of growth.datastores) {
          expect(datastores).toContain(datastore)
          expect(freeBytes).toBeLessThanOrEqual(capacityBytes)
        }
        await session.removeSnapshot(snapshot, cancel)
        const nobody = parseMoref('vm-999999')
        const asked = session.readSnapshotGrowth({ vm: nobody, snapshot }, cancel)
        await expect(asked).rejects.toMatchObject({ code: 'vm-not-found' })
      }))

    it('removes a whole tree at once', () =>
      withVm(async (session, { moref }) => {
        for (const name of ['lower', 'upper'])
          await session.createSnapshot({ vm: moref, name, description: '', quiesce: none }, cancel)
        await session.removeAllSnapshots(moref, cancel)
        expect(await session.readVm(moref, cancel)).toMatchObject({ snapshots: [], consolidationNeeded: false })
      }))

    it('tells an object that does not exist from one it cannot show', () =>
      withVm(async (session, { moref }) => {
        const snapshot = await session.createSnapshot(
          { vm: moref, name: 'gone', description: '', quiesce: none },
          cancel,
        )
        await session.removeSnapshot(snapshot, cancel)
        await expect(session.readSnapshot(snapshot, cancel)).rejects.toMatchObject({ code: 'snapshot-not-found' })
        await expect(session.removeSnapshot(snapshot, cancel)).rejects.toMatchObject({ code: 'snapshot-not-found' })
        const nobody = parseMoref('vm-999999')
        await expect(session.readVm(nobody, cancel)).rejects.toMatchObject({ code: 'vm-not-found' })
      }))

    it('tells of the guest and of what quiescing needs without contradicting itself', () =>
      withVm(async (session, { moref }) => {
        const { guest, disks, ideDisks } = await session.readVm(moref, cancel)
        for (const address of guest.nics.flatMap(({ addresses }) => addresses))
          expect(guest.ipAddresses).toContain(address)
        expect(new Set(guest.ipAddresses).size).toBe(guest.ipAddresses.length)
        expect(guest.operationsReady === true && !guest.toolsRunning).toBe(false)
        for (const label of ideDisks) expect(disks.map((disk) => disk.label)).toContain(label)
      }))

    it('makes a snapshot that is not quiesced when nobody asks for it, without a manifest', () =>
      withVm(async (session, { moref }) => {
        const snapshot = await session.createSnapshot(
          { vm: moref, name: 'plain', description: '', quiesce: none },
          cancel,
        )
        expect(snapshotsOf(await session.readVm(moref, cancel))).toMatchObject([
          { moref: snapshot, quiesced: false, backupManifest: null },
        ])
        await session.removeSnapshot(snapshot, cancel)
      }))

    it('cannot reach a guest that runs no programs, which may pass', () =>
      withVm(async (session, { moref }) => {
        const login = { vm: moref, family: 'linux', user: 'root', password: 'guest-secret' } as const
        const error = await session.openGuest(login, cancel).catch((failure: unknown) => failure)
        expect(error).toBeInstanceOf(BackupError)
        expect(error).toMatchObject({ code: 'guest-unreachable', retry: 'later' })
        expect(String(error)).not.toContain('guest-secret')
      }))

    it('has no running tasks on a VM that nobody works on', () =>
      withVm(async (session, { moref }) => {
        expect(await session.runningTasks(moref, cancel)).toEqual([])
      }))

    it('tells the time, the host and the datastores that a VM stands on', () =>
      withVm(async (session, { moref, host, datastores }) => {
        expect(Date.parse(await session.currentTime(cancel))).not.toBeNaN()
        const vm = await session.readVm(moref, cancel)
        if (vm.host === null) throw new Error('The VM has no host')
        const state = await session.readHost(vm.host, cancel)
        expect(state).toMatchObject({ moref: vm.host, name: host, connectionState: 'connected', maintenance: false })
        const stores = await session.readDatastores(moref, cancel)
        expect(stores.map(({ name: store }) => store).toSorted()).toEqual(datastores.toSorted())
        for (const { accessible, freeBytes, capacityBytes, type } of stores) {
          expect({ accessible, isFree: freeBytes <= capacityBytes, type }).toMatchObject({
            accessible: true,
            isFree: true,
          })
          expect(type).not.toBe('')
        }
        const latencies = await session.readLatency({ host: vm.host, datastores: stores }, cancel)
        expect(latencies.map(({ datastore }) => datastore)).toEqual(stores.map(({ name: store }) => store))
        for (const { readMs } of latencies) expect(readMs === null || readMs >= 0).toBe(true)
        const nobody = parseMoref('host-999999')
        await expect(session.readHost(nobody, cancel)).rejects.toMatchObject({ code: 'host-not-found' })
        const noVm = parseMoref('vm-999999')
        await expect(session.readDatastores(noVm, cancel)).rejects.toMatchObject({ code: 'vm-not-found' })
      }))

    it('tells no change of an alarm where there was none', () =>
      withVm(async (session) => {
        const query = { since: '2020-01-01T00:00:00.000Z', known: new Set<number>(), limit: 10 }
        expect(await session.readAlarmEvents(query, cancel)).toEqual([])
      }))

    it('misses no privilege of an account that has all', () =>
      withVm(async (session, { moref }) => {
        const ids = ['VirtualMachine.State.CreateSnapshot', 'VirtualMachine.Provisioning.DiskRandomRead']
        const [store] = await session.readDatastores(moref, cancel)
        if (store === undefined) throw new Error('The VM has no datastore')
        const ask = (entity: PrivilegeQuestion['entity']) => session.missingPrivileges({ entity, ids }, cancel)
        expect(await ask({ kind: 'vm', moref })).toEqual([])
        expect(await ask({ kind: 'datastore', moref: store.moref })).toEqual([])
        expect(await ask({ kind: 'root' })).toEqual([])
      }))

    it('captures a config that agrees with the VM', () =>
      withVm(async (session, { moref, vmId, name: vmName, folder }) => {
        const vm = await session.readVm(moref, cancel)
        const snapshot = await session.createSnapshot(
          { vm: moref, name: 'config', description: '', quiesce: none },
          cancel,
        )
        const config = await session.captureConfig({ vm: moref, snapshot }, cancel)
        expect(config).toMatchObject({ vmId, name: vmName, folder, hardwareVersion: vm.hardwareVersion })
        expect(config.disks.map(shape)).toEqual(vm.disks.map(shape))
        await session.removeSnapshot(snapshot, cancel)
      }))

    hotDisksContract(withVm)
    if (traits.changedAreas) changedAreasContract(withVm)
    else {
      it('says that changes cannot be asked for, so that the disk is read whole', () =>
        withVm(async (session, { moref }) => {
          const snapshot = await session.createSnapshot(
            { vm: moref, name: 'no-cbt', description: '', quiesce: none },
            cancel,
          )
          const query = { vm: moref, snapshot, deviceKey: 2000, startOffset: 0, changeId: '*' }
          const error = await session.changedAreas(query, cancel).catch((failure: unknown) => failure)
          expect(error).toBeInstanceOf(BackupError)
          expect(error).toMatchObject({ code: 'cbt-unavailable', retry: 'as-full' })
          await session.removeSnapshot(snapshot, cancel)
        }))
    }
    if (traits.createVm) createVmContract(withVm)
  })
}

type WithVm = (act: (session: VsphereSession, vm: VmSummary, opened: OpenedVcenter) => Promise<void>) => Promise<void>

function hotDisksContract(withVm: WithVm): void {
  it('detaches nothing from a VM that has only disks of its own', () =>
    withVm(async (session, { moref }) => {
      const { disks } = await session.readVm(moref, cancel)
      const files = disks.map(({ fileName }) => fileName)
      expect(await session.detachDisks({ vm: moref, files }, cancel)).toEqual([])
      expect(await session.detachDisks({ vm: moref, files: [] }, cancel)).toEqual([])
      expect((await session.readVm(moref, cancel)).disks).toEqual(disks)
      const nobody = session.detachDisks({ vm: parseMoref('vm-999999'), files }, cancel)
      await expect(nobody).rejects.toMatchObject({ code: 'vm-not-found' })
    }))

  it('detaches the disks of a VM from the one that hot-added them, and leaves every file', () =>
    withVm(async (session, { moref }, { hotAdd }) => {
      if (hotAdd === undefined) return
      const request = { vm: moref, name: 'held', description: '', quiesce: none }
      const snapshot = await session.createSnapshot(request, cancel)
      const { disks } = await session.readSnapshot(snapshot, cancel)
      const files = disks.flatMap(({ fileName, parents }) => [fileName, ...parents])
      const before = await session.readVm(moref, cancel)
      const mover = await hotAdd(session, snapshot)
      const own = (await session.readVm(mover, cancel)).disks.filter(({ fileName }) => !files.includes(fileName))
      await expect(session.removeSnapshot(snapshot, cancel)).rejects.toMatchObject({ retry: 'later' })
      expect(await session.detachDisks({ vm: mover, files: ['[ds9] other/other.vmdk'] }, cancel)).toEqual([])
      const detached = await session.detachDisks({ vm: mover, files }, cancel)
      expect(detached.toSorted()).toEqual(disks.map(({ fileName }) => fileName).toSorted())
      expect(await session.detachDisks({ vm: mover, files }, cancel)).toEqual([])
      expect((await session.readVm(mover, cancel)).disks).toEqual(own)
      expect((await session.readVm(moref, cancel)).disks).toEqual(before.disks)
    }))
}

function changedAreasContract(withVm: WithVm): void {
  it('tracks changes after they are switched on and one snapshot cycle, and covers the whole disk', () =>
    withVm(async (session, { moref }) => {
      await session.setChangeTracking({ vm: moref, enabled: true }, cancel)
      expect((await session.readVm(moref, cancel)).changeTrackingEnabled).toBe(true)
      await cycle(session, moref)
      const snapshot = await session.createSnapshot({ vm: moref, name: 'cbt', description: '', quiesce: none }, cancel)
      for (const disk of (await session.readSnapshot(snapshot, cancel)).disks) {
        const { changeId, capacityBytes, key } = disk
        if (changeId === null) throw new Error(`Disk ${key} has no change id`)
        const query = (startOffset: number) =>
          session.changedAreas({ vm: moref, snapshot, deviceKey: key, startOffset, changeId }, cancel)
        const areas = await collectChangedAreas(query, { capacityBytes, roundsMax: 100 })
        for (const area of areas) expect(endOf(area)).toBeLessThanOrEqual(capacityBytes)
      }
      await session.removeSnapshot(snapshot, cancel)
    }))

  it('refuses a change id that it never gave', () =>
    withVm(async (session, { moref }) => {
      const snapshot = await session.createSnapshot(
        { vm: moref, name: 'bogus', description: '', quiesce: none },
        cancel,
      )
      const [disk] = (await session.readSnapshot(snapshot, cancel)).disks
      const query = { vm: moref, snapshot, deviceKey: disk?.key ?? 0, startOffset: 0, changeId: 'ff ff/7' }
      const error = await session.changedAreas(query, cancel).catch((failure: unknown) => failure)
      expect(hasCode(error, 'cbt-unavailable')).toBe(true)
      await session.removeSnapshot(snapshot, cancel)
    }))
}

function createVmContract(withVm: WithVm): void {
  it('makes a VM from a captured config that is equivalent to the first', () =>
    withVm(async (session, { moref, datacenter, cluster, host, datastores }) => {
      const snapshot = await session.createSnapshot({ vm: moref, name: 'copy', description: '', quiesce: none }, cancel)
      const config = await session.captureConfig({ vm: moref, snapshot }, cancel)
      await session.removeSnapshot(snapshot, cancel)
      const place = { datacenter, cluster: cluster ?? host ?? '', datastore: datastores[0] ?? '' }
      const { vm: created } = await session.createVm({ config, name: 'restored 1/2', ...place }, cancel)

      const state = await session.readVm(created, cancel)
      expect(state).toMatchObject({
        name: 'restored 1/2',
        powerState: 'poweredOff',
        hardwareVersion: config.hardwareVersion,
      })
      const again = await session.createSnapshot({ vm: created, name: 'look', description: '', quiesce: none }, cancel)
      const copy = await session.captureConfig({ vm: created, snapshot: again }, cancel)
      const hardware = [
        'firmware',
        'secureBoot',
        'cpus',
        'coresPerSocket',
        'memoryMB',
        'guestId',
        'annotation',
        'nvramBase64',
        'folder',
      ] as const
      for (const field of hardware) expect({ [field]: copy[field] }).toEqual({ [field]: config[field] })
      const blank = { kind: 'blank' }
      const disk = ({ capacityBytes, controllerKey, unitNumber, mode }: VmState['disks'][number]) => ({
        ...blank,
        capacityBytes,
        controllerKey,
        unitNumber,
        mode,
      })
      expect(copy.disks.map(disk)).toEqual(config.disks.map(disk))
      expect(copy.controllers.map(({ type, busNumber }) => ({ type, busNumber }))).toEqual(
        config.controllers.map(({ type, busNumber }) => ({ type, busNumber })),
      )
      expect(copy.nics.map(({ type, macAddress, network }) => ({ type, macAddress, network }))).toEqual(
        config.nics.map(({ type, macAddress, network }) => ({ type, macAddress, network })),
      )
    }))

  it('names the nearest datastore when the wanted one does not exist, and makes nothing', () =>
    withVm(async (session, { moref, datacenter, cluster, host, datastores }) => {
      const snapshot = await session.createSnapshot({ vm: moref, name: 'copy', description: '', quiesce: none }, cancel)
      const config = await session.captureConfig({ vm: moref, snapshot }, cancel)
      const place = { datacenter, cluster: cluster ?? host ?? '', datastore: `${datastores[0]}x` }
      await expect(session.createVm({ config, name: 'nowhere', ...place }, cancel)).rejects.toMatchObject({
        code: 'restore-target-not-found',
        hint: expect.stringContaining(datastores[0] ?? ''),
      })
      expect((await session.listVms(cancel)).some(({ name }) => name === 'nowhere')).toBe(false)
    }))
}

/** The stun that makes tracking real. */
async function cycle(session: VsphereSession, vm: Moref): Promise<void> {
  const stun = await session.createSnapshot({ vm, name: 'stun', description: '', quiesce: none }, cancel)
  await session.removeSnapshot(stun, cancel)
}

function snapshotsOf(vm: VmState) {
  return flattenSnapshots(vm.snapshots)
}

function shape({ key, capacityBytes, controllerKey, unitNumber, mode, backing }: VmState['disks'][number]) {
  return { key, capacityBytes, controllerKey, unitNumber, mode, backing }
}
