// The doctor of one machine, built from settings.

import { guestNetwork } from '../adapters/guest/network.ts'
import { localNetworkProbe } from '../adapters/local/network-probe.ts'
import { localSecrets } from '../adapters/local/secrets.ts'
import { openVsphere } from '../adapters/vsphere/vsphere.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Policy } from '../model/policy.ts'
import { type DoctorDeps, doctorLimits } from '../operate/doctor/deps.ts'
import type { JobStore } from '../ports/job-store.ts'
import { defaultStageLimits } from '../stages/deps.ts'
import { findWayIn } from '../stages/guest/way-in.ts'
import { parseGuestCredentials } from '../wire/guest-credentials.ts'
import type { Settings } from '../wire/settings.ts'
import { machineLooks } from './doctor-looks.ts'
import { vddkLooks } from './doctor-vddk.ts'
import { localStageLimits } from './local.ts'
import { openTransports, transportSettingsOf } from './transports.ts'
import { unset } from './unset.ts'
import { type Surroundings, vsphereSettingsOf } from './vsphere-settings.ts'

export type LocalDoctor = {
  readonly settings: Settings
  readonly policy: Policy
  readonly around: Surroundings
  readonly jobStore: JobStore | null
  /** Whether guests are logged in to. */
  readonly guests: boolean
  readonly say: (line: string) => void
}

export async function localDoctor(doctor: LocalDoctor, cancel: Cancel): Promise<DoctorDeps> {
  const { settings, policy, around, jobStore, guests, say } = doctor
  const { vcenter, secretsFolder, vddk } = settings
  if (vcenter === null) throw unset('COLDFRAME_VCENTER')
  const secrets = localSecrets({ references: {}, environment: around.environment, folder: secretsFolder })
  const { hostname, port } = new URL(vcenter.url)
  const guestAccount: DoctorDeps['guestAccount'] = async (name, within) =>
    parseGuestCredentials(await secrets.read(name, within), name)
  return {
    clock: around.clock,
    probe: localNetworkProbe({ clock: around.clock }),
    vsphere: openVsphere(await vsphereSettingsOf(vcenter, around, cancel)),
    vcenter: {
      place: { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? 443 : Number(port) },
      user: vcenter.user,
      trust: vcenter.trust,
    },
    transports: await openTransports(transportSettingsOf(settings, vcenter), around, cancel),
    moverVm: vddk.moverVm,
    nfcPort: vddk.nfcPort,
    admission: { ...localStageLimits.admission, ...settings.admission },
    looks: [...machineLooks(settings, around), ...vddkLooks(policy, vddk, around)],
    jobStore,
    guestAccount,
    enterGuest: guests ? guestEntry({ around, jobStore, guestAccount }) : null,
    say,
    limits: doctorLimits,
  }
}

/** Logs in by the first way that opens, and out again. What a guest is known by is compared, and not learned. */
function guestEntry(doctor: Pick<LocalDoctor, 'around' | 'jobStore'> & Pick<DoctorDeps, 'guestAccount'>) {
  const { around, jobStore, guestAccount } = doctor
  const deps = {
    clock: around.clock,
    guests: guestNetwork(),
    guestAccount,
    jobStore: {
      guests: {
        get: async (vm, within) => (await jobStore?.guests.get(vm, within)) ?? null,
        create: async () => 'created',
        replace: async () => 'replaced',
      } satisfies JobStore['guests'],
    },
    limits: defaultStageLimits,
  }
  const enter: NonNullable<DoctorDeps['enterGuest']> = async ({ session, vm, policy }, cancel) => {
    const job = { vm: { moref: vm.moref, vmId: vm.vmId, name: vm.name, datacenter: vm.datacenter }, policy }
    const { entered, attempts } = await findWayIn({ session, vm, job }, deps, cancel)
    await entered?.channel[Symbol.asyncDispose]()
    return attempts
  }
  return enter
}
