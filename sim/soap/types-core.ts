// The data types of sessions, the property collector, tasks and authorization.
// Facts of the vSphere Web Services API reference; the notation is schema.ts's.

export const CORE_TYPES = `
AboutInfo(DynamicData) name:string fullName:string vendor:string version:string build:string localeVersion:string?
  localeBuild:string? osType:string productLineId:string apiType:string apiVersion:string instanceUuid:string?
  licenseProductName:string? licenseProductVersion:string?
ServiceContent(DynamicData) rootFolder:@Folder propertyCollector:@PropertyCollector viewManager:@ViewManager?
  about:AboutInfo setting:@OptionManager? userDirectory:@UserDirectory? sessionManager:@SessionManager?
  authorizationManager:@AuthorizationManager? serviceManager:@ServiceManager? perfManager:@PerformanceManager?
  scheduledTaskManager:@ScheduledTaskManager? alarmManager:@AlarmManager? eventManager:@EventManager?
  taskManager:@TaskManager? extensionManager:@ExtensionManager? customizationSpecManager:@CustomizationSpecManager?
  customFieldsManager:@CustomFieldsManager? accountManager:@HostLocalAccountManager?
  diagnosticManager:@DiagnosticManager? licenseManager:@LicenseManager? searchIndex:@SearchIndex?
  fileManager:@FileManager? datastoreNamespaceManager:@DatastoreNamespaceManager?
  virtualDiskManager:@VirtualDiskManager? virtualizationManager:@VirtualizationManager? snmpSystem:@HostSnmpSystem?
  vmProvisioningChecker:@VirtualMachineProvisioningChecker?
  vmCompatibilityChecker:@VirtualMachineCompatibilityChecker? ovfManager:@OvfManager? ipPoolManager:@IpPoolManager?
  dvSwitchManager:@DistributedVirtualSwitchManager? hostProfileManager:@HostProfileManager?
  clusterProfileManager:@ClusterProfileManager? complianceManager:@ProfileComplianceManager?
  localizationManager:@LocalizationManager? storageResourceManager:@StorageResourceManager?
  guestOperationsManager:@GuestOperationsManager? overheadMemoryManager:@OverheadMemoryManager?
  certificateManager:@CertificateManager? ioFilterManager:@IoFilterManager?
  vStorageObjectManager:@VStorageObjectManagerBase? hostSpecManager:@HostSpecificationManager?
  cryptoManager:@CryptoManager? healthUpdateManager:@HealthUpdateManager?
  failoverClusterConfigurator:@FailoverClusterConfigurator? failoverClusterManager:@FailoverClusterManager?
Capability(DynamicData) provisioningSupported:boolean multiHostSupported:boolean userShellAccessSupported:boolean
  supportedEVCMode:EVCMode[]? networkBackupAndRestoreSupported:boolean? ftDrsWithoutEvcSupported:boolean?
  hciWorkflowSupported:boolean?
UserSession(DynamicData) key:string userName:string fullName:string loginTime:dateTime lastActiveTime:dateTime
  locale:string messageLocale:string extensionSession:boolean ipAddress:string userAgent:string callCount:long
Description(DynamicData) label:string summary:string
ElementDescription(Description) key:string
TypeDescription(Description) key:string
KeyValue(DynamicData) key:string value:string
KeyAnyValue(DynamicData) key:string value:anyType
LocalizableMessage(DynamicData) key:string arg:KeyAnyValue[]? message:string?
LocalizedMethodFault(DynamicData) fault:MethodFault localizedMessage:string?
OptionValue(DynamicData) key:string value:anyType?
ObjectSpec(DynamicData) obj:@ManagedObject skip:boolean? selectSet:SelectionSpec[]?
PropertySpec(DynamicData) type:string all:boolean? pathSet:string[]?
SelectionSpec(DynamicData) name:string?
TraversalSpec(SelectionSpec) type:string path:string skip:boolean? selectSet:SelectionSpec[]?
PropertyFilterSpec(DynamicData) propSet:PropertySpec[] objectSet:ObjectSpec[] reportMissingObjectsInResults:boolean?
ObjectContent(DynamicData) obj:@ManagedObject propSet:DynamicProperty[]? missingSet:MissingProperty[]?
DynamicProperty(DynamicData) name:string val:anyType
MissingProperty(DynamicData) path:string fault:LocalizedMethodFault
RetrieveOptions(DynamicData) maxObjects:int?
RetrieveResult(DynamicData) token:string? objects:ObjectContent[]
WaitOptions(DynamicData) maxWaitSeconds:int? maxObjectUpdates:int?
UpdateSet(DynamicData) version:string filterSet:PropertyFilterUpdate[]? truncated:boolean?
PropertyFilterUpdate(DynamicData) filter:@PropertyFilter objectSet:ObjectUpdate[]? missingSet:MissingObject[]?
ObjectUpdate(DynamicData) kind:ObjectUpdateKind obj:@ManagedObject changeSet:PropertyChange[]?
  missingSet:MissingProperty[]?
PropertyChange(DynamicData) name:string op:PropertyChangeOp val:anyType?
MissingObject(DynamicData) obj:@ManagedObject fault:LocalizedMethodFault
TaskInfo(DynamicData) key:string task:@Task description:LocalizableMessage? name:string? descriptionId:string
  entity:@ManagedEntity? entityName:string? locked:@ManagedEntity[]? state:TaskInfoState cancelled:boolean
  cancelable:boolean error:LocalizedMethodFault? result:anyType? progress:int? reason:TaskReason queueTime:dateTime
  startTime:dateTime? completeTime:dateTime? eventChainId:int changeTag:string? parentTaskKey:string?
  rootTaskKey:string? activationId:string?
TaskReason(DynamicData)
TaskReasonUser(TaskReason) userName:string
TaskDescription(DynamicData) methodInfo:ElementDescription[] state:ElementDescription[] reason:TypeDescription[]
AuthorizationPrivilege(DynamicData) privId:string onParent:boolean name:string privGroupName:string
AuthorizationRole(DynamicData) roleId:int system:boolean name:string info:Description privilege:string[]?
AuthorizationDescription(DynamicData) privilege:ElementDescription[] privilegeGroup:ElementDescription[]
EntityPrivilege(DynamicData) entity:@ManagedEntity privAvailability:PrivilegeAvailability[]
PrivilegeAvailability(DynamicData) privId:string isGranted:boolean
Tag(DynamicData) key:string
CustomFieldValue(DynamicData) key:int
ManagedByInfo(DynamicData) extensionKey:string type:string
`
