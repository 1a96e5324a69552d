// Transports `san`, `hotadd`, `nbdssl` and `nbd`: the snapshot's disk through nbdkit's vddk plugin and the user's own VDDK,
// an nbdkit for each disk and reader.

import type { Clock } from '../../base/clock.ts'
import { BackupError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { DiskSource } from '../../ports/disk.ts'
import type { DiskRequest, Transport } from '../../ports/transport.ts'
import { sweepNbdkitFolders } from './nbdkit-folder.ts'
import { VDDK_MODES, type VddkCompression, type VddkMode } from './vddk-command.ts'
import type { VddkPresence } from './vddk-presence.ts'
import { isFileGone, openVddkServer, type VddkServer } from './vddk-server.ts'
import { openVddkSource, VDDK_READS_MAX } from './vddk-source.ts'

/** What VDDK is told of the server, asked for at each start. */
export type VddkLogin = {
  readonly server: { readonly host: string; readonly port: number }
  readonly user: string
  readonly password: string
  /** SHA-1 of the certificate that passed the pin or the authorities, upper-case hex with colons. */
  readonly thumbprintSha1: string
}

export type VddkTransportOptions = {
  readonly presence: VddkPresence
  readonly plugin: string
  readonly compression: VddkCompression
  readonly nfcPort: number | null
  /** Whether this machine is a VM that vCenter knows and that disks can be taken from again. */
  readonly hotadd: boolean
  readonly login: (cancel: Cancel) => Promise<VddkLogin>
  /**
   * Where the snapshot has this disk now, for a path that no longer is one.
   * @returns null when the snapshot has no such disk, or another one, under this key
   */
  readonly findAgain: (request: DiskRequest, cancel: Cancel) => Promise<string | null>
  readonly clock: Clock
  readonly random: Random
  /** Default 120 s: the host is asked for tickets, and a SAN is scanned. */
  readonly startLimitMs?: number
  /** Default 120 s. */
  readonly requestLimitMs?: number
  readonly stopLimitMs?: number
  readonly idleMs?: number
  readonly folderBase?: string
}

/** All four, in VDDK's own order of speed; those that cannot work here refuse every disk and say why. */
export function vddkTransports(options: VddkTransportOptions): readonly Transport[] {
  // What a process that died left is removed once, before the first start.
  let sweeping: Promise<unknown> | null = null
  const sweep = () => {
    sweeping ??= sweepNbdkitFolders(options.folderBase)
    return sweeping
  }
  return VDDK_MODES.map((mode) => ({
    name: mode,
    refusal: (request) => refusalOf(mode, request, options),
    open: async (request, cancel) => {
      const reason = refusalOf(mode, request, options)
      if (reason !== null) throw refused(mode, request, reason)
      await sweep()
      return openDisk(mode, request, { options, cancel })
    },
  }))
}

/** VDDK Programming Guide, "Virtual Disk Transport Methods" and its release notes. */
function refusalOf(mode: VddkMode, { disk }: DiskRequest, { presence, hotadd }: VddkTransportOptions): string | null {
  if (presence.kind === 'absent') return presence.reason
  if (mode === 'hotadd' && !hotadd)
    return "no VM is named that disks can be attached to and taken from again (COLDFRAME_MOVER_VM: this machine's own VM)"
  if (disk.mode.startsWith('independent')) return 'it is independent, so no snapshot freezes it'
  if (disk.backing === 'rdm-physical') return 'it is a physical raw device mapping, so no snapshot freezes it'
  if (disk.encrypted && mode === 'san')
    return 'it is encrypted, and VDDK reads encrypted disks over "nbdssl" and "hotadd" only'
  if (disk.encrypted && mode === 'nbd')
    return 'it is encrypted, and VDDK reads encrypted disks over "nbdssl" and "hotadd" only'
  return null
}

type Call = { readonly options: VddkTransportOptions; readonly cancel: Cancel }

async function openDisk(mode: VddkMode, request: DiskRequest, { options, cancel }: Call): Promise<DiskSource> {
  const { disk } = request
  let fileName = disk.fileName
  const open = async (within: Cancel): Promise<VddkServer> => {
    try {
      return await start({ mode, request, fileName }, { options, cancel: within })
    } catch (error) {
      within.signal.throwIfAborted()
      if (!isFileGone(error)) throw error
      const now = await options.findAgain(request, within)
      if (now === null) throw movedAway(request, error)
      if (now === fileName) throw error
      fileName = now
      return await start({ mode, request, fileName }, { options, cancel: within })
    }
  }
  const { clock, random, idleMs } = options
  const source = { name: disk.fileName, open, clock, random, ...(idleMs === undefined ? {} : { idleMs }) }
  return await openVddkSource(source, cancel)
}

type Start = { readonly mode: VddkMode; readonly request: DiskRequest; readonly fileName: string }

async function start({ mode, request, fileName }: Start, { options, cancel }: Call): Promise<VddkServer> {
  const { presence, plugin, compression, nfcPort, clock, random, folderBase, stopLimitMs } = options
  if (presence.kind === 'absent') throw refused(mode, request, presence.reason)
  const { server, user, password, thumbprintSha1 } = await options.login(cancel)
  const { vm, snapshot } = request
  const place = { libdir: presence.libdir, plugin, compression, nfcPort }
  return await openVddkServer(
    {
      program: presence.nbdkit,
      command: { ...place, server, user, thumbprintSha1, vm, snapshot, mode, fileName },
      ...{ password, clock, random, readsMax: VDDK_READS_MAX },
      startLimitMs: options.startLimitMs ?? 120_000,
      requestLimitMs: options.requestLimitMs ?? 120_000,
      ...(folderBase === undefined ? {} : { folderBase }),
      ...(stopLimitMs === undefined ? {} : { stopLimitMs }),
    },
    cancel,
  )
}

function refused(mode: VddkMode, { disk }: DiskRequest, reason: string): BackupError {
  return new BackupError(`Cannot read "${disk.label}" ("${disk.fileName}") over ${mode}: ${reason}`, {
    code: 'transport-refused',
    hint: 'Add another transport to the policy for this disk, or mend what is named',
    facts: { transport: mode, fileName: disk.fileName, reason },
  })
}

function movedAway({ disk, snapshot }: DiskRequest, cause: unknown): BackupError {
  return new BackupError(
    `Cannot read "${disk.label}": "${disk.fileName}" is gone, and snapshot "${snapshot}" no longer has this disk`,
    {
      code: 'disk-read-failed',
      retry: 'later',
      hint: 'The VM was changed while it was read: back it up again',
      facts: { fileName: disk.fileName, snapshot, deviceKey: disk.key },
      cause,
    },
  )
}
