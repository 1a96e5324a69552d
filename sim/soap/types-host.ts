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
ClusterConfigInfoEx(ComputeResourceConfigInfo) dasConfig:ClusterDasConfigInfo dasVmConfig:ClusterDasVmConfigInfo[]?
  drsConfig:ClusterDrsConfigInfo drsVmConfig:ClusterDrsVmConfigInfo[]? rule:ClusterRuleInfo[]?
  orchestration:ClusterOrchestrationInfo? vmOrchestration:ClusterVmOrchestrationInfo[]?
  dpmConfigInfo:ClusterDpmConfigInfo? dpmHostConfig:ClusterDpmHostConfigInfo[]? vsanConfigInfo:VsanClusterConfigInfo?
  vsanHostConfig:VsanHostConfigInfo[]? group:ClusterGroupInfo[]? infraUpdateHaConfig:ClusterInfraUpdateHaConfigInfo?
  proactiveDrsConfig:ClusterProactiveDrsConfigInfo?
ResourcePoolSummary(DynamicData) name:string config:ResourceConfigSpec runtime:ResourcePoolRuntimeInfo
  quickStats:ResourcePoolQuickStats? configuredMemoryMB:int?
ResourcePoolRuntimeInfo(DynamicData) memory:ResourcePoolResourceUsage cpu:ResourcePoolResourceUsage
  overallStatus:ManagedEntityStatus
ResourcePoolResourceUsage(DynamicData) reservationUsed:long reservationUsedForVm:long unreservedForPool:long
  unreservedForVm:long overallUsage:long maxUsage:long
ResourcePoolQuickStats(DynamicData) overallCpuUsage:long? overallCpuDemand:long? guestMemoryUsage:long?
  hostMemoryUsage:long? distributedCpuEntitlement:long? distributedMemoryEntitlement:long? staticCpuEntitlement:int?
  staticMemoryEntitlement:int? privateMemory:long? sharedMemory:long? swappedMemory:long? balloonedMemory:long?
  overheadMemory:long? consumedOverheadMemory:long? compressedMemory:long?
HostListSummary(DynamicData) host:@HostSystem? hardware:HostHardwareSummary? runtime:HostRuntimeInfo?
  config:HostConfigSummary quickStats:HostListSummaryQuickStats overallStatus:ManagedEntityStatus
  rebootRequired:boolean customValue:CustomFieldValue[]? managementServerIp:string? maxEVCModeKey:string?
  currentEVCModeKey:string? gateway:HostListSummaryGatewaySummary? tpmAttestation:HostTpmAttestationInfo?
HostListSummaryQuickStats(DynamicData) overallCpuUsage:int? overallMemoryUsage:int? distributedCpuFairness:int?
  distributedMemoryFairness:int? availablePMemCapacity:int? uptime:int?
HostHardwareSummary(DynamicData) vendor:string model:string uuid:string
  otherIdentifyingInfo:HostSystemIdentificationInfo[]? memorySize:long cpuModel:string cpuMhz:int numCpuPkgs:short
  numCpuCores:short numCpuThreads:short numNics:int numHBAs:int
HostConfigSummary(DynamicData) name:string port:int sslThumbprint:string? product:AboutInfo? vmotionEnabled:boolean
  faultToleranceEnabled:boolean featureVersion:HostFeatureVersionInfo[]? agentVmDatastore:@Datastore?
  agentVmNetwork:@Network?
HostRuntimeInfo(DynamicData) connectionState:HostSystemConnectionState powerState:HostSystemPowerState
  standbyMode:string? inMaintenanceMode:boolean inQuarantineMode:boolean? bootTime:dateTime?
  healthSystemRuntime:HealthSystemRuntime? dasHostState:ClusterDasFdmHostState? tpmPcrValues:HostTpmDigestInfo[]?
  cpuCapacityForVm:long? memoryCapacityForVm:long? vsanRuntimeInfo:VsanHostRuntimeInfo?
  networkRuntimeInfo:HostRuntimeInfoNetworkRuntimeInfo?
  vFlashResourceRuntimeInfo:HostVFlashManagerVFlashResourceRunTimeInfo? hostMaxVirtualDiskCapacity:long?
  cryptoState:string? cryptoKeyId:CryptoKeyId?
HostHardwareInfo(DynamicData) systemInfo:HostSystemInfo cpuPowerManagementInfo:HostCpuPowerManagementInfo?
  cpuInfo:HostCpuInfo cpuPkg:HostCpuPackage[] memorySize:long numaInfo:HostNumaInfo? smcPresent:boolean
  pciDevice:HostPciDevice[]? cpuFeature:HostCpuIdInfo[]? biosInfo:HostBIOSInfo?
  reliableMemoryInfo:HostReliableMemoryInfo? persistentMemoryInfo:HostPersistentMemoryInfo?
HostSystemInfo(DynamicData) vendor:string model:string uuid:string
  otherIdentifyingInfo:HostSystemIdentificationInfo[]? serialNumber:string?
HostSystemIdentificationInfo(DynamicData) identifierValue:string identifierType:ElementDescription
HostCpuInfo(DynamicData) numCpuPackages:short numCpuCores:short numCpuThreads:short hz:long
HostCpuIdInfo(DynamicData) level:int vendor:string? eax:string? ebx:string? ecx:string? edx:string?
HostNumaInfo(DynamicData) type:string numNodes:int numaNode:HostNumaNode[]?
HostCpuPackage(DynamicData) index:short vendor:string hz:long busHz:long description:string threadId:short[]
  cpuFeature:HostCpuIdInfo[]?
HostConfigInfo(DynamicData) host:@HostSystem product:AboutInfo deploymentInfo:HostDeploymentInfo?
  hyperThread:HostHyperThreadScheduleInfo? consoleReservation:ServiceConsoleReservationInfo?
  virtualMachineReservation:VirtualMachineMemoryReservationInfo? storageDevice:HostStorageDeviceInfo?
  multipathState:HostMultipathStateInfo? fileSystemVolume:HostFileSystemVolumeInfo? systemFile:string[]?
  network:HostNetworkInfo? vmotion:HostVMotionInfo? virtualNicManagerInfo:HostVirtualNicManagerInfo?
  capabilities:HostNetCapabilities? datastoreCapabilities:HostDatastoreSystemCapabilities?
  offloadCapabilities:HostNetOffloadCapabilities? service:HostServiceInfo? firewall:HostFirewallInfo?
  autoStart:HostAutoStartManagerConfig? activeDiagnosticPartition:HostDiagnosticPartition? option:OptionValue[]?
  optionDef:OptionDef[]? datastorePrincipal:string? localSwapDatastore:@Datastore?
  systemSwapConfiguration:HostSystemSwapConfiguration? systemResources:HostSystemResourceInfo?
  dateTimeInfo:HostDateTimeInfo? flags:HostFlagInfo? adminDisabled:boolean? lockdownMode:HostLockdownMode?
  ipmi:HostIpmiInfo? sslThumbprintInfo:HostSslThumbprintInfo? sslThumbprintData:HostSslThumbprintInfo[]?
  certificate:byte[]? pciPassthruInfo:HostPciPassthruInfo[]? authenticationManagerInfo:HostAuthenticationManagerInfo?
  featureVersion:HostFeatureVersionInfo[]? powerSystemCapability:PowerSystemCapability?
  powerSystemInfo:PowerSystemInfo? cacheConfigurationInfo:HostCacheConfigurationInfo[]? wakeOnLanCapable:boolean?
  featureCapability:HostFeatureCapability[]? maskedFeatureCapability:HostFeatureCapability[]?
  vFlashConfigInfo:HostVFlashManagerVFlashConfigInfo? vsanHostConfig:VsanHostConfigInfo? domainList:string[]?
  scriptCheckSum:base64Binary? hostConfigCheckSum:base64Binary? graphicsInfo:HostGraphicsInfo[]?
  sharedPassthruGpuTypes:string[]? graphicsConfig:HostGraphicsConfig?
  sharedGpuCapabilities:HostSharedGpuCapabilities[]? ioFilterInfo:HostIoFilterInfo[]?
  sriovDevicePool:HostSriovDevicePoolInfo[]?
HostNetworkInfo(DynamicData) vswitch:HostVirtualSwitch[]? proxySwitch:HostProxySwitch[]? portgroup:HostPortGroup[]?
  pnic:PhysicalNic[]? vnic:HostVirtualNic[]? consoleVnic:HostVirtualNic[]? dnsConfig:HostDnsConfig?
  ipRouteConfig:HostIpRouteConfig? consoleIpRouteConfig:HostIpRouteConfig? routeTableInfo:HostIpRouteTableInfo?
  dhcp:HostDhcpService[]? nat:HostNatService[]? ipV6Enabled:boolean? atBootIpV6Enabled:boolean?
  netStackInstance:HostNetStackInstance[]? opaqueSwitch:HostOpaqueSwitch[]? opaqueNetwork:HostOpaqueNetworkInfo[]?
HostVirtualNic(DynamicData) device:string key:string portgroup:string spec:HostVirtualNicSpec port:Link?
HostVirtualNicSpec(DynamicData) ip:HostIpConfig? mac:string?
  distributedVirtualPort:DistributedVirtualSwitchPortConnection? portgroup:string? mtu:int? tsoEnabled:boolean?
  netStackInstanceKey:string? opaqueNetwork:HostVirtualNicOpaqueNetworkSpec? externalId:string? pinnedPnic:string?
  ipRouteSpec:HostVirtualNicIpRouteSpec?
HostIpConfig(DynamicData) dhcp:boolean ipAddress:string? subnetMask:string?
  ipV6Config:HostIpConfigIpV6AddressConfiguration?
HostDnsConfig(DynamicData) dhcp:boolean virtualNicDevice:string? ipv6VirtualNicDevice:string? hostName:string
  domainName:string address:string[]? searchDomain:string[]?
PhysicalNic(DynamicData) key:string? device:string pci:string driver:string? linkSpeed:PhysicalNicLinkInfo?
  validLinkSpecification:PhysicalNicLinkInfo[]? spec:PhysicalNicSpec wakeOnLanSupported:boolean mac:string
  fcoeConfiguration:FcoeConfig? vmDirectPathGen2Supported:boolean? vmDirectPathGen2SupportedMode:string?
  resourcePoolSchedulerAllowed:boolean? resourcePoolSchedulerDisallowedReason:string[]?
  autoNegotiateSupported:boolean? enhancedNetworkingStackSupported:boolean?
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
HostLicensableResourceInfo(DynamicData) resource:KeyAnyValue[]
HostConfigManager(DynamicData) cpuScheduler:@HostCpuSchedulerSystem? datastoreSystem:@HostDatastoreSystem?
  memoryManager:@HostMemorySystem? storageSystem:@HostStorageSystem? networkSystem:@HostNetworkSystem?
  vmotionSystem:@HostVMotionSystem? virtualNicManager:@HostVirtualNicManager? serviceSystem:@HostServiceSystem?
  firewallSystem:@HostFirewallSystem? advancedOption:@OptionManager? diagnosticSystem:@HostDiagnosticSystem?
  autoStartManager:@HostAutoStartManager? snmpSystem:@HostSnmpSystem? dateTimeSystem:@HostDateTimeSystem?
  patchManager:@HostPatchManager? hostUpdateProxyManager:@HostHostUpdateProxyManager?
  imageConfigManager:@HostImageConfigManager? bootDeviceSystem:@HostBootDeviceSystem?
  firmwareSystem:@HostFirmwareSystem? healthStatusSystem:@HostHealthStatusSystem?
  pciPassthruSystem:@HostPciPassthruSystem? licenseManager:@LicenseManager?
  kernelModuleSystem:@HostKernelModuleSystem? authenticationManager:@HostAuthenticationManager?
  powerSystem:@HostPowerSystem? cacheConfigurationManager:@HostCacheConfigurationManager?
  esxAgentHostManager:@HostEsxAgentHostManager? iscsiManager:@IscsiManager? vFlashManager:@HostVFlashManager?
  vsanSystem:@HostVsanSystem? messageBusProxy:@MessageBusProxy? userDirectory:@UserDirectory?
  accountManager:@HostLocalAccountManager? hostAccessManager:@HostAccessManager? graphicsManager:@HostGraphicsManager?
  vsanInternalSystem:@HostVsanInternalSystem? certificateManager:@HostCertificateManager?
  cryptoManager:@CryptoManager? nvdimmSystem:@HostNvdimmSystem?
NetworkSummary(DynamicData) network:@Network? name:string accessible:boolean ipPoolName:string ipPoolId:int?
DatacenterConfigInfo(DynamicData) defaultHardwareVersionKey:string?
`
