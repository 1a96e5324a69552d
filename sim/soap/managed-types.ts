// The managed object types: their properties, and the methods that are simulated with the privilege each needs.
// Facts of the vSphere Web Services API reference; the notation is schema.ts's.

export const MANAGED_TYPES = `
ManagedObject()
  .Fetch(prop:string) anyType System.Anonymous
ExtensibleManagedObject(ManagedObject) value:CustomFieldValue[]? availableField:CustomFieldDef[]?
ManagedEntity(ExtensibleManagedObject) parent:@ManagedEntity? customValue:CustomFieldValue[]?
  overallStatus:ManagedEntityStatus configStatus:ManagedEntityStatus configIssue:Event[]? effectiveRole:int[]?
  permission:Permission[]? name:string disabledMethod:string[]? recentTask:@Task[]? declaredAlarmState:AlarmState[]?
  triggeredAlarmState:AlarmState[]? alarmActionsEnabled:boolean? tag:Tag[]?
  .Rename_Task(newName:string) @Task -
  .Destroy_Task() @Task -
ServiceInstance(ManagedObject) serverClock:dateTime capability:Capability content:ServiceContent
  .CurrentTime() dateTime System.View
  .RetrieveServiceContent() ServiceContent System.Anonymous
SessionManager(ManagedObject) sessionList:UserSession[]? currentSession:UserSession? message:string?
  messageLocaleList:string[]? supportedLocaleList:string[]? defaultLocale:string
  .Login(userName:string password:string locale:string?) UserSession System.Anonymous
  .Logout() void System.View
  .TerminateSession(sessionId:string[]) void Sessions.TerminateSession
  .SessionIsActive(sessionID:string userName:string) boolean Sessions.ValidateSession
PropertyCollector(ManagedObject) filter:@PropertyFilter[]?
  .CreateFilter(spec:PropertyFilterSpec partialUpdates:boolean) @PropertyFilter System.View
  .RetrieveProperties(specSet:PropertyFilterSpec[]) ObjectContent[]? System.Anonymous
  .CheckForUpdates(version:string?) UpdateSet? System.View
  .WaitForUpdates(version:string?) UpdateSet System.View
  .CancelWaitForUpdates() void System.View
  .WaitForUpdatesEx(version:string? options:WaitOptions?) UpdateSet? System.View
  .RetrievePropertiesEx(specSet:PropertyFilterSpec[] options:RetrieveOptions) RetrieveResult? System.Anonymous
  .ContinueRetrievePropertiesEx(token:string) RetrieveResult? System.Anonymous
  .CancelRetrievePropertiesEx(token:string) void System.Anonymous
  .CreatePropertyCollector() @PropertyCollector System.View
  .DestroyPropertyCollector() void System.View
PropertyFilter(ManagedObject) spec:PropertyFilterSpec partialUpdates:boolean
  .DestroyPropertyFilter() void -
ViewManager(ManagedObject) viewList:@View[]?
  .CreateContainerView(container:@ManagedEntity type:string[]? recursive:boolean) @ContainerView System.View
ManagedObjectView(View) view:@ManagedObject[]?
View(ManagedObject)
  .DestroyView() void System.View
ContainerView(ManagedObjectView) container:@ManagedEntity type:string[]? recursive:boolean
SearchIndex(ManagedObject)
  .FindByUuid(datacenter:@Datacenter? uuid:string vmSearch:boolean instanceUuid:boolean?) @ManagedEntity? System.View
  .FindByDatastorePath(datacenter:@Datacenter path:string) @VirtualMachine? System.View
  .FindByDnsName(datacenter:@Datacenter? dnsName:string vmSearch:boolean) @ManagedEntity? System.View
  .FindByIp(datacenter:@Datacenter? ip:string vmSearch:boolean) @ManagedEntity? System.View
  .FindByInventoryPath(inventoryPath:string) @ManagedEntity? System.View
  .FindChild(entity:@ManagedEntity name:string) @ManagedEntity? System.View
  .FindAllByUuid(datacenter:@Datacenter? uuid:string vmSearch:boolean instanceUuid:boolean?) @ManagedEntity[]?
    System.View
AuthorizationManager(ManagedObject) privilegeList:AuthorizationPrivilege[]? roleList:AuthorizationRole[]?
  description:AuthorizationDescription
  .HasPrivilegeOnEntity(entity:@ManagedEntity sessionId:string privId:string[]?) boolean[] System.View
  .HasPrivilegeOnEntities(entity:@ManagedEntity[] sessionId:string privId:string[]?) EntityPrivilege[] System.View
  .HasUserPrivilegeOnEntities(entities:@ManagedObject[] userName:string privId:string[]?) EntityPrivilege[] -
PerformanceManager(ManagedObject) description:PerformanceDescription historicalInterval:PerfInterval[]?
  perfCounter:PerfCounterInfo[]?
  .QueryPerf(querySpec:PerfQuerySpec[]) PerfEntityMetricBase[]? System.View
  .QueryPerfProviderSummary(entity:@ManagedObject) PerfProviderSummary System.View
EventManager(ManagedObject) description:EventDescription latestEvent:Event? maxCollector:int
  .QueryEvents(filter:EventFilterSpec) Event[]? System.View
  .CreateCollectorForEvents(filter:EventFilterSpec) @EventHistoryCollector System.View
HistoryCollector(ManagedObject) filter:anyType
  .SetCollectorPageSize(maxCount:int) void System.View
  .RewindCollector() void System.View
  .ResetCollector() void System.View
  .DestroyCollector() void System.View
EventHistoryCollector(HistoryCollector) latestPage:Event[]?
  .ReadNextEvents(maxCount:int) Event[]? System.View
  .ReadPreviousEvents(maxCount:int) Event[]? System.View
TaskManager(ManagedObject) recentTask:@Task[]? description:TaskDescription maxCollector:int
Task(ExtensibleManagedObject) info:TaskInfo
  .CancelTask() void -
Folder(ManagedEntity) childType:string[]? childEntity:@ManagedEntity[]?
  .CreateFolder(name:string) @Folder Folder.Create
  .CreateVM_Task(config:VirtualMachineConfigSpec pool:@ResourcePool host:@HostSystem?) @Task
    VirtualMachine.Inventory.Create
Datacenter(ManagedEntity) vmFolder:@Folder hostFolder:@Folder datastoreFolder:@Folder networkFolder:@Folder
  datastore:@Datastore[]? network:@Network[]? configuration:DatacenterConfigInfo
ComputeResource(ManagedEntity) resourcePool:@ResourcePool? host:@HostSystem[]? datastore:@Datastore[]?
  network:@Network[]? summary:ComputeResourceSummary environmentBrowser:@EnvironmentBrowser?
  configurationEx:ComputeResourceConfigInfo
ClusterComputeResource(ComputeResource) configuration:ClusterConfigInfo recommendation:ClusterRecommendation[]?
  drsRecommendation:ClusterDrsRecommendation[]? hciConfig:ClusterComputeResourceHCIConfigInfo?
  migrationHistory:ClusterDrsMigration[]? actionHistory:ClusterActionHistory[]? drsFault:ClusterDrsFaults[]?
HostSystem(ManagedEntity) runtime:HostRuntimeInfo summary:HostListSummary hardware:HostHardwareInfo?
  capability:HostCapability? licensableResource:HostLicensableResourceInfo
  remediationState:HostSystemRemediationState? precheckRemediationResult:ApplyHostProfileConfigurationSpec?
  remediationResult:ApplyHostProfileConfigurationResult? complianceCheckState:HostSystemComplianceCheckState?
  complianceCheckResult:ComplianceResult? configManager:HostConfigManager config:HostConfigInfo? vm:@VirtualMachine[]?
  datastore:@Datastore[]? network:@Network[]? datastoreBrowser:@HostDatastoreBrowser
  systemResources:HostSystemResourceInfo? answerFileValidationState:AnswerFileStatusResult?
  answerFileValidationResult:AnswerFileStatusResult?
ResourcePool(ManagedEntity) summary:ResourcePoolSummary runtime:ResourcePoolRuntimeInfo owner:@ComputeResource
  resourcePool:@ResourcePool[]? vm:@VirtualMachine[]? config:ResourceConfigSpec
  childConfiguration:ResourceConfigSpec[]?
Datastore(ManagedEntity) info:DatastoreInfo summary:DatastoreSummary host:DatastoreHostMount[]? vm:@VirtualMachine[]?
  browser:@HostDatastoreBrowser capability:DatastoreCapability iormConfiguration:StorageIORMInfo?
  .RefreshDatastore() void System.Read
Network(ManagedEntity) summary:NetworkSummary host:@HostSystem[]? vm:@VirtualMachine[]?
VirtualMachine(ManagedEntity) capability:VirtualMachineCapability config:VirtualMachineConfigInfo?
  layout:VirtualMachineFileLayout? layoutEx:VirtualMachineFileLayoutEx? storage:VirtualMachineStorageInfo?
  environmentBrowser:@EnvironmentBrowser resourcePool:@ResourcePool? parentVApp:@ManagedEntity?
  resourceConfig:ResourceConfigSpec? runtime:VirtualMachineRuntimeInfo guest:GuestInfo? summary:VirtualMachineSummary
  datastore:@Datastore[]? network:@Network[]? snapshot:VirtualMachineSnapshotInfo?
  rootSnapshot:@VirtualMachineSnapshot[]? guestHeartbeatStatus:ManagedEntityStatus
  .RefreshStorageInfo() void System.Read
  .CreateSnapshot_Task(name:string description:string? memory:boolean quiesce:boolean) @Task
    VirtualMachine.State.CreateSnapshot
  .CreateSnapshotEx_Task(name:string description:string? memory:boolean quiesceSpec:VirtualMachineGuestQuiesceSpec?)
    @Task VirtualMachine.State.CreateSnapshot
  .RevertToCurrentSnapshot_Task(host:@HostSystem? suppressPowerOn:boolean?) @Task
    VirtualMachine.State.RevertToSnapshot
  .RemoveAllSnapshots_Task(consolidate:boolean?) @Task VirtualMachine.State.RemoveSnapshot
  .ConsolidateVMDisks_Task() @Task VirtualMachine.State.RemoveSnapshot
  .ReconfigVM_Task(spec:VirtualMachineConfigSpec) @Task -
  .RelocateVM_Task(spec:VirtualMachineRelocateSpec priority:VirtualMachineMovePriority?) @Task -
  .PowerOnVM_Task(host:@HostSystem?) @Task VirtualMachine.Interact.PowerOn
  .PowerOffVM_Task() @Task VirtualMachine.Interact.PowerOff
  .ShutdownGuest() void VirtualMachine.Interact.PowerOff
  .UnregisterVM() void VirtualMachine.Inventory.Unregister
  .ExportVm() @HttpNfcLease VApp.Export
  .QueryChangedDiskAreas(snapshot:@VirtualMachineSnapshot? deviceKey:int startOffset:long changeId:string)
    DiskChangeInfo VirtualMachine.Provisioning.DiskRandomRead
HostDatastoreBrowser(ManagedObject) datastore:@Datastore[]?
EnvironmentBrowser(ManagedObject)
VirtualMachineSnapshot(ExtensibleManagedObject) config:VirtualMachineConfigInfo
  childSnapshot:@VirtualMachineSnapshot[]? vm:@VirtualMachine
  .RevertToSnapshot_Task(host:@HostSystem? suppressPowerOn:boolean?) @Task VirtualMachine.State.RevertToSnapshot
  .RemoveSnapshot_Task(removeChildren:boolean consolidate:boolean?) @Task VirtualMachine.State.RemoveSnapshot
  .ExportSnapshot() @HttpNfcLease VApp.Export
HttpNfcLease(ManagedObject) initializeProgress:int transferProgress:int mode:string
  capabilities:HttpNfcLeaseCapabilities info:HttpNfcLeaseInfo? state:HttpNfcLeaseState error:LocalizedMethodFault?
  .HttpNfcLeaseGetManifest() HttpNfcLeaseManifestEntry[]? -
  .HttpNfcLeaseComplete() void -
  .HttpNfcLeaseAbort(fault:LocalizedMethodFault?) void -
  .HttpNfcLeaseProgress(percent:int) void -
GuestOperationsManager(ManagedObject) authManager:@GuestAuthManager? fileManager:@GuestFileManager?
  processManager:@GuestProcessManager? guestWindowsRegistryManager:@GuestWindowsRegistryManager?
  aliasManager:@GuestAliasManager?
GuestAuthManager(ManagedObject)
  .ValidateCredentialsInGuest(vm:@VirtualMachine auth:GuestAuthentication) void -
GuestFileManager(ManagedObject)
  .MakeDirectoryInGuest(vm:@VirtualMachine auth:GuestAuthentication directoryPath:string
    createParentDirectories:boolean) void -
  .DeleteFileInGuest(vm:@VirtualMachine auth:GuestAuthentication filePath:string) void -
  .DeleteDirectoryInGuest(vm:@VirtualMachine auth:GuestAuthentication directoryPath:string recursive:boolean) void -
  .MoveDirectoryInGuest(vm:@VirtualMachine auth:GuestAuthentication srcDirectoryPath:string dstDirectoryPath:string)
    void -
  .MoveFileInGuest(vm:@VirtualMachine auth:GuestAuthentication srcFilePath:string dstFilePath:string overwrite:boolean)
    void -
  .CreateTemporaryFileInGuest(vm:@VirtualMachine auth:GuestAuthentication prefix:string suffix:string
    directoryPath:string?) string -
  .CreateTemporaryDirectoryInGuest(vm:@VirtualMachine auth:GuestAuthentication prefix:string suffix:string
    directoryPath:string?) string -
  .ListFilesInGuest(vm:@VirtualMachine auth:GuestAuthentication filePath:string index:int? maxResults:int?
    matchPattern:string?) GuestListFileInfo -
  .ChangeFileAttributesInGuest(vm:@VirtualMachine auth:GuestAuthentication guestFilePath:string
    fileAttributes:GuestFileAttributes) void -
  .InitiateFileTransferFromGuest(vm:@VirtualMachine auth:GuestAuthentication guestFilePath:string)
    FileTransferInformation -
  .InitiateFileTransferToGuest(vm:@VirtualMachine auth:GuestAuthentication guestFilePath:string
    fileAttributes:GuestFileAttributes fileSize:long overwrite:boolean) string -
GuestProcessManager(ManagedObject)
  .StartProgramInGuest(vm:@VirtualMachine auth:GuestAuthentication spec:GuestProgramSpec) long -
  .ListProcessesInGuest(vm:@VirtualMachine auth:GuestAuthentication pids:long[]?) GuestProcessInfo[] -
  .TerminateProcessInGuest(vm:@VirtualMachine auth:GuestAuthentication pid:long) void -
  .ReadEnvironmentVariableInGuest(vm:@VirtualMachine auth:GuestAuthentication names:string[]?) string[]? -
`
