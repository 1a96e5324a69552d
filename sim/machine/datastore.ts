// A simulated datastore: it holds no files itself but shows those of the machines, and the small files uploaded to it.

import { bytesFile, filesOf, type NamedFile, replaceFile } from './files.ts'
import { GRAIN_BYTES } from './grain-store.ts'
import type { Machine } from './machine.ts'
import type { SimDatastore, SimFile, SimReadLatency } from './types.ts'

export class Datastore implements SimDatastore {
  readonly name: string
  readonly type: 'VMFS' | 'NFS' | 'vsan'
  readonly capacityBytes: number
  readonly #machines: () => readonly Machine[]
  readLatency: SimReadLatency | null = null
  /** What files of others take, that are not simulated. */
  #othersBytes = 0
  readonly #uploaded = new Map<string, Uint8Array>()

  constructor(
    options: Pick<SimDatastore, 'name' | 'type' | 'capacityBytes'>,
    world: { readonly machines: () => readonly Machine[] },
  ) {
    this.name = options.name
    this.type = options.type
    this.capacityBytes = options.capacityBytes
    this.#machines = world.machines
  }

  /** Files of others leave so much free, as of now. */
  fill({ freeBytes }: { readonly freeBytes: number }): void {
    this.#othersBytes = Math.max(0, this.capacityBytes - this.#usedBytes() - freeBytes)
  }

  freeBytes(): number {
    return Math.max(0, this.capacityBytes - this.#usedBytes() - this.#othersBytes)
  }

  #usedBytes(): number {
    const layers = this.#machines()
      .flatMap((machine) => machine.allDisks)
      .filter((disk) => disk.datastore === this.name)
      .flatMap((disk) => disk.layers)
    return layers.reduce((sum, layer) => sum + layer.store.presentCount() * GRAIN_BYTES, 0)
  }

  file(path: string): SimFile | null {
    const uploaded = this.#uploaded.get(path)
    if (uploaded !== undefined) return bytesFile(uploaded)
    return (
      this.#files()
        .find((file) => file.path === this.#full(path))
        ?.open() ?? null
    )
  }

  paths(): readonly string[] {
    const start = this.#full('').length
    const shown = this.#files().map((file) => file.path.slice(start))
    return [...new Set([...shown, ...this.#uploaded.keys()])].sort()
  }

  store(path: string, bytes: Uint8Array): void {
    const full = this.#full(path)
    const copy = bytes.slice()
    if (this.#machines().some((machine) => replaceFile(machine, { path: full, bytes: copy }))) return
    this.#uploaded.set(path, copy)
  }

  #files(): readonly NamedFile[] {
    return this.#machines()
      .flatMap(filesOf)
      .filter((file) => file.path.startsWith(this.#full('')))
  }

  #full(path: string): string {
    return `[${this.name}] ${path}`
  }
}
