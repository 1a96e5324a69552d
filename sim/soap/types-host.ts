// The data types of clusters, hosts, pools, datastores and networks; what no simulated object has is left out.
// Facts of the vSphere Web Services API reference; the notation is schema.ts's.

export const HOST_TYPES = `
ComputeResourceSummary(DynamicData) totalCpu:int totalMemory:long numCpuCores:short numCpuThreads:short
  effectiveCpu:int effectiveMemory:long numHosts:int numEffectiveHosts:int overallStatus:ManagedEntityStatus
ClusterComputeResourceSummary(ComputeResourceSummary) currentFailoverLevel:int
  admissionControlInfo:ClusterDasAdmissionControlInfo? numVmotions:int targetBalance:int? currentBalance:int?
  usageSummary:ClusterUsageSummary? currentEVCModeKey:string? dasData:ClusterDasData?
ClusterConfigInfo(DynamicData) dasConfig:ClusterDasConfigInfo dasVmConfig:ClusterDasVmConfigInfo[]?
  drsConfig:ClusterDrsConfigInfo drsVmConfig:ClusterDrsVmConfigInfo[]? rule:ClusterRuleInfo[]?
ClusterDasConfigInfo(DynamicData) enabled:boolean? vmMonitoring:string? hostMonitoring:string?
  vmComponentProtecting:string? failoverLevel:int? admissionControlPolicy:ClusterDasAdmissionControlPolicy?
  admissionControlEnabled:boolean? defaultVmSettings:ClusterDasVmSettings? option:OptionValue[]?
  heartbeatDatastore:@Datastore[]? hBDatastoreCandidatePolicy:string?
ClusterDrsConfigInfo(DynamicData) enabled:boolean? enableVmBehaviorOverrides:boolean? defaultVmBehavior:DrsBehavior?
  vmotionRate:int? option:OptionValue[]?
ComputeResourceConfigInfo(DynamicData) vmSwapPlacement:string spbmEnabled:boolean? defaultHardwareVersionKey:string?
ClusterConfigInfoEx(ComputeResourceConfigInfo) dasConfig:ClusterDasConfigInfo drsConfig:ClusterDrsConfigInfo
ResourcePoolSummary(DynamicData) name:string config:ResourceConfigSpec runtime:ResourcePoolRuntimeInfo
  quickStats:ResourcePoolQuickStats? configuredMemoryMB:int?
ResourcePoolRuntimeInfo(DynamicData) memory:ResourcePoolResourceUsage cpu:ResourcePoolResourceUsage
  overallStatus:ManagedEntityStatus
ResourcePoolResourceUsage(DynamicData) reservationUsed:long reservationUsedForVm:long unreservedForPool:long
  unreservedForVm:long overallUsage:long maxUsage:long
ResourcePoolQuickStats(DynamicData) overallCpuUsage:long?
HostListSummary(DynamicData) host:@HostSystem? hardware:HostHardwareSummary? runtime:HostRuntimeInfo?
  config:HostConfigSummary quickStats:HostListSummaryQuickStats overallStatus:ManagedEntityStatus
  rebootRequired:boolean
HostListSummaryQuickStats(DynamicData) overallCpuUsage:int? overallMemoryUsage:int? distributedCpuFairness:int?
  distributedMemoryFairness:int? availablePMemCapacity:int? uptime:int?
HostHardwareSummary(DynamicData) vendor:string model:string uuid:string
  otherIdentifyingInfo:HostSystemIdentificationInfo[]? memorySize:long cpuModel:string cpuMhz:int numCpuPkgs:short
  numCpuCores:short numCpuThreads:short numNics:int numHBAs:int
HostConfigSummary(DynamicData) name:string port:int sslThumbprint:string? product:AboutInfo? vmotionEnabled:boolean
  faultToleranceEnabled:boolean
HostRuntimeInfo(DynamicData) connectionState:HostSystemConnectionState powerState:HostSystemPowerState
  inMaintenanceMode:boolean bootTime:dateTime?
HostHardwareInfo(DynamicData) systemInfo:HostSystemInfo cpuInfo:HostCpuInfo cpuPkg:HostCpuPackage[] memorySize:long
HostSystemInfo(DynamicData) vendor:string model:string uuid:string
  otherIdentifyingInfo:HostSystemIdentificationInfo[]? serialNumber:string?
HostSystemIdentificationInfo(DynamicData) identifierValue:string identifierType:ElementDescription
HostCpuInfo(DynamicData) numCpuPackages:short numCpuCores:short numCpuThreads:short hz:long
HostCpuIdInfo(DynamicData) level:int vendor:string? eax:string? ebx:string? ecx:string? edx:string?
HostCpuPackage(DynamicData) index:short vendor:string hz:long busHz:long description:string threadId:short[]
  cpuFeature:HostCpuIdInfo[]?
HostConfigInfo(DynamicData) host:@HostSystem product:AboutInfo hyperThread:HostHyperThreadScheduleInfo?
  network:HostNetworkInfo? vmotion:HostVMotionInfo? datastoreCapabilities:HostDatastoreSystemCapabilities?
HostNetworkInfo(DynamicData) pnic:PhysicalNic[]? vnic:HostVirtualNic[]? dnsConfig:HostDnsConfig?
HostVirtualNic(DynamicData) device:string key:string portgroup:string spec:HostVirtualNicSpec port:Link?
HostVirtualNicSpec(DynamicData) ip:HostIpConfig? mac:string? portgroup:string? mtu:int?
HostIpConfig(DynamicData) dhcp:boolean ipAddress:string? subnetMask:string?
  ipV6Config:HostIpConfigIpV6AddressConfiguration?
HostDnsConfig(DynamicData) dhcp:boolean virtualNicDevice:string? ipv6VirtualNicDevice:string? hostName:string
  domainName:string address:string[]? searchDomain:string[]?
PhysicalNic(DynamicData) key:string? device:string pci:string driver:string? linkSpeed:PhysicalNicLinkInfo?
  spec:PhysicalNicSpec wakeOnLanSupported:boolean mac:string
PhysicalNicLinkInfo(DynamicData) speedMb:int duplex:boolean
PhysicalNicSpec(DynamicData) ip:HostIpConfig? linkSpeed:PhysicalNicLinkInfo? enableEnhancedNetworkingStack:boolean?
HostHyperThreadScheduleInfo(DynamicData) available:boolean active:boolean config:boolean
HostVMotionInfo(DynamicData) netConfig:HostVMotionNetConfig? ipConfig:HostIpConfig?
HostDatastoreSystemCapabilities(DynamicData) nfsMountCreationRequired:boolean nfsMountCreationSupported:boolean
  localDatastoreSupported:boolean vmfsExtentExpansionSupported:boolean
DatastoreSummary(DynamicData) datastore:@Datastore? name:string url:string capacity:long freeSpace:long
  uncommitted:long? accessible:boolean multipleHostAccess:boolean? type:string maintenanceMode:string?
DatastoreInfo(DynamicData) name:string url:string freeSpace:long maxFileSize:long maxVirtualDiskCapacity:long?
  maxMemoryFileSize:long timestamp:dateTime? containerId:string? aliasOf:string?
VmfsDatastoreInfo(DatastoreInfo) maxPhysicalRDMFileSize:long maxVirtualRDMFileSize:long vmfs:HostVmfsVolume?
  lun:VmfsDatastoreInfoScsiLunInfo[]?
NasDatastoreInfo(DatastoreInfo) nas:HostNasVolume?
HostNasVolume(HostFileSystemVolume) remoteHost:string remotePath:string userName:string? remoteHostNames:string[]?
  securityType:string? protocolEndpoint:boolean?
HostVmfsVolume(HostFileSystemVolume) blockSizeMb:int blockSize:int? unmapGranularity:int? unmapPriority:string?
  unmapBandwidthSpec:VmfsUnmapBandwidthSpec? maxBlocks:int majorVersion:int version:string uuid:string
  extent:HostScsiDiskPartition[] vmfsUpgradable:boolean forceMountedInfo:HostForceMountedInfo? ssd:boolean?
  local:boolean? scsiDiskType:string?
HostFileSystemVolume(DynamicData) type:string name:string capacity:long
HostScsiDiskPartition(DynamicData) diskName:string partition:int
DatastoreCapability(DynamicData) directoryHierarchySupported:boolean rawDiskMappingsSupported:boolean
  perFileThinProvisioningSupported:boolean storageIORMSupported:boolean nativeSnapshotSupported:boolean
  topLevelDirectoryCreateSupported:boolean? seSparseSupported:boolean? vmfsSparseSupported:boolean?
  vsanSparseSupported:boolean? upitSupported:boolean? vmdkExpandSupported:boolean?
DatastoreHostMount(DynamicData) key:@HostSystem mountInfo:HostMountInfo
HostMountInfo(DynamicData) path:string? accessMode:string mounted:boolean? accessible:boolean?
  inaccessibleReason:string?
NetworkSummary(DynamicData) network:@Network? name:string accessible:boolean ipPoolName:string ipPoolId:int?
DatacenterConfigInfo(DynamicData) defaultHardwareVersionKey:string?
`
