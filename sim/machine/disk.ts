// One simulated virtual disk: a tree of copy-on-write layers with one active leaf, and its change tracking.
// It knows nothing of machines or snapshots; the machine says which layers snapshots own.

import { assert } from '../../lib/base/errors.ts'
import type { Random } from '../../lib/base/random.ts'
import { ChangeTracker, changeUuid, type FrozenTracking } from './change-tracking.ts'
import { GRAIN_BYTES, type GrainStore, piecesOf, type StoreMaker } from './grain-store.ts'
import type { DiskMode, SimContent, SimDisk, SimLayer } from './types.ts'

/** A file pair of the chain. Its content is its own grains over its parent's content. */
export type Layer = {
  readonly store: GrainStore
  /** Changes only when a merge gives this layer a new parent. */
  parent: Layer | null
  /** 0 for the base; the number in "-000001" for a delta. */
  readonly number: number
  readonly contentId: string
}

export type DiskOptions = {
  readonly deviceKey: number
  readonly label: string
  readonly controllerKey: number
  readonly unitNumber: number
  /** A whole number of 512-byte sectors. */
  readonly capacityBytes: number
  readonly mode: DiskMode
  readonly rdm: 'physicalMode' | 'virtualMode' | null
  readonly thin: boolean
  readonly datastore: string
  /** The descriptor's path without ".vmdk", e.g. "[ds1] web-01/web-01_1". */
  readonly stem: string
  /** As backing.uuid prints it. */
  readonly uuid: string
}

export type DiskWorld = { readonly stores: StoreMaker; readonly random: Random }

export class Disk implements SimDisk {
  readonly deviceKey: number
  readonly label: string
  readonly controllerKey: number
  readonly unitNumber: number
  readonly mode: DiskMode
  readonly rdm: 'physicalMode' | 'virtualMode' | null
  readonly thin: boolean
  #options: DiskOptions
  /** Whether a running machine writes the active layer. */
  #locked = false
  /** Parents before children. */
  #layers: Layer[] = []
  #active: Layer
  /** Layers whose content was merged into another one. */
  readonly #mergedInto = new WeakMap<Layer, Layer>()
  #tracker: ChangeTracker | null = null
  /** A lie: tracking never begins on this disk, whatever the machine's config says. */
  #untracked = false
  readonly #world: DiskWorld

  constructor(options: DiskOptions, world: DiskWorld) {
    assert(options.capacityBytes > 0 && options.capacityBytes % 512 === 0, 'a disk is a whole number of sectors')
    this.#options = options
    this.deviceKey = options.deviceKey
    this.label = options.label
    this.controllerKey = options.controllerKey
    this.unitNumber = options.unitNumber
    this.mode = options.mode
    this.rdm = options.rdm
    this.thin = options.thin
    this.#world = world
    this.#active = this.#newLayer(null)
    this.#layers = [this.#active]
  }

  get options(): DiskOptions {
    return this.#options
  }

  get capacityBytes(): number {
    return this.#options.capacityBytes
  }

  get datastore(): string {
    return this.#options.datastore
  }

  /** Whether snapshots cover this disk: not independent, not a physical RDM. */
  get covered(): boolean {
    return !this.mode.startsWith('independent') && this.rdm !== 'physicalMode'
  }

  get active(): Layer {
    return this.#active
  }

  get layers(): readonly Layer[] {
    return this.#layers
  }

  get changeId(): string | null {
    return this.#tracker?.changeId() ?? null
  }

  get tracking(): FrozenTracking | null {
    return this.#tracker?.peek() ?? null
  }

  get tracker(): ChangeTracker | null {
    return this.#tracker
  }

  lock(locked: boolean): void {
    this.#locked = locked
  }

  isFrozen(layer: Layer): boolean {
    return layer !== this.#active || !this.#locked
  }

  get content(): SimContent {
    return this.contentOf(this.#active)
  }

  contentOf(layer: Layer): SimContent {
    return { read: (range) => this.readAt(layer, range), allocated: (grain) => this.allocated(layer)(grain) }
  }

  chain(): readonly SimLayer[] {
    return this.chainOf(this.#active)
  }

  /** The layers below and including this one, base first. */
  chainOf(layer: Layer): readonly SimLayer[] {
    return ancestry(this.present(layer)).map((one) => ({
      ...this.pathsOf(one),
      uuid: this.options.uuid,
      contentId: one.contentId,
      frozen: this.isFrozen(one),
      flat: one.number === 0,
    }))
  }

  pathsOf(layer: Layer): { readonly descriptorPath: string; readonly extentPath: string } {
    const stem =
      layer.number === 0 ? this.options.stem : `${this.options.stem}-${String(layer.number).padStart(6, '0')}`
    const kind = layer.number > 0 ? 'delta' : this.rdm === null ? 'flat' : this.rdm === 'physicalMode' ? 'rdmp' : 'rdm'
    return { descriptorPath: `${stem}.vmdk`, extentPath: `${stem}-${kind}.vmdk` }
  }

  /** The layer that now holds this layer's content. */
  present(layer: Layer): Layer {
    let found = layer
    for (let next = this.#mergedInto.get(found); next !== undefined; next = this.#mergedInto.get(found)) found = next
    return found
  }

  /** The plain disk as of a layer. */
  readAt(layer: Layer, range: { readonly offsetBytes: number; readonly target: Uint8Array }): void {
    const chain = ancestry(this.present(layer))
    const base = chain[0]
    if (chain.length === 1 && base !== undefined) return base.store.read(range)
    const pieces = [...piecesOf(range.offsetBytes, range.target.byteLength)]
    let run: { readonly owner: Layer | null; readonly done: number; end: number } | null = null
    const flush = () => {
      if (run === null) return
      const target = range.target.subarray(run.done, run.end)
      if (run.owner === null) target.fill(0)
      else run.owner.store.read({ offsetBytes: range.offsetBytes + run.done, target })
    }
    for (const piece of pieces) {
      const owner = chain.findLast((one) => one.store.has(piece.grain)) ?? null
      if (run === null || run.owner !== owner) {
        flush()
        run = { owner, done: piece.done, end: piece.done }
      }
      run.end = piece.done + piece.lengthBytes
    }
    flush()
  }

  /** Whether any layer of the chain holds this grain. */
  allocated(layer: Layer): (grain: number) => boolean {
    const chain = ancestry(this.present(layer))
    return (grain) => chain.some((one) => one.store.has(grain))
  }

  /** A write of the guest, or of an upload: copies a grain up before changing a part of it. */
  write(range: { readonly offsetBytes: number; readonly bytes: Uint8Array }): void {
    const { offsetBytes, bytes } = range
    const parent = this.#active.parent
    if (parent !== null) {
      const ends = [offsetBytes, offsetBytes + bytes.byteLength]
      for (const end of ends) if (end % GRAIN_BYTES !== 0) this.#copyUp(Math.floor(end / GRAIN_BYTES))
    }
    this.#active.store.write(range)
    this.#tracker?.mark({ offsetBytes, lengthBytes: bytes.byteLength })
  }

  #copyUp(grain: number): void {
    const { store, parent } = this.#active
    const offsetBytes = grain * GRAIN_BYTES
    if (parent === null || store.has(grain) || offsetBytes >= this.capacityBytes) return
    if (!this.allocated(parent)(grain)) return
    const target = new Uint8Array(Math.min(GRAIN_BYTES, this.capacityBytes - offsetBytes))
    this.readAt(parent, { offsetBytes, target })
    store.write({ offsetBytes, bytes: target })
  }

  /** Freezes the active layer and lets writes go into a new delta. */
  freeze(): { readonly layer: Layer; readonly tracking: FrozenTracking | null } {
    const layer = this.#active
    this.#activate(layer)
    return { layer, tracking: this.#tracker?.cut() ?? null }
  }

  /** Drops the active layer and begins a new delta over a frozen one; tracking starts over with a new uuid. */
  revertTo(layer: Layer): void {
    const dropped = this.#active
    this.#activate(this.present(layer))
    this.#drop(dropped)
    if (this.#tracker !== null) this.startTracking()
  }

  /** A disk without deltas gets more capacity; what is new reads as zeros and counts as never written. */
  grow(capacityBytes: number): void {
    const old = this.#active
    assert(this.#layers.length === 1 && capacityBytes >= this.capacityBytes, 'only a flat disk grows')
    const { grainCount } = old.store
    const before = this.capacityBytes
    this.#options = { ...this.#options, capacityBytes }
    const store = this.#world.stores({ capacityBytes, label: `disk-${this.deviceKey}-grown` })
    for (let grain = 0; grain < grainCount; grain++) {
      if (!old.store.has(grain)) continue
      const offsetBytes = grain * GRAIN_BYTES
      const bytes = new Uint8Array(Math.min(GRAIN_BYTES, before - offsetBytes))
      old.store.read({ offsetBytes, target: bytes })
      store.write({ offsetBytes, bytes })
    }
    this.#active = { ...old, store }
    this.#layers = [this.#active]
    old.store[Symbol.dispose]()
    this.#tracker?.grow(capacityBytes)
  }

  /** Every file of the chain gets a new name, on another datastore. */
  moveTo(target: Pick<DiskOptions, 'datastore' | 'stem'>): void {
    this.#options = { ...this.#options, ...target }
  }

  /** A lie: see #untracked. */
  refuseTracking(): void {
    this.#untracked = true
    this.stopTracking()
  }

  startTracking(): void {
    if (this.#untracked) return
    this.#tracker = new ChangeTracker({ uuid: changeUuid(this.#world.random), capacityBytes: this.capacityBytes })
  }

  stopTracking(): void {
    this.#tracker = null
  }

  /** Whether consolidate() would change anything. */
  needsConsolidation(owned: ReadonlySet<Layer>): boolean {
    return this.#nextSpare(owned) !== undefined
  }

  /** Merges the only child of every layer that no snapshot owns into it, and drops leaves nobody reaches. */
  consolidate(owned: ReadonlySet<Layer>): void {
    const owners = new Set(owned)
    for (let spare = this.#nextSpare(owners); spare !== undefined; spare = this.#nextSpare(owners)) {
      const child = this.#layers.find((layer) => layer.parent === spare)
      if (child === undefined) this.#drop(spare)
      else this.#merge(child, { into: spare, owners })
    }
  }

  /** Frees every layer. */
  dispose(): void {
    for (const layer of this.#layers) layer.store[Symbol.dispose]()
    this.#layers = []
  }

  #nextSpare(owned: ReadonlySet<Layer>): Layer | undefined {
    return this.#layers.findLast(
      (layer) =>
        layer !== this.#active &&
        !owned.has(layer) &&
        this.#layers.filter((other) => other.parent === layer).length <= 1,
    )
  }

  #activate(parent: Layer): void {
    this.#active = this.#newLayer(parent)
    this.#layers.push(this.#active)
  }

  #newLayer(parent: Layer | null): Layer {
    const used = new Set(this.#layers.map((layer) => layer.number))
    let number = 0
    while (used.has(number)) number++
    const view = new DataView(this.#world.random.bytes(4).buffer)
    return {
      store: this.#world.stores({ capacityBytes: this.capacityBytes, label: `disk-${this.deviceKey}-${number}` }),
      parent,
      number,
      contentId: view.getUint32(0).toString(16).padStart(8, '0'),
    }
  }

  #drop(layer: Layer): void {
    layer.store[Symbol.dispose]()
    this.#layers = this.#layers.filter((other) => other !== layer)
  }

  #merge(child: Layer, options: { readonly into: Layer; readonly owners: Set<Layer> }): void {
    const { into, owners } = options
    for (let grain = 0; grain < child.store.grainCount; grain++) {
      if (!child.store.has(grain)) continue
      const offsetBytes = grain * GRAIN_BYTES
      const bytes = new Uint8Array(Math.min(GRAIN_BYTES, this.capacityBytes - offsetBytes))
      child.store.read({ offsetBytes, target: bytes })
      into.store.write({ offsetBytes, bytes })
    }
    if (owners.delete(child)) owners.add(into)
    if (this.#active === child) this.#active = into
    this.#mergedInto.set(child, into)
    for (const other of this.#layers) if (other.parent === child) other.parent = into
    this.#drop(child)
  }
}

function ancestry(layer: Layer): readonly Layer[] {
  const chain: Layer[] = []
  for (let one: Layer | null = layer; one !== null; one = one.parent) chain.unshift(one)
  return chain
}
