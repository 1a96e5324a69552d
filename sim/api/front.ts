// Everything a call may use. Types, and the shortest way to a machine; finding other objects is find-object.ts's.

import type { Clock } from '../../lib/base/clock.ts'
import type { Random } from '../../lib/base/random.ts'
import type { SimMishap, SimScenario } from '../machine/types.ts'
import type { Data, Ref, Value } from '../soap/value.ts'
import { notFound } from './faults.ts'
import type { GuestTransfers } from './guest-transfers.ts'
import type { Leases } from './leases.ts'
import type { ManagedObject } from './managed-object.ts'
import type { Session, Sessions } from './sessions.ts'
import type { Tasks } from './tasks.ts'
import type { MachineEntity, World } from './world.ts'

export type Front = {
  readonly world: World
  readonly tasks: Tasks
  readonly sessions: Sessions
  readonly transfers: GuestTransfers
  readonly leases: Leases
  readonly scenario: SimScenario
  readonly clock: Clock
  readonly random: Random
  readonly settings: FrontSettings
}

export type FrontSettings = {
  /** How long a snapshot task takes. */
  readonly snapshotMs: number
  /** How long any other task takes. */
  readonly taskMs: number
  /** Privileges that the users lack, "PRIVILEGE" or "PRIVILEGE@NAME"; everything else is granted. */
  readonly deniedPrivileges: readonly string[]
  /** How far the clock that the server tells is ahead of the real one. */
  readonly clockOffsetMs: number
  /** Names of hosts in maintenance mode, and of those that do not answer. */
  readonly hostsInMaintenance: readonly string[]
  readonly hostsAway: readonly string[]
  /** Whether URLs of files in guests name the server's own address, or "*" for it, as servers of the real kind may; 'localhost': those of exports name it as if it were another host. */
  readonly guestFileHost: '*' | 'own' | 'localhost'
  /** Of this server's certificate, SHA-1, as leases on disks name it. */
  readonly thumbprintSha1: string
  /** AboutInfo.instanceUuid. */
  readonly instanceUuid: string
}

/** One call of one method. */
export type Call = {
  readonly front: Front
  readonly self: ManagedObject
  readonly args: Data
  readonly session: Session | null
  /** What the scenario wants of the task that this call starts. */
  readonly mishap: SimMishap | null
  /** `host`: what the caller called this server, with the port. */
  readonly from: { readonly ipAddress: string; readonly userAgent: string; readonly host: string }
  /** Aborted when the caller hangs up. */
  readonly signal: AbortSignal
}

export type Handler = (call: Call) => Value | null | Promise<Value | null>

/** @throws SimFault ManagedObjectNotFound */
export function machineAt(front: Front, object: Ref): MachineEntity {
  const entity = front.world.find(object.id)
  if (entity?.kind !== 'machine') throw notFound(object)
  return entity
}
