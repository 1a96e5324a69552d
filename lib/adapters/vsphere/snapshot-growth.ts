// How much the layers above a snapshot hold, from the VM's file layout, and how full their datastores are.

import { hasCode } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { Moref } from '../../model/ids.ts'
import type { SnapshotGrowth } from '../../model/snapshot-growth.ts'
import { faultNameOf } from './faults.ts'
import { readObject, readObjects } from './properties.ts'
import { retryReading, type VimSession } from './session.ts'
import {
  isRecord,
  listAt,
  numberAt,
  recordsAt,
  recordsOf,
  ref,
  refAt,
  refsOf,
  textAt,
  type VimRecord,
  type VimValue,
} from './values.ts'
import { notFound } from './vm-state.ts'

type Values = ReadonlyMap<string, VimValue>

/** @throws BackupError `vm-not-found` */
export async function readSnapshotGrowth(
  session: VimSession,
  { vm, snapshot }: { readonly vm: Moref; readonly snapshot: Moref },
  cancel: Cancel,
): Promise<SnapshotGrowth> {
  const what = `Cannot read the file layout of VM "${vm}"`
  const target = ref('VirtualMachine', vm)
  try {
    await refreshLayout(session, { target, what }, cancel)
    const paths = ['layoutEx.file', 'layoutEx.disk', 'layoutEx.snapshot', 'datastore']
    const read = () => readObject(session, { ref: target, paths, what }, cancel)
    const values = await retryReading(session.settings, read, cancel)
    const growth = growthOf(values, snapshot)
    const datastores = await readDatastores(session, { values, names: growth.datastores, what }, cancel)
    return { growthBytes: growth.bytes, datastores }
  } catch (error) {
    throw hasCode(error, 'vcenter-object-gone') ? notFound('vm-not-found', { what, error }) : error
  }
}

/** vCenter brings layouts up to date now and then only (VirtualMachine.RefreshStorageInfo). Servers without it tell what they have. */
async function refreshLayout(
  session: VimSession,
  { target, what }: { readonly target: ReturnType<typeof ref>; readonly what: string },
  cancel: Cancel,
): Promise<void> {
  try {
    await session.loggedIn(() => session.call({ method: 'RefreshStorageInfo', target, what }, cancel), cancel)
  } catch (error) {
    const fault = faultNameOf(error)
    if (fault === null || fault === 'ManagedObjectNotFound') throw error
  }
}

/** The files of the running chains that no chain of the snapshot has. */
function growthOf(
  values: Values,
  snapshot: Moref,
): { readonly bytes: number | null; readonly datastores: ReadonlySet<string> } {
  const files = new Map(recordsOf(values.get('layoutEx.file')).map((file) => [numberAt(file, 'key'), file]))
  const running = recordsOf(values.get('layoutEx.disk')).flatMap(filesOfChain)
  const frozen = recordsOf(values.get('layoutEx.snapshot')).find((each) => refAt(each, 'key')?.value === snapshot)
  const below = new Set(recordsAt(frozen ?? null, 'disk').flatMap(filesOfChain))
  const above = running.filter((key) => !below.has(key)).map((key) => files.get(key) ?? null)
  const names = (frozen === undefined ? running.map((key) => files.get(key) ?? null) : above).map(
    (file) => /^\[([^\]]+)\]/.exec(textAt(file, 'name') ?? '')?.[1],
  )
  return {
    bytes: frozen === undefined ? null : above.reduce((sum, file) => sum + (numberAt(file, 'size') ?? 0), 0),
    datastores: new Set(names.filter((name) => name !== undefined)),
  }
}

function filesOfChain(disk: VimRecord): readonly number[] {
  return recordsAt(disk, 'chain').flatMap((unit) => listAt(unit, 'fileKey').map(Number))
}

async function readDatastores(
  session: VimSession,
  asked: { readonly values: Values; readonly names: ReadonlySet<string>; readonly what: string },
  cancel: Cancel,
): Promise<SnapshotGrowth['datastores']> {
  const { what, names } = asked
  const wanted = { Datastore: ['summary'] }
  const refs = refsOf(asked.values.get('datastore'))
  const read = () => readObjects(session, { refs, wanted, what }, cancel)
  const found = await retryReading(session.settings, read, cancel)
  return found.flatMap(({ values }) => {
    const summary = values.get('summary')
    const record = isRecord(summary) ? summary : null
    const name = textAt(record, 'name') ?? ''
    const freeBytes = numberAt(record, 'freeSpace')
    const capacityBytes = numberAt(record, 'capacity')
    return !names.has(name) || freeBytes === null || capacityBytes === null ? [] : [{ name, capacityBytes, freeBytes }]
  })
}
