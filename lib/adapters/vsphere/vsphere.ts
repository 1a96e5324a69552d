// The vSphere port made real: sessions of one vCenter or ESXi server over SOAP.

import type { Vsphere, VsphereSession } from '../../ports/vsphere.ts'
import { readAlarmEvents } from './alarm-events.ts'
import { detachDisks } from './hot-disks.ts'
import { listVms } from './inventory.ts'
import { readLatency } from './latency.ts'
import { openSession, type VimSession, type VsphereSettings } from './session.ts'
import { missingPrivileges, readDatastores, readHost, readTime } from './site.ts'
import { readSnapshotGrowth } from './snapshot-growth.ts'
import {
  consolidate,
  createSnapshot,
  readChangedAreas,
  removeAllSnapshots,
  removeSnapshot,
  setChangeTracking,
} from './snapshots.ts'
import { surveySnapshots } from './survey.ts'
import { readRunningTasks } from './tasks.ts'
import { ref } from './values.ts'
import { openVix } from './vix.ts'
import { captureConfig } from './vm-config.ts'
import { createVm } from './vm-create.ts'
import { readSnapshot, readVm } from './vm-state.ts'
import { readVssManifest } from './vss-manifest.ts'

export type { VsphereSettings } from './session.ts'
export type { Trust } from './trust.ts'

/** Nothing is contacted before open(). */
export function openVsphere(settings: VsphereSettings): Vsphere {
  return { open: async (cancel) => sessionOf(await openSession(settings, cancel)) }
}

function sessionOf(session: VimSession): VsphereSession {
  const { fullName, apiVersion, instanceUuid } = session.content.about
  return {
    about: { fullName, apiVersion, instanceUuid },
    listVms: (cancel) => listVms(session, cancel),
    surveySnapshots: (cancel) => surveySnapshots(session, cancel),
    readVm: (vm, cancel) => readVm(session, vm, cancel),
    readSnapshot: (snapshot, cancel) => readSnapshot(session, snapshot, cancel),
    createSnapshot: (request, cancel) => createSnapshot(session, request, cancel),
    removeSnapshot: (snapshot, cancel) => removeSnapshot(session, snapshot, cancel),
    removeAllSnapshots: (vm, cancel) => removeAllSnapshots(session, vm, cancel),
    readSnapshotGrowth: (request, cancel) => readSnapshotGrowth(session, request, cancel),
    consolidate: (vm, cancel) => consolidate(session, vm, cancel),
    setChangeTracking: (request, cancel) => setChangeTracking(session, request, cancel),
    changedAreas: (query, cancel) => readChangedAreas(session, query, cancel),
    captureConfig: (request, cancel) => captureConfig(session, request, cancel),
    createVm: (request, cancel) => createVm(session, request, cancel),
    openGuest: (request, cancel) => openVix(session, request, cancel),
    readVssManifest: (request, cancel) => readVssManifest(session, request, cancel),
    detachDisks: (request, cancel) => detachDisks(session, request, cancel),
    runningTasks: (vm, cancel) => readRunningTasks(session, ref('VirtualMachine', vm), cancel),
    currentTime: (cancel) => readTime(session, cancel),
    readHost: (host, cancel) => readHost(session, host, cancel),
    readDatastores: (vm, cancel) => readDatastores(session, vm, cancel),
    readLatency: (query, cancel) => readLatency(session, query, cancel),
    readAlarmEvents: (query, cancel) => readAlarmEvents(session, query, cancel),
    missingPrivileges: (question, cancel) => missingPrivileges(session, question, cancel),
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  }
}
