// Snapshots: the tree of a machine, and one snapshot as a managed object.

import type { SimSnapshot } from '../../machine/types.ts'
import { type Data, data } from '../../soap/value.ts'
import type { Front } from '../front.ts'
import type { ManagedObject } from '../managed-object.ts'
import type { MachineEntity } from '../world.ts'
import { snapshotConfig } from './machine-config.ts'

/** VirtualMachineSnapshotInfo; null without snapshots, as servers leave the property unset. */
export function snapshotTree(front: Front, entity: MachineEntity): Data | null {
  const { rootSnapshots, currentSnapshot } = entity.machine
  const roots = listed(front, rootSnapshots)
  if (roots.length === 0) return null
  const current = currentSnapshot === null ? [] : listed(front, [currentSnapshot])
  return data('VirtualMachineSnapshotInfo', {
    currentSnapshot: current[0] === undefined ? null : front.world.snapshotRef(current[0]),
    rootSnapshotList: roots.map((root) => treeNode(front, entity, root)),
  })
}

export function snapshotObject(
  front: Front,
  { owner, snapshot }: { readonly owner: MachineEntity; readonly snapshot: SimSnapshot },
): ManagedObject {
  return {
    ref: front.world.snapshotRef(snapshot),
    properties: {
      config: () => snapshotConfig(front, owner, snapshot),
      childSnapshot: () => snapshot.children.map((child) => front.world.snapshotRef(child)),
      vm: () => owner.ref,
      value: () => [],
    },
  }
}

/** Without those that the tree does not show yet. */
export function listed({ clock }: Front, snapshots: readonly SimSnapshot[]): readonly SimSnapshot[] {
  return snapshots.filter(({ listedFromMs }) => listedFromMs <= clock.nowMs())
}

function treeNode(front: Front, entity: MachineEntity, snapshot: SimSnapshot): Data {
  return data('VirtualMachineSnapshotTree', {
    snapshot: front.world.snapshotRef(snapshot),
    vm: entity.ref,
    name: snapshot.name,
    description: snapshot.description,
    id: snapshot.id,
    createTime: new Date(snapshot.createdMs),
    // Snapshots here never hold memory: reverting gives a machine that is off.
    state: 'poweredOff',
    quiesced: snapshot.quiesced,
    backupManifest: snapshot.backupManifest,
    childSnapshotList: listed(front, snapshot.children).map((child) => treeNode(front, entity, child)),
    replaySupported: false,
  })
}
