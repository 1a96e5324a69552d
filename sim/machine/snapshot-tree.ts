// The snapshots of one machine as a tree with a current one. It knows nothing of disks; the machine gives their layers back.

import type { Snapshot } from './snapshot.ts'
import { SimFault, type SimSnapshot } from './types.ts'

export class SnapshotTree {
  #roots: readonly Snapshot[] = []
  #current: Snapshot | null = null

  get roots(): readonly Snapshot[] {
    return this.#roots
  }

  get current(): Snapshot | null {
    return this.#current
  }

  /** Every snapshot, parents before children. */
  get all(): readonly Snapshot[] {
    return this.#roots.flatMap((root) => root.subtree())
  }

  /** @throws SimFault ManagedObjectNotFound when it is not (any more) in this tree */
  own(snapshot: SimSnapshot): Snapshot {
    const node = this.all.find((one) => one === snapshot)
    if (node === undefined) throw new SimFault('ManagedObjectNotFound', `The snapshot "${snapshot.name}" is gone`)
    return node
  }

  /** Hangs a snapshot, whose parent is the current one, into the tree and makes it the current one. */
  add(snapshot: Snapshot): void {
    const { parent } = snapshot
    if (parent === null) this.#roots = [...this.#roots, snapshot]
    else parent.children = [...parent.children, snapshot]
    this.#current = snapshot
  }

  goTo(node: Snapshot): void {
    this.#current = node
  }

  /** Takes out a node, alone or with all below it. @returns what is gone, its digests finished */
  remove(node: Snapshot, { removeChildren }: { readonly removeChildren: boolean }): readonly Snapshot[] {
    const gone = removeChildren ? node.subtree() : [node]
    for (const one of gone) one.frozen.finish()
    const orphans = removeChildren ? [] : node.children
    const { parent } = node
    for (const orphan of orphans) orphan.parent = parent
    const replace = (list: readonly Snapshot[]) => list.flatMap((one) => (one === node ? orphans : [one]))
    if (parent === null) this.#roots = replace(this.#roots)
    else parent.children = replace(parent.children)
    if (this.#current !== null && gone.includes(this.#current)) this.#current = parent
    return gone
  }

  /** Takes out all of them. */
  clear(): readonly Snapshot[] {
    const gone = this.all
    for (const one of gone) one.frozen.finish()
    this.#roots = []
    this.#current = null
    return gone
  }
}
