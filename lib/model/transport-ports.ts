// Which TCP ports of ESXi hosts each way needs, from where the mover runs. vCenter's own 443 is needed by all. Pure data.

import type { Feature } from './privileges.ts'

/** `lease` is given URLs of hosts; VDDK's network modes open NFC connections to them (VDDK guide, "Network Block Device Transport"). */
export const HOST_PORTS: Readonly<Partial<Record<Feature, readonly number[]>>> = {
  lease: [443],
  nbdssl: [443, 902],
  nbd: [443, 902],
  vix: [443],
}
