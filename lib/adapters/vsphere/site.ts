// Hosts, datastores, time and rights: what a check of a vCenter looks at besides its VMs.

import { isoTime } from '../../base/clock.ts'
import { BackupError, hasCode } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import type { Moref } from '../../model/ids.ts'
import type { DatastoreState, HostState } from '../../model/site.ts'
import type { PrivilegeQuestion } from '../../ports/vsphere.ts'
import { decodeName } from './places.ts'
import { readObject, readObjects } from './properties.ts'
import { retryReading, type VimSession } from './session.ts'
import {
  booleanAt,
  isRecord,
  needed,
  numberAt,
  type Ref,
  recordsAt,
  recordsOf,
  ref,
  refsOf,
  replyMalformed,
  textAt,
  type VimRecord,
} from './values.ts'
import { notFound, utcTime } from './vm-state.ts'

/** vCenter's own clock, ISO 8601 UTC. */
export async function readTime(session: VimSession, cancel: Cancel): Promise<string> {
  const call = {
    method: 'CurrentTime',
    target: ref('ServiceInstance', 'ServiceInstance'),
    what: 'Cannot ask vCenter for its time',
  }
  const value = await session.loggedIn(() => session.call(call, cancel), cancel)
  const ms = Date.parse(typeof value === 'string' ? utcTime(value) : '')
  if (Number.isNaN(ms)) throw replyMalformed('it has no time')
  return isoTime(ms)
}

/** @throws BackupError `host-not-found`, `vcenter-permission` */
export async function readHost(session: VimSession, host: Moref, cancel: Cancel): Promise<HostState> {
  const what = `Cannot read the ESXi host "${host}"`
  const paths = ['name', 'runtime.connectionState', 'runtime.inMaintenanceMode', 'summary.config.product.version']
  try {
    const asked = { ref: ref('HostSystem', host), paths, what }
    const values = await retryReading(session.settings, () => readObject(session, asked, cancel), cancel)
    const text = (path: string) => {
      const value = values.get(path)
      return typeof value === 'string' ? value : null
    }
    return {
      moref: host,
      name: decodeName(needed(text('name'), 'name')),
      connectionState: needed(text('runtime.connectionState'), 'connection state'),
      maintenance: values.get('runtime.inMaintenanceMode') === true,
      version: text('summary.config.product.version'),
    }
  } catch (error) {
    throw hasCode(error, 'vcenter-object-gone') ? notFound('host-not-found', { what, error }) : error
  }
}

/** Every datastore with files of the VM. @throws BackupError `vm-not-found`, `vcenter-permission` */
export async function readDatastores(
  session: VimSession,
  vm: Moref,
  cancel: Cancel,
): Promise<readonly DatastoreState[]> {
  const what = `Cannot read the datastores of VM "${vm}"`
  try {
    const asked = { ref: ref('VirtualMachine', vm), paths: ['datastore'], what }
    const values = await retryReading(session.settings, () => readObject(session, asked, cancel), cancel)
    const refs = refsOf(values.get('datastore'))
    const wanted = { refs, wanted: { Datastore: ['summary'] }, what }
    const found = await retryReading(session.settings, () => readObjects(session, wanted, cancel), cancel)
    return found.map((each) => {
      const summary = each.values.get('summary')
      return datastoreOf(each.ref, isRecord(summary) ? summary : null)
    })
  } catch (error) {
    throw hasCode(error, 'vcenter-object-gone') ? notFound('vm-not-found', { what, error }) : error
  }
}

function datastoreOf({ value: moref }: Ref, summary: VimRecord | null): DatastoreState {
  return {
    moref,
    name: decodeName(needed(textAt(summary, 'name'), 'datastore name')),
    type: textAt(summary, 'type') ?? '',
    // "ds:///vmfs/volumes/5f0c3b1e-0a1b2c3d-4e5f-a0369f0c0001/"
    volume: /([^/]+)\/?$/.exec(textAt(summary, 'url') ?? '')?.[1] ?? null,
    capacityBytes: needed(numberAt(summary, 'capacity'), 'capacity'),
    freeBytes: needed(numberAt(summary, 'freeSpace'), 'free space'),
    accessible: needed(booleanAt(summary, 'accessible'), 'accessibility'),
    maintenanceMode: textAt(summary, 'maintenanceMode') || null,
  }
}

const entityTypes = { vm: 'VirtualMachine', datastore: 'Datastore', host: 'HostSystem' } as const

/**
 * Asked of the session itself, which works from vSphere 5.5 on and for an account of any kind, with System.Read on the entity
 * (AuthorizationManager.HasPrivilegeOnEntities). A privilege that this server does not know counts as missing.
 */
export async function missingPrivileges(
  session: VimSession,
  { entity, ids }: PrivilegeQuestion,
  cancel: Cancel,
): Promise<readonly string[]> {
  const what = `Cannot ask for the privileges on ${entity.kind} "${entity.kind === 'root' ? '/' : entity.moref}"`
  const { authorizationManager, rootFolder } = session.content
  if (authorizationManager === null) {
    throw new BackupError(`${what}: this server does not tell`, { code: 'vcenter-unsupported', kind: 'refused' })
  }
  const about = entity.kind === 'root' ? rootFolder : ref(entityTypes[entity.kind], entity.moref)
  // The key is that of the login that the call is made with.
  const reply = await session.loggedIn(() => {
    const args = { entity: [about], sessionId: session.key(), privId: ids }
    return session.call({ method: 'HasPrivilegeOnEntities', target: authorizationManager, args, what }, cancel)
  }, cancel)
  const told = recordsOf(reply ?? undefined).flatMap((each) => recordsAt(each, 'privAvailability'))
  const granted = new Set(told.filter((each) => booleanAt(each, 'isGranted')).map((each) => textAt(each, 'privId')))
  const answered = new Set(told.map((each) => textAt(each, 'privId')))
  if (!ids.every((id) => answered.has(id))) throw replyMalformed('it does not tell of every privilege')
  return ids.filter((id) => !granted.has(id))
}
