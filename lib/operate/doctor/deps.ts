// What the doctor looks through, what it is asked, and what it knows of a VM while it looks.

import type { Clock } from '../../base/clock.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { AdmissionLimits } from '../../model/admission.ts'
import type { ChannelAttempt } from '../../model/guest.ts'
import type { Policy, TransportName } from '../../model/policy.ts'
import type { DatastoreState } from '../../model/site.ts'
import type { VmState, VmSummary } from '../../model/vm.ts'
import type { GuestCredentials } from '../../ports/guest.ts'
import type { JobStore } from '../../ports/job-store.ts'
import type { NetworkPlace, NetworkProbe } from '../../ports/network-probe.ts'
import type { Transport } from '../../ports/transport.ts'
import type { Vsphere, VsphereSession } from '../../ports/vsphere.ts'
import { type Check, type Learned, learn, type Topic } from './check.ts'
import type { Lack } from './judge-site.ts'
import type { VmFacts } from './judge-vm.ts'
import type { PastRead } from './predict.ts'
import type { TrustWish } from './vcenter.ts'

/** A look at something of this machine: a secret, the repository, a program. */
export type Look = {
  readonly topic: Topic
  readonly act: (cancel: Cancel) => Promise<readonly Check[]>
  /** Transports that cannot work unless all is well with it. */
  readonly carries: readonly TransportName[]
}

export type DoctorDeps = {
  readonly clock: Clock
  readonly probe: NetworkProbe
  readonly vsphere: Vsphere
  readonly vcenter: { readonly place: NetworkPlace; readonly user: string; readonly trust: TrustWish }
  readonly transports: readonly Transport[]
  /** The VM that the mover runs in, by reference or instance uuid; null: none is named. */
  readonly moverVm: string | null
  /** Where hosts listen for VDDK; null: 902. */
  readonly nfcPort: number | null
  /** What a backup waits for before it begins. */
  readonly admission: AdmissionLimits
  /** Looks that need no vCenter. */
  readonly looks: readonly Look[]
  /** Null where nothing was ever backed up from here. */
  readonly jobStore: JobStore | null
  /** The account that a policy names. */
  readonly guestAccount: (name: string, cancel: Cancel) => Promise<GuestCredentials>
  /** Logs in to a guest and out again; null: guests are not entered. */
  readonly enterGuest:
    | null
    | ((
        at: { readonly session: VsphereSession; readonly vm: VmState; readonly policy: Policy },
        cancel: Cancel,
      ) => Promise<readonly ChannelAttempt[]>)
  /** Tells people how it goes on. */
  readonly say: (line: string) => void
  readonly limits: DoctorLimits
}

export type DoctorLimits = {
  /** For one look at the network or this machine, and for one call of vCenter. */
  readonly lookMs: number
  readonly callMs: number
  /** VMs looked at side by side. */
  readonly runningMax: number
}

export const doctorLimits: DoctorLimits = { lookMs: 10_000, callMs: 60_000, runningMax: 8 }

export type DoctorRequest = {
  readonly policy: Policy
  /** Names, references or uuids; null: what the policy selects; empty: no VM at all. */
  readonly vms: readonly string[] | null
}

/** The VMs that are looked at, over one session. */
export type Patients = {
  readonly policy: Policy
  readonly session: VsphereSession
  readonly vms: readonly VmSummary[]
  /** What this machine lacks for transports, once its own looks are taken. */
  readonly lacksHere: Promise<readonly Lack[]>
  /** All that vCenter lists to the account. */
  readonly inventory: readonly VmSummary[]
}

/** A VM with all that was learned of it, so far. */
export type Patient = {
  readonly summary: VmSummary
  readonly policy: Policy
  readonly facts: VmFacts
  readonly datastores: Learned<readonly DatastoreState[]>
  readonly past: readonly PastRead[]
  readonly checks: Check[]
  readonly lacks: Lack[]
}

export type Call = { readonly deps: DoctorDeps; readonly cancel: Cancel }

export function ask<Value>(act: (within: Cancel) => Promise<Value>, { deps, cancel }: Call): Promise<Learned<Value>> {
  return learn(act, { clock: deps.clock, limitMs: deps.limits.callMs, ...cancel })
}
