// A job over one raw image file, as if a stage had captured it; and a vCenter that knows its changed areas.

import { statSync } from 'node:fs'
import { BackupError } from '../lib/base/errors.ts'
import type { Extent } from '../lib/model/extent.ts'
import { parseMoref, parsePolicyName, parseVmId, runIdOf } from '../lib/model/ids.ts'
import type { Job } from '../lib/model/job.ts'
import { newJob } from '../lib/model/new-job.ts'
import { defaultPolicy } from '../lib/model/policy.ts'
import type { VmConfig, VmDisk } from '../lib/model/vm.ts'
import type { Vsphere } from '../lib/ports/vsphere.ts'

const vmId = parseVmId('50000000-0000-4000-8000-00000000beac')
const at = '2026-01-01T00:00:00.000Z'

type BenchImage = { readonly image: string; readonly number: number; readonly tracking: boolean }

export function imageJob({ image, number, tracking }: BenchImage): Job {
  const runId = runIdOf({ policy: parsePolicyName('bench'), key: String(number) })
  const disk: VmDisk = {
    key: 2000,
    label: 'Hard disk 1',
    capacityBytes: statSync(image).size,
    controllerKey: 1000,
    unitNumber: 0,
    mode: 'persistent',
    backing: 'flat',
    fileName: image,
    parents: [],
    uuid: 'bench-disk',
    changeId: `52 be ac/${number}`,
    thin: true,
    encrypted: false,
    sharing: false,
  }
  const vm = { moref: parseMoref('vm-1'), vmId, name: 'bench', datacenter: 'DC' }
  return {
    ...newJob({
      run: { id: runId, policy: defaultPolicy(), full: false },
      vm,
      groups: [],
      beginBefore: null,
      createdAt: at,
    }),
    state: 'transferring',
    nextStage: 'transfer',
    wakeAtMs: 0,
    tracking: { active: tracking, reason: tracking ? null : 'not told what changed' },
    capture: {
      snapshotName: 'bench',
      snapshot: parseMoref('snapshot-1'),
      takenAt: at,
      powerState: 'poweredOff',
      grade: {
        requested: 'crash',
        reached: 'offline',
        quiesced: false,
        method: 'none',
        freezeMs: 0,
        snapshotMs: 0,
        fallbacks: [],
        proof: null,
      },
      config: configOf(disk),
      disks: [disk],
      excludedDisks: [],
    },
  }
}

function configOf(disk: VmDisk): VmConfig {
  return {
    name: 'bench',
    vmId,
    biosUuid: vmId,
    annotation: '',
    hardwareVersion: 'vmx-19',
    guestId: 'other',
    guestFullName: 'other',
    firmware: 'bios',
    secureBoot: false,
    cpus: 1,
    coresPerSocket: 1,
    memoryMB: 1024,
    folder: '/DC',
    resourcePool: null,
    extraConfig: {},
    controllers: [],
    nics: [],
    disks: [disk],
    otherDevices: [],
    vmx: null,
    nvramBase64: null,
    missing: [],
  }
}

/** Answers changed areas only: at most 2,000 a reply. */
export function imageVsphere(image: string, changed: readonly Extent[]): Vsphere {
  const capacityBytes = statSync(image).size
  const refuse = async (): Promise<never> => {
    throw new BackupError('The bench has no vCenter', { code: 'not-here' })
  }
  return {
    open: async () => ({
      about: { fullName: 'bench', apiVersion: '8.0', instanceUuid: null },
      listVms: refuse,
      readVm: refuse,
      readSnapshot: refuse,
      createSnapshot: refuse,
      removeSnapshot: refuse,
      surveySnapshots: refuse,
      removeAllSnapshots: refuse,
      readSnapshotGrowth: refuse,
      consolidate: refuse,
      setChangeTracking: refuse,
      captureConfig: refuse,
      createVm: refuse,
      detachDisks: refuse,
      currentTime: refuse,
      readHost: refuse,
      readDatastores: refuse,
      readAlarmEvents: refuse,
      readLatency: refuse,
      missingPrivileges: refuse,
      runningTasks: refuse,
      openGuest: refuse,
      readVssManifest: refuse,
      changedAreas: async ({ startOffset }) => {
        const rest = changed.filter((area) => area.offsetBytes >= startOffset)
        const length = (rest[2_000]?.offsetBytes ?? capacityBytes) - startOffset
        return { startOffset, length, areas: rest.slice(0, 2_000) }
      },
      [Symbol.asyncDispose]: async () => undefined,
    }),
  }
}
