// Builds transports from plain settings, in the mover and again in each of its threads.

import { imageTransport } from '../adapters/disk/image-transport.ts'
import { unreachable } from '../base/errors.ts'
import type { Cancel } from '../base/time-limit.ts'
import type { Transport } from '../ports/transport.ts'
import type { VddkSettings } from '../wire/vddk-settings.ts'
import type { Surroundings, VcenterAccess } from './vsphere-settings.ts'

/** Plain data: structured clone carries it to a thread. */
export type TransportSettings =
  /** HTTPS ranges of flat files. */
  | { readonly kind: 'datastore'; readonly vcenter: VcenterAccess }
  /** Exports of snapshots, as streams. */
  | { readonly kind: 'lease'; readonly vcenter: VcenterAccess }
  /** San, hotadd, nbdssl and nbd: through nbdkit and the user's VDDK. */
  | { readonly kind: 'vddk'; readonly vcenter: VcenterAccess; readonly vddk: VddkSettings }
  /** Raw image files of this machine, named by the disks' file names. */
  | { readonly kind: 'image' }

/** Every transport that the settings can have. */
export function transportSettingsOf(
  { vddk }: { readonly vddk: VddkSettings },
  vcenter: VcenterAccess,
): readonly TransportSettings[] {
  return [
    { kind: 'datastore', vcenter },
    { kind: 'lease', vcenter },
    { kind: 'vddk', vcenter, vddk },
  ]
}

/** Nothing is contacted before a disk is opened. */
export async function openTransports(
  settings: readonly TransportSettings[],
  around: Surroundings,
  cancel: Cancel,
): Promise<readonly Transport[]> {
  const transports: Transport[] = []
  for (const one of settings) {
    switch (one.kind) {
      case 'datastore': {
        // Loaded only where it is used: a thread that reads images starts without the SOAP client.
        const { datastoreTransport } = await import('../adapters/vsphere/datastore.ts')
        const { vsphereSettingsOf } = await import('./vsphere-settings.ts')
        transports.push(datastoreTransport(await vsphereSettingsOf(one.vcenter, around, cancel)))
        break
      }
      case 'lease': {
        const { leaseTransport } = await import('../adapters/vsphere/lease.ts')
        const { vsphereSettingsOf } = await import('./vsphere-settings.ts')
        transports.push(leaseTransport(await vsphereSettingsOf(one.vcenter, around, cancel)))
        break
      }
      case 'vddk': {
        const { openVddkTransports } = await import('./vddk.ts')
        transports.push(...(await openVddkTransports(one, around, cancel)))
        break
      }
      case 'image':
        transports.push(imageTransport())
        break
      default:
        unreachable(one)
    }
  }
  return transports
}
