// Quiescing a guest through VMware Tools for a snapshot: whether it works, how long it holds the guest's writes, what it proves.

import type { Guest } from './guest.ts'
import type { Tools } from './tools.ts'
import { type QuiesceWish, type SimConfig, SimFault } from './types.ts'
import { plainVss, type Vss, writersQuiesced } from './vss.ts'

export type QuiesceFault = 'ApplicationQuiesceFault' | 'FilesystemQuiesceFault'

export type QuiescedGuest = {
  readonly quiesced: boolean
  /** Null for a snapshot without a manifest. */
  readonly writers: readonly string[] | null
}

const notQuiesced: QuiescedGuest = { quiesced: false, writers: null }

export class Quiescing {
  vss: Vss = plainVss
  /** How long the guest's writes are held before the cut, and again after it. */
  quiesceMs = 0
  /** What becomes of quiescing a Linux guest whose writes a script holds already; FIFREEZE then says EBUSY. */
  whenHeld: 'works' | 'fault' = 'works'
  #faults: readonly QuiesceFault[] = []
  readonly #guest: Guest
  readonly #tools: Tools

  constructor(options: { readonly guest: Guest; readonly tools: Tools }) {
    this.#guest = options.guest
    this.#tools = options.tools
  }

  /** The next quiesced snapshots fail with these faults, one each. */
  failNext(faults: readonly QuiesceFault[]): void {
    this.#faults = faults
  }

  /**
   * Holds the guest's writes; release() lets them go on. Tools act only on a running guest that has them; otherwise the wish is
   * ignored (API reference, CreateSnapshot_Task).
   * @throws SimFault ApplicationQuiesceFault, FilesystemQuiesceFault; then nothing is held
   */
  hold(wish: QuiesceWish, options: { readonly config: SimConfig; readonly poweredOn: boolean }): QuiescedGuest {
    if (wish.kind === 'none' || !options.poweredOn || !this.#tools.start) return notQuiesced
    const [fault, ...later] = this.#faults
    this.#faults = later
    if (fault !== undefined) throw new SimFault(fault, 'The guest could not be quiesced')
    if (!isWindows(options.config)) {
      if (this.whenHeld === 'fault' && this.#guest.held) {
        throw new SimFault('FilesystemQuiesceFault', 'The file systems of the guest are frozen already')
      }
      this.#guest.hold('tools')
      return { quiesced: true, writers: null }
    }
    const writers = writersQuiesced(this.vss, wish)
    this.#guest.hold('tools')
    return { quiesced: true, writers }
  }

  release(): void {
    this.#guest.resume('tools')
  }
}

export function isWindows({ guestId }: Pick<SimConfig, 'guestId'>): boolean {
  return guestId.startsWith('win')
}
