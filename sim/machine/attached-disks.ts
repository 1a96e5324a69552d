// Disks of one machine that another machine has attached, as a backup proxy hot-adds them: independent and nonpersistent, and
// a lock on the files for as long as they are there.

import type { Disk } from './disk.ts'
import type { Snapshot } from './snapshot.ts'
import type { SimDisk, SimLayer, SimMachine } from './types.ts'

/** As a config shows it: a chain whose last layer is the file that is attached. */
export type AttachedDisk = Omit<SimDisk, 'chain' | 'changeId' | 'content'> & {
  readonly layers: readonly SimLayer[]
  readonly changeId: null
}

const FIRST_KEY = 2100

export class AttachedDisks {
  readonly #disks = new Map<SimMachine, readonly AttachedDisk[]>()

  of(machine: SimMachine): readonly AttachedDisk[] {
    return this.#disks.get(machine) ?? []
  }

  /** Attaches every disk of a snapshot; @returns the files */
  attach(machine: SimMachine, snapshot: Snapshot): readonly string[] {
    const added = snapshot.kept.map(({ disk, layer }, index) =>
      attachedOf(disk, { layers: disk.chainOf(layer), index }),
    )
    this.#disks.set(machine, [...this.of(machine), ...added])
    return added.flatMap(({ layers }) => layers.slice(-1).map(({ descriptorPath }) => descriptorPath))
  }

  /** @returns false when there is no such device; the files stay */
  detach(machine: SimMachine, deviceKey: number): boolean {
    const before = this.of(machine)
    this.#disks.set(
      machine,
      before.filter((disk) => disk.deviceKey !== deviceKey),
    )
    return this.of(machine).length < before.length
  }

  /** A machine that has files of this one attached; null when none has. */
  holderOf(machine: SimMachine): SimMachine | null {
    const files = new Set(machine.disks.flatMap((disk) => disk.chain().map(({ descriptorPath }) => descriptorPath)))
    for (const [holder, disks] of this.#disks) {
      if (holder === machine) continue
      if (disks.some(({ layers }) => layers.some(({ descriptorPath }) => files.has(descriptorPath)))) return holder
    }
    return null
  }
}

function attachedOf(
  disk: Disk,
  { layers, index }: { readonly layers: readonly SimLayer[]; readonly index: number },
): AttachedDisk {
  const { controllerKey, capacityBytes, thin, datastore } = disk
  const number = FIRST_KEY - 1999 + index
  return {
    ...{ deviceKey: FIRST_KEY + index, label: `Hard disk ${number}`, controllerKey, unitNumber: 8 + index },
    ...{ capacityBytes, mode: 'independent_nonpersistent', rdm: null, thin, datastore, layers, changeId: null },
  }
}
