// The objects a server has one of: service instance, session manager, collectors of other things. Read-only parts.

import { privilegesOfMethods } from '../../soap/schema.ts'
import { type Data, data, ref, type Value } from '../../soap/value.ts'
import type { Front } from '../front.ts'
import type { ManagedObject } from '../managed-object.ts'
import { type Session, userSession } from '../sessions.ts'
import { performanceProperties } from './performance.ts'

export const SINGLETONS = {
  instance: ref('ServiceInstance', 'ServiceInstance'),
  sessions: ref('SessionManager', 'SessionManager'),
  collector: ref('PropertyCollector', 'propertyCollector'),
  views: ref('ViewManager', 'ViewManager'),
  search: ref('SearchIndex', 'SearchIndex'),
  authorization: ref('AuthorizationManager', 'AuthorizationManager'),
  tasks: ref('TaskManager', 'TaskManager'),
  events: ref('EventManager', 'EventManager'),
  performance: ref('PerformanceManager', 'PerfMgr'),
  guests: ref('GuestOperationsManager', 'guestOperationsManager'),
  guestAuth: ref('GuestAuthManager', 'guestOperationsAuthManager'),
  guestFiles: ref('GuestFileManager', 'guestOperationsFileManager'),
  guestPrograms: ref('GuestProcessManager', 'guestOperationsProcessManager'),
}

/** The name, product and version that the server shows, in the order of AboutInfo. */
export const PRODUCT = {
  name: 'VMware vCenter Server',
  version: '8.0.3',
  build: '24022515',
  apiVersion: '8.0.3.0',
}

/** Privileges beside those of the simulated methods that a backup asks for. */
const FURTHER_PRIVILEGES = [
  'Alarm.Create',
  'Alarm.Edit',
  'Cryptographer.Access',
  'Datastore.AllocateSpace',
  'Datastore.Browse',
  'Datastore.FileManagement',
  'Global.DisableMethods',
  'Global.EnableMethods',
  'Global.ScriptAction',
  'InventoryService.Tagging.AttachTag',
  'Network.Assign',
  'Resource.AssignVMToPool',
  'Resource.ColdMigrate',
  'Resource.HotMigrate',
  'VApp.Export',
  'VApp.Import',
  'VirtualMachine.Config.AddExistingDisk',
  'VirtualMachine.Config.AddNewDisk',
  'VirtualMachine.Config.AddRemoveDevice',
  'VirtualMachine.Config.AdvancedConfig',
  'VirtualMachine.Config.Annotation',
  'VirtualMachine.Config.CPUCount',
  'VirtualMachine.Config.ChangeTracking',
  'VirtualMachine.Config.DiskExtend',
  'VirtualMachine.Config.DiskLease',
  'VirtualMachine.Config.Memory',
  'VirtualMachine.Config.RemoveDisk',
  'VirtualMachine.Config.Rename',
  'VirtualMachine.Config.Resource',
  'VirtualMachine.Config.Settings',
  'VirtualMachine.GuestOperations.Execute',
  'VirtualMachine.GuestOperations.Modify',
  'VirtualMachine.GuestOperations.Query',
  'VirtualMachine.Interact.GuestControl',
  'VirtualMachine.Interact.PowerOn',
  'VirtualMachine.Inventory.Create',
  'VirtualMachine.Inventory.Delete',
  'VirtualMachine.Inventory.Register',
  'VirtualMachine.Provisioning.DiskRandomAccess',
  'VirtualMachine.Provisioning.GetVmFiles',
  'VirtualMachine.Provisioning.PutVmFiles',
]

export function privileges(): readonly string[] {
  return [...new Set([...privilegesOfMethods(), ...FURTHER_PRIVILEGES])].toSorted()
}

export function singletonObject(
  front: Front,
  { id, session }: { readonly id: string; readonly session: Session | null },
): ManagedObject | null {
  const found = Object.values(SINGLETONS).find((each) => each.id === id)
  if (found !== undefined) return { ref: found, properties: propertiesOf(found.type, { front, session }) }
  const collector = session?.collectors.get(id)
  if (collector === undefined) return null
  return { ref: collector.ref, properties: { filter: () => collector.filters() } }
}

type Reading = { readonly front: Front; readonly session: Session | null }

function propertiesOf(type: string, { front, session }: Reading): Readonly<Record<string, () => Value | null>> {
  switch (type) {
    case 'ServiceInstance':
      return {
        serverClock: () => new Date(front.clock.nowMs()),
        capability: () =>
          data('Capability', {
            provisioningSupported: true,
            multiHostSupported: true,
            userShellAccessSupported: false,
          }),
        content: () => serviceContent(front),
      }
    case 'SessionManager':
      return {
        sessionList: () => front.sessions.all().map(userSession),
        currentSession: () => (session === null ? null : userSession(session)),
        message: () => '',
        messageLocaleList: () => ['en'],
        supportedLocaleList: () => ['en'],
        defaultLocale: () => 'en',
      }
    case 'PropertyCollector':
      return { filter: () => session?.collectors.get(SINGLETONS.collector.id)?.filters() ?? [] }
    case 'ViewManager':
      return {
        viewList: () =>
          [...(session?.objects.values() ?? [])]
            .map((object) => object.ref)
            .filter(({ type: own }) => own.endsWith('View')),
      }
    case 'TaskManager':
      return {
        recentTask: () => front.tasks.recent(),
        description: () => data('TaskDescription', { methodInfo: [], state: [], reason: [] }),
        maxCollector: () => 32,
      }
    case 'AuthorizationManager':
      return {
        privilegeList: () => privileges().map(privilege),
        roleList: () => [role()],
        description: () => data('AuthorizationDescription', { privilege: [], privilegeGroup: [] }),
      }
    case 'EventManager':
      return { maxCollector: () => 32 }
    case 'PerformanceManager':
      return performanceProperties()
    case 'GuestOperationsManager':
      return {
        authManager: () => SINGLETONS.guestAuth,
        fileManager: () => SINGLETONS.guestFiles,
        processManager: () => SINGLETONS.guestPrograms,
      }
    default:
      return {}
  }
}

export function serviceContent(front: Front): Data {
  return data('ServiceContent', {
    rootFolder: front.world.root.ref,
    propertyCollector: SINGLETONS.collector,
    viewManager: SINGLETONS.views,
    about: aboutProduct(front),
    sessionManager: SINGLETONS.sessions,
    authorizationManager: SINGLETONS.authorization,
    perfManager: SINGLETONS.performance,
    eventManager: SINGLETONS.events,
    taskManager: SINGLETONS.tasks,
    searchIndex: SINGLETONS.search,
    guestOperationsManager: SINGLETONS.guests,
  })
}

function aboutProduct(front: Front): Data {
  return data('AboutInfo', {
    name: PRODUCT.name,
    fullName: `${PRODUCT.name} ${PRODUCT.version} build-${PRODUCT.build} (simulated)`,
    vendor: 'VMware, Inc.',
    version: PRODUCT.version,
    build: PRODUCT.build,
    localeVersion: 'INTL',
    localeBuild: '000',
    osType: 'linux-x64',
    productLineId: 'vpx',
    apiType: 'VirtualCenter',
    apiVersion: PRODUCT.apiVersion,
    instanceUuid: front.settings.instanceUuid,
    licenseProductName: 'VMware VirtualCenter Server',
    licenseProductVersion: '8.0',
  })
}

function privilege(id: string): Data {
  const group = id.slice(0, id.lastIndexOf('.'))
  return data('AuthorizationPrivilege', {
    privId: id,
    onParent: false,
    name: id.slice(group.length + 1),
    privGroupName: group,
  })
}

function role(): Data {
  return data('AuthorizationRole', {
    roleId: -1,
    system: true,
    name: 'Admin',
    info: data('Description', { label: 'Administrator', summary: 'Full access rights' }),
    privilege: privileges(),
  })
}
