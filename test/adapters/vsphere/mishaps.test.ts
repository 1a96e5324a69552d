// Calls that go wrong half-way: sessions that end, connections that break, tasks that fail or are forgotten.

import { describe, expect, it } from 'vitest'
import { openVsphere } from '../../../lib/adapters/vsphere/vsphere.ts'
import type { Moref } from '../../../lib/model/ids.ts'
import type { Quiesce, VsphereSession } from '../../../lib/ports/vsphere.ts'
import { openSimVcenter, type SimVcenter, type SimVcenterOptions } from './sim-vcenter.ts'

const cancel = { signal: AbortSignal.timeout(60_000) }
const none: Quiesce = { kind: 'none' }

async function withVm(
  act: (vm: { session: VsphereSession; sim: SimVcenter; moref: Moref }) => Promise<void>,
  options: SimVcenterOptions = {},
): Promise<void> {
  await using sim = await openSimVcenter(options)
  await using session = await openVsphere(sim.settings).open(cancel)
  const vm = (await session.listVms(cancel)).find(({ name }) => name === 'db-01')
  if (vm === undefined) throw new Error('no VM')
  await act({ session, sim, moref: vm.moref })
}

const snapshotOf = (session: VsphereSession, vm: Moref, quiesce: Quiesce = none) =>
  session.createSnapshot({ vm, name: 'n', description: '', quiesce }, cancel)

describe('a session that ends', () => {
  it('is replaced before any call, and the call is made again', () =>
    withVm(async ({ session, sim, moref }) => {
      for (const call of [
        'RetrievePropertiesEx',
        'CreateSnapshot_Task',
        'RemoveSnapshot_Task',
        'CreateContainerView',
        '/folder',
      ]) {
        sim.arm(call, { kind: 'expire-session' })
      }
      const snapshot = await snapshotOf(session, moref)
      expect((await session.listVms(cancel)).length).toBeGreaterThan(0)
      expect((await session.captureConfig({ vm: moref, snapshot }, cancel)).missing).toEqual([])
      await session.removeSnapshot(snapshot, cancel)
      expect((await session.readVm(moref, cancel)).snapshots).toEqual([])
    }))
})

describe('a connection that breaks', () => {
  it('is made again for calls that only read', () =>
    withVm(async ({ session, sim, moref }) => {
      sim.arm('RetrievePropertiesEx', { kind: 'drop-connection' }, { times: 2 })
      expect((await session.readVm(moref, cancel)).name).toBe('db-01')
    }))

  it('leaves the fate of a snapshot open, and does not ask for a second one', () =>
    withVm(async ({ session, sim, moref }) => {
      sim.arm('CreateSnapshot_Task', { kind: 'drop-connection' })
      await expect(snapshotOf(session, moref)).rejects.toMatchObject({
        code: 'vcenter-connection-lost',
        retry: 'later',
      })
      expect(sim.scenario.calls()['CreateSnapshot_Task']).toBe(1)
    }))
})

describe('a snapshot that fails', () => {
  it.each(['ApplicationQuiesceFault', 'FilesystemQuiesceFault'])('with %s is a failure to quiesce', (fault) =>
    withVm(async ({ session, sim, moref }) => {
      sim.arm('CreateSnapshot_Task', { kind: 'task-fault', fault, message: 'no' })
      await expect(snapshotOf(session, moref, { kind: 'tools' })).rejects.toMatchObject({
        code: 'snapshot-quiesce-failed',
        facts: { fault },
      })
    }),
  )

  it.each([
    ['TooManySnapshotLevels', 'no'],
    ['InsufficientResourcesFault', 'no'],
    ['SnapshotDisabled', 'no'],
    ['NoDiskSpace', 'no'],
    ['GenericVmConfigFault', 'later'],
    ['InvalidState', 'later'],
    ['SnapshotFault', 'later'],
  ])('with %s names that fault; another attempt: %s', (fault, retry) =>
    withVm(async ({ session, sim, moref }) => {
      sim.arm('CreateSnapshot_Task', { kind: 'task-fault', fault, message: 'no' })
      await expect(snapshotOf(session, moref)).rejects.toMatchObject({
        code: 'snapshot-failed',
        retry,
        facts: { fault },
      })
    }),
  )

  it.each(['TaskInProgress', 'FileLocked', 'HostCommunication', 'Timedout'])('with %s is waited for', (fault) =>
    withVm(async ({ session, sim, moref }) => {
      sim.arm('CreateSnapshot_Task', { kind: 'task-fault', fault, message: 'no' })
      const told = { code: 'vcenter-fault', retry: 'later', facts: { fault } }
      await expect(snapshotOf(session, moref)).rejects.toMatchObject(told)
    }),
  )

  it('for want of a privilege names the privilege', () =>
    withVm(
      async ({ session, moref }) => {
        await expect(snapshotOf(session, moref)).rejects.toMatchObject({
          code: 'vcenter-permission',
          facts: { privilegeId: 'VirtualMachine.State.CreateSnapshot' },
        })
      },
      { deniedPrivileges: ['VirtualMachine.State.CreateSnapshot'] },
    ))
})

describe('a task that vCenter forgets', () => {
  it('is lost, not failed: the snapshot may be there', () =>
    withVm(
      async ({ session, moref }) => {
        await expect(snapshotOf(session, moref)).rejects.toMatchObject({ code: 'task-lost', retry: 'later' })
        expect((await session.readVm(moref, cancel)).snapshots).toHaveLength(1)
      },
      { taskKeepMs: 0 },
    ))
})

describe('a snapshot with the Windows quiesce specification', () => {
  it('is asked for with CreateSnapshotEx_Task', () =>
    withVm(async ({ session, sim, moref }) => {
      const quiesce: Quiesce = { kind: 'windows', timeoutMinutes: 5, context: 'ctx_backup', backupType: 'copy' }
      await snapshotOf(session, moref, quiesce)
      expect(sim.scenario.calls()['CreateSnapshotEx_Task']).toBe(1)
      expect(sim.scenario.calls()['CreateSnapshot_Task']).toBeUndefined()
    }))
})

describe('waiting for a task', () => {
  it("ends with the caller's signal", () =>
    withVm(async ({ session, sim, moref }) => {
      sim.arm('CreateSnapshot_Task', { kind: 'delay', delayMs: 5_000 })
      const request = { vm: moref, name: 'late', description: '', quiesce: none }
      await expect(session.createSnapshot(request, { signal: AbortSignal.timeout(100) })).rejects.toMatchObject({
        name: 'TimeoutError',
      })
    }))
})
