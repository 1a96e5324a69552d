// The properties that every inventory object has, and the choice of the reader for the others.

import { data, type Value } from '../../soap/value.ts'
import type { Front } from '../front.ts'
import type { ManagedObject } from '../managed-object.ts'
import { type Entity, shownName } from '../world.ts'
import { clusterProperties, hostProperties, poolProperties } from './compute.ts'
import { machineProperties } from './machine.ts'
import { datastoreProperties, networkProperties } from './storage.ts'

export function entityObject(front: Front, entity: Entity): ManagedObject {
  return {
    ref: entity.ref,
    properties: {
      parent: () => entity.parent?.ref ?? null,
      customValue: () => [],
      value: () => [],
      overallStatus: () => 'green',
      configStatus: () => 'green',
      configIssue: () => [],
      effectiveRole: () => [-1],
      permission: () => [],
      name: () => shownName(entity.name),
      disabledMethod: () => [],
      recentTask: () => front.tasks.recentOf(entity.ref),
      declaredAlarmState: () => [],
      triggeredAlarmState: () => [],
      alarmActionsEnabled: () => true,
      tag: () => [],
      ...ownProperties(front, entity),
    },
  }
}

function ownProperties(front: Front, entity: Entity): Readonly<Record<string, () => Value | null>> {
  switch (entity.kind) {
    case 'folder':
      return {
        childType: () => entity.childTypes,
        childEntity: () => front.world.children(entity).map((child) => child.ref),
      }
    case 'datacenter':
      return datacenterProperties(front, entity)
    case 'cluster':
      return clusterProperties(front, entity)
    case 'host':
      return hostProperties(front, entity)
    case 'pool':
      return poolProperties(front, entity)
    case 'datastore':
      return datastoreProperties(front, entity)
    case 'network':
      return networkProperties(front, entity)
    case 'machine':
      return machineProperties(front, entity)
  }
}

function datacenterProperties(front: Front, entity: Entity): Readonly<Record<string, () => Value | null>> {
  const below = front.world.children(entity)
  const folderOf = (name: string) => () => below.find((child) => child.name === name)?.ref ?? null
  const refsOf = (kind: Entity['kind']) => () =>
    front.world
      .entities()
      .filter((each) => each.kind === kind && front.world.datacenterOf(each) === entity)
      .map((each) => each.ref)
  return {
    vmFolder: folderOf('vm'),
    hostFolder: folderOf('host'),
    datastoreFolder: folderOf('datastore'),
    networkFolder: folderOf('network'),
    datastore: refsOf('datastore'),
    network: refsOf('network'),
    configuration: () => data('DatacenterConfigInfo'),
  }
}
