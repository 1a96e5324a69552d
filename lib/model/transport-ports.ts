// Which TCP ports of ESXi hosts each way needs, from where the mover runs. vCenter's own 443 is needed by all. Pure.

import type { Feature } from './privileges.ts'

/** Where hosts listen for NFC, unless they were told otherwise. */
const NFC_PORT = 902

/**
 * `lease` and files in guests are given URLs of hosts; VDDK's network modes open NFC connections to them (VDDK Programming Guide,
 * "Network Block Device Transport").
 * @param nfcPort null: the usual one
 */
export function hostPortsOf(feature: Feature, nfcPort: number | null): readonly number[] {
  switch (feature) {
    case 'lease':
    case 'vix':
      return [443]
    case 'nbdssl':
    case 'nbd':
      return [443, nfcPort ?? NFC_PORT]
    default:
      return []
  }
}
