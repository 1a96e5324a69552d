// The snapshots of every VM in one listing: where something was left behind is seen without reading each VM.

import type { Cancel } from '../../base/time-limit.ts'
import type { VmSurvey } from '../../model/vm-survey.ts'
import { vmIdOf } from './inventory.ts'
import { decodeName } from './places.ts'
import { listInventory } from './properties.ts'
import { retryReading, type VimSession } from './session.ts'
import { isRecord, recordsAt, recordsOf } from './values.ts'
import { snapshotOf } from './vm-state.ts'

const wanted = {
  VirtualMachine: ['name', 'config.instanceUuid', 'runtime.consolidationNeeded', 'snapshot', 'layoutEx.disk'],
}

export async function surveySnapshots(session: VimSession, cancel: Cancel): Promise<readonly VmSurvey[]> {
  const what = 'Cannot list the snapshots of the inventory'
  const found = await retryReading(session.settings, () => listInventory(session, { wanted, what }, cancel), cancel)
  const vcenter = session.content.about.instanceUuid
  return found.flatMap(({ ref: { value: moref }, values }) => {
    // Inaccessible or orphaned: nothing can be done to it, and its snapshots are not told.
    if (!values.has('config.instanceUuid')) return []
    const snapshots = values.get('snapshot')
    const chains = recordsOf(values.get('layoutEx.disk')).map((disk) => recordsAt(disk, 'chain').length)
    return [
      {
        moref,
        vmId: vmIdOf(values.get('config.instanceUuid'), { moref, vcenter }),
        name: decodeName(String(values.get('name') ?? '')),
        consolidationNeeded: values.get('runtime.consolidationNeeded') === true,
        snapshots: isRecord(snapshots) ? recordsAt(snapshots, 'rootSnapshotList').map(snapshotOf) : [],
        layersMax: Math.max(1, ...chains),
      },
    ]
  })
}
