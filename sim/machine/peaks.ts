// The most of what vSphere bounds that was in use at once, as the simulated vCenter itself counts it. A read beyond
// what file services have is refused, and counts as tried (VDDK Programming Guide, "NFC Session Limits and Timeouts").

import { MiB } from '../../lib/base/bytes.ts'
import { SimFault, type SimMachine, type SimPlace, type SimSnapshot } from './types.ts'

const CONNECTIONS_MAX = 52
const HOST_BUFFER_BYTES_MAX = 48 * MiB

type Placed = { readonly machine: SimMachine; readonly place: SimPlace }

/** What other products read through the vCenter and one host, all at once. */
type OthersUse = { readonly connections: number; readonly bufferBytes: number }

/** By name: how much was in use at once, at most. */
type Most = Readonly<Record<string, number>>

export class Peaks {
  readonly #reads = new Map<string, number>()
  readonly #bytes = new Map<string, number>()
  #readsNow = 0
  #readsMost = 0
  readonly #readsMostOf = new Map<string, number>()
  readonly #bytesMostOf = new Map<string, number>()
  /** What others use of hosts; counts towards no peak. */
  readonly #others = new Map<string, OthersUse>()
  readonly #snapshotsMostOf = new Map<string, number>()

  /** A part of a disk's file is being read, by way of the vCenter and this host, until it is disposed; throws SimFault. */
  read({ host, lengthBytes }: { readonly host: string; readonly lengthBytes: number }): Disposable {
    this.#change(host, { reads: 1, lengthBytes })
    const end = () => this.#change(host, { reads: -1, lengthBytes: -lengthBytes })
    const others = [...this.#others.values()].reduce((sum, { connections }) => sum + connections, 0)
    if (this.#readsNow + others > CONNECTIONS_MAX) {
      end()
      throw new SimFault('HostConnectFault', `NFC: more than ${CONNECTIONS_MAX} connections`)
    }
    if ((this.#bytes.get(host) ?? 0) + (this.#others.get(host)?.bufferBytes ?? 0) > HOST_BUFFER_BYTES_MAX) {
      end()
      const message = `NFC error 5: NFC_NO_MEMORY: Failed to allocate the requested ${lengthBytes} bytes`
      throw new SimFault('NfcFault', message)
    }
    return { [Symbol.dispose]: end }
  }

  /** From now on others use so much of a host. */
  othersUse(host: string, use: OthersUse): void {
    this.#others.set(host, use)
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
