// The VDDK transports as a mover has them: logins from the settings, the thumbprint from the certificate that we checked.

import { findVddk } from '../adapters/disk/vddk-presence.ts'
import { vddkTransports } from '../adapters/disk/vddk-transport.ts'
import { readServerCertificate } from '../adapters/vsphere/certificate.ts'
import { openVsphere, type VsphereSettings } from '../adapters/vsphere/vsphere.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { DiskRequest, Transport } from '../ports/transport.ts'
import type { VddkSettings } from '../wire/vddk-settings.ts'
import { type Surroundings, type VcenterAccess, vsphereSettingsOf } from './vsphere-settings.ts'

/** Nothing is contacted and nothing started before a disk is opened. */
export async function openVddkTransports(
  { vcenter, vddk }: { readonly vcenter: VcenterAccess; readonly vddk: VddkSettings },
  around: Surroundings,
  cancel: Cancel,
): Promise<readonly Transport[]> {
  const settings = await vsphereSettingsOf(vcenter, around, cancel)
  const { directory, nbdkit, plugin, compression, nfcPort, moverVm } = vddk
  return vddkTransports({
    presence: findVddk({
      nbdkit,
      libdir: directory,
      path: around.environment['PATH'] ?? '',
      machine: { platform: process.platform, arch: process.arch },
    }),
    ...{ plugin, compression, nfcPort, hotadd: moverVm !== null, clock: around.clock, random: around.random },
    login: async (within) => {
      const { endpoint, sha1 } = await readServerCertificate(settings, within)
      return { server: endpoint, ...(await settings.account(within)), thumbprintSha1: sha1 }
    },
    findAgain: (request, within) => findAgain(settings, request, within),
  })
}

/** The same disk of the same snapshot, wherever its files are by now. */
async function findAgain(settings: VsphereSettings, request: DiskRequest, cancel: Cancel): Promise<string | null> {
  await using session = await openVsphere(settings).open(cancel)

  const { key, uuid, capacityBytes } = request.disk
  const disk = (await session.readSnapshot(request.snapshot, cancel)).disks.find((one) => one.key === key)
  const same = disk !== undefined && uuid !== null && disk.uuid === uuid && disk.capacityBytes === capacityBytes
  return same ? disk.fileName : null
}
