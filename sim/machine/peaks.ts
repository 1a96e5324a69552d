// The most of what vSphere bounds that was in use at once, as the simulated vCenter itself counts it. Nothing is refused here.

import type { SimMachine, SimPlace, SimSnapshot } from './types.ts'

type Placed = { readonly machine: SimMachine; readonly place: SimPlace }

/** By name: how much was in use at once, at most. */
type Most = Readonly<Record<string, number>>

export class Peaks {
  readonly #reads = new Map<string, number>()
  readonly #bytes = new Map<string, number>()
  #readsNow = 0
  #readsMost = 0
  readonly #readsMostOf = new Map<string, number>()
  readonly #bytesMostOf = new Map<string, number>()
  readonly #snapshotsMostOf = new Map<string, number>()

  /** A part of a disk's file is being read, by way of the vCenter and this host, until it is disposed. */
  read({ host, lengthBytes }: { readonly host: string; readonly lengthBytes: number }): Disposable {
    this.#change(host, { reads: 1, lengthBytes })
    return { [Symbol.dispose]: () => this.#change(host, { reads: -1, lengthBytes: -lengthBytes }) }
  }

  /** Looks at how many snapshots rest on each datastore now; one counts on every datastore that a disk of it is on. */
  countSnapshots(machines: readonly Placed[]): void {
    const now = new Map<string, number>()
    for (const { machine } of machines) {
      for (const { disks } of snapshotsOf(machine.rootSnapshots))
        for (const name of new Set(disks.map(({ datastore }) => datastore))) now.set(name, (now.get(name) ?? 0) + 1)
    }
    for (const [name, count] of now) raise(this.#snapshotsMostOf, name, count)
  }

  report(): {
    readonly readsAtOnce: number
    readonly readsAtOnceOfHost: Most
    readonly readBytesAtOnceOfHost: Most
    readonly snapshotsOfDatastore: Most
  } {
    return {
      readsAtOnce: this.#readsMost,
      readsAtOnceOfHost: Object.fromEntries(this.#readsMostOf),
      readBytesAtOnceOfHost: Object.fromEntries(this.#bytesMostOf),
      snapshotsOfDatastore: Object.fromEntries(this.#snapshotsMostOf),
    }
  }

  #change(host: string, by: { readonly reads: number; readonly lengthBytes: number }): void {
    const [reads, bytes] = [(this.#reads.get(host) ?? 0) + by.reads, (this.#bytes.get(host) ?? 0) + by.lengthBytes]
    this.#reads.set(host, reads)
    this.#bytes.set(host, bytes)
    this.#readsNow += by.reads
    this.#readsMost = Math.max(this.#readsMost, this.#readsNow)
    raise(this.#readsMostOf, host, reads)
    raise(this.#bytesMostOf, host, bytes)
  }
}

function snapshotsOf(roots: readonly SimSnapshot[]): readonly SimSnapshot[] {
  return roots.flatMap((snapshot) => [snapshot, ...snapshotsOf(snapshot.children)])
}

function raise(most: Map<string, number>, name: string, value: number): void {
  most.set(name, Math.max(most.get(name) ?? 0, value))
}
