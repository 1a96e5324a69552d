// The facts of the vim25 API that Coldframe uses: methods, types, elements in schema order. scripts/wsdl/generate.ts
// turns them into a WSDL. Elements that we neither send nor read are left out; the order of the rest is the schema's.
// Source of names, order and types: the vSphere Web Services API reference, data objects and managed objects.

/** `name[?]:type[[]]`: '?' optional, '[]' any number; lower-case types are XML Schema's, `moref` a managed object reference. */
export type Elements = string

export type VimType = { readonly name: string; readonly base: string | null; readonly elements: Elements }

export type VimMethod = {
  readonly name: string
  /** Without `_this`, which every method has. */
  readonly parameters: Elements
  /** The type of `returnval`, [] for any number, or null. */
  readonly result: string | null
}

const method = (name: string, parameters: Elements, result: string | null): VimMethod => ({ name, parameters, result })
const type = (name: string, elements: Elements): VimType => ({ name, base: null, elements })
const subtype = (name: string, base: string, elements: Elements = ''): VimType => ({ name, base, elements })

export const METHODS: readonly VimMethod[] = [
  method('RetrieveServiceContent', '', 'ServiceContent'),
  method('CurrentTime', '', 'dateTime'),
  method('HasPrivilegeOnEntities', 'entity:moref[] sessionId:string privId?:string[]', 'EntityPrivilege[]'),
  method('Login', 'userName:string password:string locale?:string', 'UserSession'),
  method('Logout', '', null),
  method('RetrievePropertiesEx', 'specSet:PropertyFilterSpec[] options:RetrieveOptions', 'RetrieveResult'),
  method('ContinueRetrievePropertiesEx', 'token:string', 'RetrieveResult'),
  method('CancelRetrievePropertiesEx', 'token:string', null),
  method('CreateContainerView', 'container:moref type?:string[] recursive:boolean', 'moref'),
  method('DestroyView', '', null),
  method('ReconfigVM_Task', 'spec:VirtualMachineConfigSpec', 'moref'),
  method('CreateVM_Task', 'config:VirtualMachineConfigSpec pool:moref host?:moref', 'moref'),
  method('Destroy_Task', '', 'moref'),
  method('CreateSnapshot_Task', 'name:string description?:string memory:boolean quiesce:boolean', 'moref'),
  method(
    'CreateSnapshotEx_Task',
    'name:string description?:string memory:boolean quiesceSpec?:VirtualMachineGuestQuiesceSpec',
    'moref',
  ),
  method('RemoveSnapshot_Task', 'removeChildren:boolean consolidate?:boolean', 'moref'),
  method('RemoveAllSnapshots_Task', 'consolidate?:boolean', 'moref'),
  method('ConsolidateVMDisks_Task', '', 'moref'),
  method('ExportSnapshot', '', 'moref'),
  method('HttpNfcLeaseProgress', 'percent:int', null),
  method('HttpNfcLeaseComplete', '', null),
  method('HttpNfcLeaseAbort', 'fault?:LocalizedMethodFault', null),
  method('RefreshStorageInfo', '', null),
  method('QueryChangedDiskAreas', 'snapshot?:moref deviceKey:int startOffset:long changeId:string', 'DiskChangeInfo'),
  method('CancelTask', '', null),
  method('CreateCollectorForEvents', 'filter:EventFilterSpec', 'moref'),
  method('ReadNextEvents', 'maxCount:int', 'Event[]'),
  method('DestroyCollector', '', null),
  method('QueryPerf', 'querySpec:PerfQuerySpec[]', 'PerfEntityMetricBase[]'),
  method('ValidateCredentialsInGuest', guestCall(), null),
  method('CreateTemporaryDirectoryInGuest', guestCall('prefix:string suffix:string directoryPath?:string'), 'string'),
  method('ChangeFileAttributesInGuest', guestCall('guestFilePath:string fileAttributes:GuestFileAttributes'), null),
  method('DeleteDirectoryInGuest', guestCall('directoryPath:string recursive:boolean'), null),
  method('DeleteFileInGuest', guestCall('filePath:string'), null),
  method(
    'ListFilesInGuest',
    guestCall('filePath:string index?:int maxResults?:int matchPattern?:string'),
    'GuestListFileInfo',
  ),
  method(
    'InitiateFileTransferToGuest',
    guestCall('guestFilePath:string fileAttributes:GuestFileAttributes fileSize:long overwrite:boolean'),
    'string',
  ),
  method('InitiateFileTransferFromGuest', guestCall('guestFilePath:string'), 'FileTransferInformation'),
  method('StartProgramInGuest', guestCall('spec:GuestProgramSpec'), 'long'),
  method('ListProcessesInGuest', guestCall('pids?:long[]'), 'GuestProcessInfo[]'),
  method('TerminateProcessInGuest', guestCall('pid:long'), null),
]

/** Every call into a guest names the VM and who asks. */
function guestCall(parameters = ''): Elements {
  return `vm:moref auth:GuestAuthentication ${parameters}`.trim()
}

const property: readonly VimType[] = [
  type('PropertyFilterSpec', 'propSet:PropertySpec[] objectSet:ObjectSpec[] reportMissingObjectsInResults?:boolean'),
  type('PropertySpec', 'type:string all?:boolean pathSet?:string[]'),
  type('ObjectSpec', 'obj:moref skip?:boolean selectSet?:SelectionSpec[]'),
  type('SelectionSpec', 'name?:string'),
  subtype('TraversalSpec', 'SelectionSpec', 'type:string path:string skip?:boolean selectSet?:SelectionSpec[]'),
  type('RetrieveOptions', 'maxObjects?:int'),
  type('RetrieveResult', 'token?:string objects:ObjectContent[]'),
  type('ObjectContent', 'obj:moref propSet?:DynamicProperty[] missingSet?:MissingProperty[]'),
  type('DynamicProperty', 'name:string val:anyType'),
  type('MissingProperty', 'path:string fault:LocalizedMethodFault'),
]

const exports: readonly VimType[] = [
  type(
    'HttpNfcLeaseInfo',
    'lease:moref entity:moref deviceUrl?:HttpNfcLeaseDeviceUrl[] totalDiskCapacityInKB:long leaseTimeout:int',
  ),
  type(
    'HttpNfcLeaseDeviceUrl',
    'key:string importKey:string url:string sslThumbprint:string disk?:boolean targetId?:string datastoreKey?:string ' +
      'fileSize?:long',
  ),
]

const faults: readonly VimType[] = [
  type('LocalizedMethodFault', 'fault:MethodFault localizedMessage?:string'),
  type('MethodFault', ''),
  subtype('NoPermission', 'MethodFault', 'object:moref privilegeId:string'),
  subtype('FileFault', 'MethodFault', 'file:string'),
  subtype('InvalidArgument', 'MethodFault', 'invalidProperty?:string'),
  subtype('ManagedObjectNotFound', 'MethodFault', 'obj:moref'),
]

const session: readonly VimType[] = [
  type(
    'ServiceContent',
    'rootFolder:moref propertyCollector:moref viewManager?:moref about:AboutInfo sessionManager?:moref ' +
      'authorizationManager?:moref perfManager?:moref eventManager?:moref taskManager?:moref searchIndex?:moref fileManager?:moref ' +
      'virtualDiskManager?:moref guestOperationsManager?:moref',
  ),
  type(
    'AboutInfo',
    'name:string fullName:string vendor:string version:string build:string osType:string productLineId:string ' +
      'apiType:string apiVersion:string instanceUuid?:string',
  ),
  type('EntityPrivilege', 'entity:moref privAvailability:PrivilegeAvailability[]'),
  type('PrivilegeAvailability', 'privId:string isGranted:boolean'),
  type('UserSession', 'key:string userName:string fullName:string loginTime:dateTime lastActiveTime:dateTime'),
  type(
    'TaskInfo',
    'key:string task:moref name?:string descriptionId:string entity?:moref entityName?:string locked?:moref[] ' +
      'state:string cancelled:boolean cancelable:boolean error?:LocalizedMethodFault result?:anyType progress?:int ' +
      'reason?:TaskReason queueTime:dateTime startTime?:dateTime completeTime?:dateTime',
  ),
  type('TaskReason', ''),
  subtype('TaskReasonSystem', 'TaskReason'),
  subtype('TaskReasonUser', 'TaskReason', 'userName:string'),
  subtype('TaskReasonAlarm', 'TaskReason', 'alarmName:string alarm:moref entityName:string entity:moref'),
  subtype('TaskReasonSchedule', 'TaskReason', 'name:string scheduledTask:moref'),
]

const performance: readonly VimType[] = [
  type('ElementDescription', 'key:string'),
  type(
    'PerfCounterInfo',
    'key:int nameInfo:ElementDescription groupInfo:ElementDescription unitInfo:ElementDescription rollupType:string',
  ),
  type('PerfMetricId', 'counterId:int instance:string'),
  type('PerfQuerySpec', 'entity:moref maxSample?:int metricId?:PerfMetricId[] intervalId?:int format?:string'),
  type('PerfEntityMetricBase', 'entity:moref'),
  subtype('PerfEntityMetric', 'PerfEntityMetricBase', 'value?:PerfMetricSeries[]'),
  type('PerfMetricSeries', 'id:PerfMetricId'),
  subtype('PerfMetricIntSeries', 'PerfMetricSeries', 'value?:long[]'),
]

const events: readonly VimType[] = [
  type('EventFilterSpec', 'time?:EventFilterSpecByTime eventTypeId?:string[]'),
  type('EventFilterSpecByTime', 'beginTime?:dateTime'),
  type('Event', 'key:int createdTime:dateTime fullFormattedMessage?:string'),
  type('EntityEventArgument', 'name:string'),
  subtype('ManagedEntityEventArgument', 'EntityEventArgument', 'entity:moref'),
  subtype('AlarmEventArgument', 'EntityEventArgument', 'alarm:moref'),
  subtype('AlarmEvent', 'Event', 'alarm:AlarmEventArgument'),
  subtype(
    'AlarmStatusChangedEvent',
    'AlarmEvent',
    'source:ManagedEntityEventArgument entity:ManagedEntityEventArgument from:string to:string',
  ),
]

const machine: readonly VimType[] = [
  type(
    'VirtualMachineConfigInfo',
    'name:string guestFullName:string version:string uuid:string instanceUuid?:string template:boolean ' +
      'guestId:string annotation?:string files:VirtualMachineFileInfo hardware:VirtualHardware ' +
      'extraConfig?:OptionValue[] bootOptions?:VirtualMachineBootOptions ftInfo?:FaultToleranceConfigInfo ' +
      'changeTrackingEnabled?:boolean firmware?:string keyId?:CryptoKeyId',
  ),
  type(
    'VirtualMachineConfigSpec',
    'name?:string version?:string uuid?:string instanceUuid?:string guestId?:string annotation?:string ' +
      'files?:VirtualMachineFileInfo numCPUs?:int numCoresPerSocket?:int memoryMB?:long ' +
      'deviceChange?:VirtualDeviceConfigSpec[] extraConfig?:OptionValue[] bootOptions?:VirtualMachineBootOptions ' +
      'changeTrackingEnabled?:boolean firmware?:string',
  ),
  type('VirtualDeviceConfigSpec', 'operation?:string fileOperation?:string device:VirtualDevice'),
  type('VirtualMachineFileInfo', 'vmPathName?:string snapshotDirectory?:string'),
  type('VirtualMachineBootOptions', 'efiSecureBootEnabled?:boolean'),
  type('FaultToleranceConfigInfo', 'role:int instanceUuids:string[] configPaths:string[] orphaned?:boolean'),
  type('VirtualHardware', 'numCPU:int numCoresPerSocket?:int memoryMB:int device?:VirtualDevice[]'),
  type('OptionValue', 'key:string value?:anyType'),
  type('CryptoKeyId', 'keyId:string'),
  type('VirtualMachineSnapshotInfo', 'currentSnapshot?:moref rootSnapshotList:VirtualMachineSnapshotTree[]'),
  type(
    'VirtualMachineSnapshotTree',
    'snapshot:moref vm:moref name:string description:string id:int createTime:dateTime state:string ' +
      'quiesced:boolean backupManifest?:string childSnapshotList?:VirtualMachineSnapshotTree[]',
  ),
  type('GuestNicInfo', 'network?:string ipAddress?:string[] macAddress?:string connected:boolean deviceConfigId:int'),
  type('VirtualMachineGuestQuiesceSpec', 'timeout?:int'),
  subtype(
    'VirtualMachineWindowsQuiesceSpec',
    'VirtualMachineGuestQuiesceSpec',
    'vssBackupType?:int vssBootableSystemState?:boolean vssPartialFileSupport?:boolean vssBackupContext?:string',
  ),
  type('DiskChangeInfo', 'startOffset:long length:long changedArea?:DiskChangeExtent[]'),
  type('DiskChangeExtent', 'start:long length:long'),
  type(
    'VirtualMachineFileLayoutEx',
    'file?:VirtualMachineFileLayoutExFileInfo[] disk?:VirtualMachineFileLayoutExDiskLayout[] ' +
      'snapshot?:VirtualMachineFileLayoutExSnapshotLayout[] timestamp:dateTime',
  ),
  type('VirtualMachineFileLayoutExDiskLayout', 'key:int chain?:VirtualMachineFileLayoutExDiskUnit[]'),
  type('VirtualMachineFileLayoutExDiskUnit', 'fileKey:int[]'),
  type(
    'VirtualMachineFileLayoutExSnapshotLayout',
    'key:moref dataKey:int memoryKey?:int disk?:VirtualMachineFileLayoutExDiskLayout[]',
  ),
  type('VirtualMachineFileLayoutExFileInfo', 'key:int name:string type:string size:long'),
  type(
    'DatastoreSummary',
    'datastore?:moref name:string url:string capacity:long freeSpace:long accessible:boolean type:string maintenanceMode?:string',
  ),
]

const device: readonly VimType[] = [
  type(
    'VirtualDevice',
    'key:int deviceInfo?:Description backing?:VirtualDeviceBackingInfo connectable?:VirtualDeviceConnectInfo ' +
      'controllerKey?:int unitNumber?:int',
  ),
  type('Description', 'label:string summary:string'),
  type('VirtualDeviceConnectInfo', 'startConnected:boolean allowGuestControl:boolean connected:boolean status?:string'),
  subtype('VirtualController', 'VirtualDevice', 'busNumber:int device?:int[]'),
  subtype(
    'VirtualSCSIController',
    'VirtualController',
    'hotAddRemove?:boolean sharedBus:string scsiCtlrUnitNumber?:int',
  ),
  subtype('ParaVirtualSCSIController', 'VirtualSCSIController'),
  subtype('VirtualLsiLogicController', 'VirtualSCSIController'),
  subtype('VirtualLsiLogicSASController', 'VirtualSCSIController'),
  subtype('VirtualBusLogicController', 'VirtualSCSIController'),
  subtype('VirtualSATAController', 'VirtualController'),
  subtype('VirtualAHCIController', 'VirtualSATAController'),
  subtype('VirtualNVMEController', 'VirtualController'),
  subtype('VirtualIDEController', 'VirtualController'),
  subtype(
    'VirtualDisk',
    'VirtualDevice',
    'capacityInKB:long capacityInBytes?:long diskObjectId?:string iofilter?:string[]',
  ),
  subtype('VirtualEthernetCard', 'VirtualDevice', 'addressType?:string macAddress?:string wakeOnLanEnabled?:boolean'),
  subtype('VirtualVmxnet', 'VirtualEthernetCard'),
  subtype('VirtualVmxnet2', 'VirtualVmxnet'),
  subtype('VirtualVmxnet3', 'VirtualVmxnet'),
  subtype('VirtualE1000', 'VirtualEthernetCard'),
  subtype('VirtualE1000e', 'VirtualEthernetCard'),
  subtype('VirtualPCNet32', 'VirtualEthernetCard'),
]

const backing: readonly VimType[] = [
  type('VirtualDeviceBackingInfo', ''),
  subtype('VirtualDeviceFileBackingInfo', 'VirtualDeviceBackingInfo', 'fileName:string datastore?:moref'),
  subtype('VirtualDeviceDeviceBackingInfo', 'VirtualDeviceBackingInfo', 'deviceName:string useAutoDetect?:boolean'),
  subtype(
    'VirtualDiskFlatVer1BackingInfo',
    'VirtualDeviceFileBackingInfo',
    'diskMode:string split?:boolean writeThrough?:boolean contentId?:string parent?:VirtualDiskFlatVer1BackingInfo',
  ),
  subtype(
    'VirtualDiskFlatVer2BackingInfo',
    'VirtualDeviceFileBackingInfo',
    'diskMode:string split?:boolean writeThrough?:boolean thinProvisioned?:boolean eagerlyScrub?:boolean ' +
      'uuid?:string contentId?:string changeId?:string parent?:VirtualDiskFlatVer2BackingInfo sharing?:string ' +
      'keyId?:CryptoKeyId',
  ),
  subtype(
    'VirtualDiskSeSparseBackingInfo',
    'VirtualDeviceFileBackingInfo',
    'diskMode:string writeThrough?:boolean uuid?:string contentId?:string changeId?:string ' +
      'parent?:VirtualDiskSeSparseBackingInfo keyId?:CryptoKeyId',
  ),
  subtype(
    'VirtualDiskSparseVer1BackingInfo',
    'VirtualDeviceFileBackingInfo',
    'diskMode:string split?:boolean writeThrough?:boolean spaceUsedInKB?:long contentId?:string ' +
      'parent?:VirtualDiskSparseVer1BackingInfo',
  ),
  subtype(
    'VirtualDiskSparseVer2BackingInfo',
    'VirtualDeviceFileBackingInfo',
    'diskMode:string split?:boolean writeThrough?:boolean spaceUsedInKB?:long uuid?:string contentId?:string ' +
      'changeId?:string parent?:VirtualDiskSparseVer2BackingInfo keyId?:CryptoKeyId',
  ),
  subtype(
    'VirtualDiskRawDiskMappingVer1BackingInfo',
    'VirtualDeviceFileBackingInfo',
    'lunUuid?:string deviceName?:string compatibilityMode?:string diskMode?:string uuid?:string contentId?:string ' +
      'changeId?:string parent?:VirtualDiskRawDiskMappingVer1BackingInfo sharing?:string',
  ),
  subtype(
    'VirtualDiskRawDiskVer2BackingInfo',
    'VirtualDeviceDeviceBackingInfo',
    'descriptorFileName:string uuid?:string changeId?:string sharing?:string',
  ),
  subtype('VirtualDiskPartitionedRawDiskVer2BackingInfo', 'VirtualDiskRawDiskVer2BackingInfo', 'partition:int[]'),
  subtype('VirtualEthernetCardNetworkBackingInfo', 'VirtualDeviceDeviceBackingInfo', 'network?:moref'),
  subtype(
    'VirtualEthernetCardDistributedVirtualPortBackingInfo',
    'VirtualDeviceBackingInfo',
    'port:DistributedVirtualSwitchPortConnection',
  ),
  subtype(
    'VirtualEthernetCardOpaqueNetworkBackingInfo',
    'VirtualDeviceBackingInfo',
    'opaqueNetworkId:string opaqueNetworkType:string',
  ),
  type('DistributedVirtualSwitchPortConnection', 'switchUuid:string portgroupKey?:string portKey?:string'),
]

const guest: readonly VimType[] = [
  type('GuestAuthentication', 'interactiveSession:boolean'),
  subtype('NamePasswordAuthentication', 'GuestAuthentication', 'username:string password:string'),
  type('GuestFileAttributes', 'modificationTime?:dateTime accessTime?:dateTime symlinkTarget?:string'),
  subtype('GuestPosixFileAttributes', 'GuestFileAttributes', 'ownerId?:int groupId?:int permissions?:long'),
  subtype(
    'GuestWindowsFileAttributes',
    'GuestFileAttributes',
    'hidden?:boolean readOnly?:boolean createTime?:dateTime',
  ),
  type('GuestFileInfo', 'path:string type:string size:long attributes:GuestFileAttributes'),
  type('GuestListFileInfo', 'files?:GuestFileInfo[] remaining:int'),
  type('FileTransferInformation', 'attributes:GuestFileAttributes size:long url:string'),
  type('GuestProgramSpec', 'programPath:string arguments:string workingDirectory?:string envVariables?:string[]'),
  subtype('GuestWindowsProgramSpec', 'GuestProgramSpec', 'startMinimized:boolean'),
  type(
    'GuestProcessInfo',
    'name:string pid:long owner:string cmdLine:string startTime:dateTime endTime?:dateTime exitCode?:int',
  ),
]

/** Values of `anyType` whose elements are many: the element has the type's name. */
const arrays: readonly VimType[] = [
  type('ArrayOfString', 'string?:string[]'),
  type('ArrayOfByte', 'byte?:byte[]'),
  type('ArrayOfManagedObjectReference', 'ManagedObjectReference?:moref[]'),
  type('ArrayOfVirtualDevice', 'VirtualDevice?:VirtualDevice[]'),
  type('ArrayOfGuestNicInfo', 'GuestNicInfo?:GuestNicInfo[]'),
  type('ArrayOfPerfCounterInfo', 'PerfCounterInfo?:PerfCounterInfo[]'),
  type('ArrayOfOptionValue', 'OptionValue?:OptionValue[]'),
  type(
    'ArrayOfVirtualMachineFileLayoutExFileInfo',
    'VirtualMachineFileLayoutExFileInfo?:VirtualMachineFileLayoutExFileInfo[]',
  ),
  type(
    'ArrayOfVirtualMachineFileLayoutExDiskLayout',
    'VirtualMachineFileLayoutExDiskLayout?:VirtualMachineFileLayoutExDiskLayout[]',
  ),
  type(
    'ArrayOfVirtualMachineFileLayoutExSnapshotLayout',
    'VirtualMachineFileLayoutExSnapshotLayout?:VirtualMachineFileLayoutExSnapshotLayout[]',
  ),
]

export const TYPES: readonly VimType[] = [
  ...property,
  ...exports,
  ...faults,
  ...session,
  ...performance,
  ...events,
  ...machine,
  ...device,
  ...backing,
  ...guest,
  ...arrays,
]
