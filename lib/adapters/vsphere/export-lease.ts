// HttpNfcLease of a snapshot: from ExportSnapshot until it is given up, kept alive while anybody reads or waits. A lease
// belongs to its session: when that ends, the lease is lost, and with it what was being read.
// Source: vSphere Web Services API, HttpNfcLease; VirtualMachineSnapshot.ExportSnapshot.

import { BackupError, hasCode, messageOf } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { Moref } from '../../model/ids.ts'
import type { VmController, VmDisk } from '../../model/vm.ts'
import { controllersOf, disksOf } from './devices.ts'
import { faultError, localizedFault } from './faults.ts'
import { readObject } from './properties.ts'
import { retryReading, type VimSession } from './session.ts'
import {
  booleanAt,
  isRecord,
  isRef,
  needed,
  numberAt,
  type Ref,
  recordsAt,
  recordsOf,
  ref,
  replyMalformed,
  textAt,
  type VimRecord,
} from './values.ts'

/** Where an exported disk is fetched, and by which certificate an ESXi host there is known; empty: by what the settings say. */
export type DeviceUrl = { readonly key: string; readonly url: string; readonly thumbprint: string }

export interface ExportLease {
  /** Null when the export has no such disk. @throws BackupError when its names can be read in two ways */
  find(disk: VmDisk): DeviceUrl | null
  /** How far the export is, 0 to 1; told to vCenter with the next sign of life. */
  report(share: number): void
  /** Aborted, with the reason, when the lease was lost. */
  readonly lost: AbortSignal
  /** Ends the lease; best effort, as an ended one or a lost one cannot be ended. */
  end(how: 'complete' | 'abort'): Promise<void>
}

const CALL_LIMIT_MS = 60_000
const END_LIMIT_MS = 5_000
const READY_LIMIT_MS = 10 * 60_000
const POLL_FIRST_MS = 20
const POLL_MOST_MS = 2_000
const SIGN_OF_LIFE_MS = 60_000

/** @throws BackupError with the fault of ExportSnapshot or of the lease; `export-not-ready` */
export async function openExportLease(
  session: VimSession,
  { snapshot }: { readonly snapshot: Moref },
  cancel: Cancel,
): Promise<ExportLease> {
  const target = ref('VirtualMachineSnapshot', snapshot)
  const what = `Cannot export snapshot "${snapshot}"`
  const devices = await readDevices(session, target, cancel)
  const call = { method: 'ExportSnapshot', target, what, changes: true }
  const lease = await session.loggedIn(() => session.call(call, cancel), cancel)
  if (lease === null || !isRef(lease)) throw replyMalformed('"ExportSnapshot" gave no lease')
  try {
    const listing = await waitUntilReady(session, { lease, what }, cancel)
    return keptLease(session, { lease, listing, devices })
  } catch (error) {
    await endLease(session, lease, 'HttpNfcLeaseAbort')
    throw error
  }
}

async function readDevices(session: VimSession, target: Ref, cancel: Cancel): Promise<readonly VimRecord[]> {
  const what = `Cannot read the devices of snapshot "${target.value}"`
  const asked = { ref: target, paths: ['config.hardware.device'], what }
  const found = await retryReading(session.settings, () => readObject(session, asked, cancel), cancel)
  return recordsOf(found.get('config.hardware.device'))
}

async function waitUntilReady(
  session: VimSession,
  { lease, what }: { readonly lease: Ref; readonly what: string },
  cancel: Cancel,
): Promise<VimRecord> {
  const { clock } = session.settings
  const untilMs = clock.monotonicMs() + READY_LIMIT_MS
  const asked = { ref: lease, paths: ['state', 'error', 'info'], what: `${what}: cannot follow the lease` }
  for (let waitMs = POLL_FIRST_MS; ; waitMs = Math.min(POLL_MOST_MS, waitMs * 1.5)) {
    const seen = await retryReading(session.settings, () => readObject(session, asked, cancel), cancel)
    const [state, listing, error] = [seen.get('state'), seen.get('info'), seen.get('error')]
    if (state === 'ready' && isRecord(listing)) return listing
    if (state === 'error')
      throw faultError(localizedFault(isRecord(error) ? error : null), { what, method: 'ExportSnapshot' })
    if (state === 'done' || clock.monotonicMs() > untilMs) {
      throw new BackupError(
        `${what}: its lease is "${String(state)}" after ${READY_LIMIT_MS} ms or less, and not ready`,
        {
          code: 'export-not-ready',
          retry: 'later',
          hint: 'Look in vCenter for the task that exports this VM',
          facts: { state: String(state) },
        },
      )
    }
    await clock.sleep(waitMs, cancel)
  }
}

type Opened = { readonly lease: Ref; readonly listing: VimRecord; readonly devices: readonly VimRecord[] }

function keptLease(session: VimSession, { lease, listing, devices }: Opened): ExportLease {
  const urls = recordsAt(listing, 'deviceUrl')
    .filter((url) => booleanAt(url, 'disk') !== false)
    .map((url) => ({
      key: textAt(url, 'key') ?? '',
      url: needed(textAt(url, 'url'), 'URL of an exported disk'),
      thumbprint: textAt(url, 'sslThumbprint') ?? '',
    }))
  const byDisk = matchDisks(urls, { disks: disksOf(devices), controllers: controllersOf(devices) })
  const timeoutMs = Math.max(1, numberAt(listing, 'leaseTimeout') ?? 300) * 1000
  const lost = new AbortController()
  const ended = new AbortController()
  let percent = 0
  const living = stayAlive({ session, lease, timeoutMs, lost, signal: ended.signal, percent: () => percent })
  return {
    lost: lost.signal,
    find: ({ key }) => byDisk.get(key) ?? null,
    report: (share) => {
      // 100 is for the lease that is complete, and the number never goes back.
      percent = Math.max(percent, Math.min(99, Math.floor(share * 100)))
    },
    end: async (how) => {
      ended.abort()
      await living
      if (lost.signal.aborted) return
      await endLease(session, lease, how === 'complete' ? 'HttpNfcLeaseComplete' : 'HttpNfcLeaseAbort')
    },
  }
}

/** Tells progress three times in the lease's time, read or not: a slow reader must not lose it. */
async function stayAlive(life: {
  readonly session: VimSession
  readonly lease: Ref
  readonly timeoutMs: number
  readonly lost: AbortController
  readonly signal: AbortSignal
  readonly percent: () => number
}): Promise<void> {
  const { session, lease, timeoutMs, signal } = life
  const { clock } = session.settings
  const what = 'Cannot keep the export alive'
  let toldMs = clock.monotonicMs()
  while (!signal.aborted) {
    try {
      await clock.sleep(Math.min(SIGN_OF_LIFE_MS, timeoutMs / 3), { signal })
      const args = { percent: life.percent() }
      const call = { method: 'HttpNfcLeaseProgress', target: lease, args, what, limitMs: CALL_LIMIT_MS }
      await session.call(call, { signal })
      toldMs = clock.monotonicMs()
    } catch (error) {
      if (signal.aborted) return
      const passing = error instanceof BackupError && error.retry === 'later' && !isGone(error)
      if (passing && clock.monotonicMs() - toldMs < timeoutMs) continue
      life.lost.abort(leaseLost(error))
      return
    }
  }
}

/** The session ended, or the lease did: saying it again helps nothing. */
function isGone(error: unknown): boolean {
  return hasCode(error, 'vcenter-not-authenticated') || hasCode(error, 'vcenter-object-gone')
}

function leaseLost(cause: unknown): BackupError {
  return new BackupError(`The export's lease was lost: ${messageOf(cause)}`, {
    code: 'export-lost',
    retry: 'later',
    hint: 'Nothing of the disk is kept; the next attempt exports it again',
    cause,
  })
}

async function endLease(session: VimSession, lease: Ref, method: string): Promise<void> {
  const call = { method, target: lease, what: 'Cannot end the export', limitMs: END_LIMIT_MS, changes: true }
  await session.call(call, { signal: new AbortController().signal }).catch(() => undefined)
}

/**
 * An exported disk is named "/vm-70/VirtualLsiLogicController0:0": controller's type and number, and the disk's unit. The
 * number is the controller's bus, or its place among those of its type, as different clients read it; so each reading is
 * taken only when every exported disk is one of the snapshot's by it.
 * @returns by device key
 */
function matchDisks(
  urls: readonly DeviceUrl[],
  { disks, controllers }: { readonly disks: readonly VmDisk[]; readonly controllers: readonly VmController[] },
): ReadonlyMap<number, DeviceUrl> {
  const numberOf = (controller: VmController) =>
    controllers.filter(({ type, key }) => type === controller.type && key < controller.key).length
  const readings = [({ busNumber }: VmController) => busNumber, numberOf].map((number) => {
    const named = new Map<string, number>()
    for (const { key, controllerKey, unitNumber } of disks) {
      const controller = controllers.find((candidate) => candidate.key === controllerKey)
      if (controller !== undefined) named.set(`${controller.type}${number(controller)}:${unitNumber}`, key)
    }
    const found = new Map<number, DeviceUrl>()
    for (const url of urls) {
      const key = named.get(url.key.slice(url.key.lastIndexOf('/') + 1))
      if (key !== undefined) found.set(key, url)
    }
    return found
  })
  const [first, second] = readings.filter((found) => found.size === urls.length)
  const same = (left: ReadonlyMap<number, DeviceUrl>, right: ReadonlyMap<number, DeviceUrl>) =>
    [...left].every(([key, url]) => right.get(key) === url)
  if (first !== undefined && (second === undefined || same(first, second))) return first
  throw new BackupError(
    `Cannot tell which exported disk is which: vCenter names them ${urls.map(({ key }) => `"${key}"`).join(', ')}`,
    {
      code: 'transport-refused',
      hint: 'Use another transport for this VM',
      facts: { keys: urls.map(({ key }) => key) },
    },
  )
}
