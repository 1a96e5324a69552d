// The faults a caller may meet, with the data they carry.
// Facts of the vSphere Web Services API reference; the notation is schema.ts's.

export const FAULT_TYPES = `
MethodFault(DynamicData) faultCause:LocalizedMethodFault? faultMessage:LocalizableMessage[]?
VimFault(MethodFault)
InvalidLogin(VimFault)
RuntimeFault(MethodFault)
SecurityError(RuntimeFault)
NoPermission(SecurityError) object:@ManagedObject privilegeId:string
NotAuthenticated(NoPermission)
InvalidArgument(RuntimeFault) invalidProperty:string?
InvalidProperty(MethodFault) name:string
ManagedObjectNotFound(RuntimeFault) obj:@ManagedObject
InvalidRequest(RuntimeFault)
MethodNotFound(InvalidRequest) receiver:@ManagedObject method:string
NotSupported(RuntimeFault)
NotImplemented(RuntimeFault)
InvalidType(InvalidRequest) argument:string?
InvalidCollectorVersion(MethodFault)
RequestCanceled(RuntimeFault)
InvalidState(VimFault)
InvalidPowerState(InvalidState) requestedState:VirtualMachinePowerState? existingState:VirtualMachinePowerState
InvalidName(VimFault) name:string entity:@ManagedEntity?
DuplicateName(VimFault) name:string object:@ManagedObject
NotFound(VimFault)
FileFault(VimFault) file:string
FileNotFound(FileFault)
FileLocked(FileFault)
FileAlreadyExists(FileFault)
CannotAccessFile(FileFault)
InvalidDatastore(VimFault) datastore:@Datastore? name:string?
InvalidDatastorePath(InvalidDatastore) datastorePath:string
NoDiskSpace(FileFault) datastore:string
VmConfigFault(VimFault)
GenericVmConfigFault(VmConfigFault) reason:string
InvalidVmConfig(VmConfigFault) property:string?
InvalidDeviceSpec(InvalidVmConfig) deviceIndex:int
InvalidDeviceBacking(InvalidDeviceSpec)
SnapshotFault(VimFault)
ApplicationQuiesceFault(SnapshotFault)
FilesystemQuiesceFault(SnapshotFault)
MemorySnapshotOnIndependentDisk(SnapshotFault)
MultipleSnapshotsNotSupported(SnapshotFault)
MigrationFault(VimFault)
SnapshotCopyNotSupported(MigrationFault)
SnapshotDisabled(SnapshotFault)
SnapshotIncompatibleDeviceInVm(SnapshotFault) fault:LocalizedMethodFault
SnapshotLocked(SnapshotFault)
SnapshotNoChange(SnapshotFault)
TooManySnapshotLevels(SnapshotFault)
TaskInProgress(VimFault) task:@Task
Timedout(VimFault)
ToolsUnavailable(VimFault)
ResourceInUse(VimFault) type:string? name:string?
InsufficientResourcesFault(VimFault)
HostCommunication(RuntimeFault)
HostNotConnected(HostCommunication)
HostNotReachable(HostCommunication)
SystemError(RuntimeFault) reason:string
UnexpectedFault(RuntimeFault) faultName:string fault:LocalizedMethodFault?
InvalidController(InvalidDeviceSpec) controllerKey:int
ConcurrentAccess(VimFault)
VAppConfigFault(VimFault)
InvalidLocale(VimFault)
NotEnoughLicenses(RuntimeFault)
RestrictedVersion(SecurityError)
OutOfBounds(VimFault) argumentName:string
LimitExceeded(VimFault) property:string? limit:int?
DeviceNotFound(InvalidDeviceSpec)
VirtualHardwareCompatibilityIssue(VmConfigFault)
DeviceNotSupported(VirtualHardwareCompatibilityIssue) device:string reason:string?
RDMNotSupported(DeviceNotSupported)
InaccessibleDatastore(InvalidDatastore) detail:string?
AlreadyExists(VimFault) name:string?
InvalidFolder(VimFault) target:@ManagedEntity
MissingController(InvalidDeviceSpec)
OperationDisallowedOnHost(RuntimeFault)
DatastoreNotWritableOnHost(InvalidDatastore) host:@HostSystem
InvalidVmState(InvalidState) vm:@VirtualMachine
MethodDisabled(RuntimeFault) source:string?
VirtualDiskModeNotSupported(DeviceNotSupported) mode:string
`
