// The data types of a virtual machine, its snapshots and its specs.
// Facts of the vSphere Web Services API reference; the notation is schema.ts's.

export const MACHINE_TYPES = `
HttpNfcLeaseInfo(DynamicData) lease:@HttpNfcLease entity:@ManagedEntity deviceUrl:HttpNfcLeaseDeviceUrl[]?
  totalDiskCapacityInKB:long leaseTimeout:int hostMap:HttpNfcLeaseDatastoreLeaseInfo[]?
HttpNfcLeaseDeviceUrl(DynamicData) key:string importKey:string url:string sslThumbprint:string disk:boolean?
  targetId:string? datastoreKey:string? fileSize:long?
HttpNfcLeaseDatastoreLeaseInfo(DynamicData) datastoreKey:string hosts:HttpNfcLeaseHostInfo[]
HttpNfcLeaseHostInfo(DynamicData) url:string sslThumbprint:string
HttpNfcLeaseManifestEntry(DynamicData) key:string sha1:string checksum:string? checksumType:string? size:long
  disk:boolean capacity:long? populatedSize:long?
HttpNfcLeaseCapabilities(DynamicData) pullModeSupported:boolean corsSupported:boolean
VirtualMachineCapability(DynamicData) snapshotOperationsSupported:boolean multipleSnapshotsSupported:boolean
  snapshotConfigSupported:boolean poweredOffSnapshotsSupported:boolean memorySnapshotsSupported:boolean
  revertToSnapshotSupported:boolean quiescedSnapshotsSupported:boolean disableSnapshotsSupported:boolean
  lockSnapshotsSupported:boolean consolePreferencesSupported:boolean cpuFeatureMaskSupported:boolean
  s1AcpiManagementSupported:boolean settingScreenResolutionSupported:boolean toolsAutoUpdateSupported:boolean
  vmNpivWwnSupported:boolean npivWwnOnNonRdmVmSupported:boolean vmNpivWwnDisableSupported:boolean
  vmNpivWwnUpdateSupported:boolean swapPlacementSupported:boolean toolsSyncTimeSupported:boolean
  virtualMmuUsageSupported:boolean diskSharesSupported:boolean bootOptionsSupported:boolean
  bootRetryOptionsSupported:boolean settingVideoRamSizeSupported:boolean settingDisplayTopologySupported:boolean
  settingDisplayTopologyModesSupported:boolean recordReplaySupported:boolean changeTrackingSupported:boolean
  multipleCoresPerSocketSupported:boolean hostBasedReplicationSupported:boolean guestAutoLockSupported:boolean
  memoryReservationLockSupported:boolean featureRequirementSupported:boolean
  poweredOnMonitorTypeChangeSupported:boolean vmfsNativeSnapshotSupported:boolean seSparseDiskSupported:boolean
  nestedHVSupported:boolean vPMCSupported:boolean toolsRebootPredictSupported:boolean? messageBusSupported:boolean
  canConnectUSBDevices:boolean? secureBootSupported:boolean? perVmEvcSupported:boolean?
  virtualMmuUsageIgnored:boolean? virtualExecUsageIgnored:boolean? diskOnlySnapshotOnSuspendedVMSupported:boolean?
VirtualMachineConfigInfo(DynamicData) changeVersion:string modified:dateTime name:string guestFullName:string
  version:string uuid:string createDate:dateTime? instanceUuid:string? npivNodeWorldWideName:long[]?
  npivPortWorldWideName:long[]? npivWorldWideNameType:string? npivDesiredNodeWwns:short? npivDesiredPortWwns:short?
  npivTemporaryDisabled:boolean? npivOnNonRdmDisks:boolean? locationId:string? template:boolean guestId:string
  alternateGuestName:string annotation:string? files:VirtualMachineFileInfo tools:ToolsConfigInfo?
  flags:VirtualMachineFlagInfo consolePreferences:VirtualMachineConsolePreferences?
  defaultPowerOps:VirtualMachineDefaultPowerOpInfo hardware:VirtualHardware cpuAllocation:ResourceAllocationInfo?
  memoryAllocation:ResourceAllocationInfo? latencySensitivity:LatencySensitivity? memoryHotAddEnabled:boolean?
  cpuHotAddEnabled:boolean? cpuHotRemoveEnabled:boolean? hotPlugMemoryLimit:long? hotPlugMemoryIncrementSize:long?
  cpuAffinity:VirtualMachineAffinityInfo? memoryAffinity:VirtualMachineAffinityInfo?
  networkShaper:VirtualMachineNetworkShaperInfo? extraConfig:OptionValue[]? cpuFeatureMask:HostCpuIdInfo[]?
  datastoreUrl:VirtualMachineConfigInfoDatastoreUrlPair[]? swapPlacement:string?
  bootOptions:VirtualMachineBootOptions? ftInfo:FaultToleranceConfigInfo? repConfig:ReplicationConfigSpec?
  vAppConfig:VmConfigInfo? vAssertsEnabled:boolean? changeTrackingEnabled:boolean? firmware:string?
  maxMksConnections:int? guestAutoLockEnabled:boolean? managedBy:ManagedByInfo? memoryReservationLockedToMax:boolean?
  initialOverhead:VirtualMachineConfigInfoOverheadInfo? nestedHVEnabled:boolean? vPMCEnabled:boolean?
  scheduledHardwareUpgradeInfo:ScheduledHardwareUpgradeInfo? forkConfigInfo:VirtualMachineForkConfigInfo?
  vFlashCacheReservation:long? vmxConfigChecksum:base64Binary? messageBusTunnelEnabled:boolean?
  vmStorageObjectId:string? swapStorageObjectId:string? keyId:CryptoKeyId?
  guestIntegrityInfo:VirtualMachineGuestIntegrityInfo? migrateEncryption:string?
VirtualMachineFileInfo(DynamicData) vmPathName:string? snapshotDirectory:string? suspendDirectory:string?
  logDirectory:string? ftMetadataDirectory:string?
ToolsConfigInfo(DynamicData) toolsVersion:int? toolsInstallType:string? afterPowerOn:boolean? afterResume:boolean?
  beforeGuestStandby:boolean? beforeGuestShutdown:boolean? beforeGuestReboot:boolean? toolsUpgradePolicy:string?
  pendingCustomization:string? customizationKeyId:CryptoKeyId? syncTimeWithHost:boolean?
  lastInstallInfo:ToolsConfigInfoToolsLastInstallInfo? upgradeRebootPredict:boolean?
VirtualMachineFlagInfo(DynamicData) disableAcceleration:boolean? enableLogging:boolean? useToe:boolean?
  runWithDebugInfo:boolean? monitorType:string? htSharing:string? snapshotDisabled:boolean? snapshotLocked:boolean?
  diskUuidEnabled:boolean? virtualMmuUsage:string? virtualExecUsage:string? snapshotPowerOffBehavior:string?
  recordReplayEnabled:boolean? faultToleranceType:string? cbrcCacheEnabled:boolean? vvtdEnabled:boolean?
  vbsEnabled:boolean?
VirtualMachineDefaultPowerOpInfo(DynamicData) powerOffType:string? suspendType:string? resetType:string?
  defaultPowerOffType:string? defaultSuspendType:string? defaultResetType:string? standbyAction:string?
VirtualHardware(DynamicData) numCPU:int numCoresPerSocket:int? memoryMB:int virtualICH7MPresent:boolean?
  virtualSMCPresent:boolean? device:VirtualDevice[]?
VirtualMachineBootOptions(DynamicData) bootDelay:long? enterBIOSSetup:boolean? efiSecureBootEnabled:boolean?
  bootRetryEnabled:boolean? bootRetryDelay:long? bootOrder:VirtualMachineBootOptionsBootableDevice[]?
  networkBootProtocol:string?
VirtualMachineBootOptionsBootableDevice(DynamicData)
VirtualMachineBootOptionsBootableDiskDevice(VirtualMachineBootOptionsBootableDevice) deviceKey:int
VirtualMachineBootOptionsBootableEthernetDevice(VirtualMachineBootOptionsBootableDevice) deviceKey:int
VirtualMachineBootOptionsBootableCdromDevice(VirtualMachineBootOptionsBootableDevice)
LatencySensitivity(DynamicData) level:LatencySensitivitySensitivityLevel sensitivity:int?
ResourceAllocationInfo(DynamicData) reservation:long? expandableReservation:boolean? limit:long? shares:SharesInfo?
  overheadLimit:long?
SharesInfo(DynamicData) shares:int level:SharesLevel
VirtualMachineConfigInfoDatastoreUrlPair(DynamicData) name:string url:string
VirtualMachineConfigInfoOverheadInfo(DynamicData) initialMemoryReservation:long? initialSwapReservation:long?
VirtualMachineRuntimeInfo(DynamicData) device:VirtualMachineDeviceRuntimeInfo[]? host:@HostSystem?
  connectionState:VirtualMachineConnectionState powerState:VirtualMachinePowerState
  faultToleranceState:VirtualMachineFaultToleranceState dasVmProtection:VirtualMachineRuntimeInfoDasProtectionState?
  toolsInstallerMounted:boolean suspendTime:dateTime? bootTime:dateTime? suspendInterval:long?
  question:VirtualMachineQuestionInfo? memoryOverhead:long? maxCpuUsage:int? maxMemoryUsage:int? numMksConnections:int
  recordReplayState:VirtualMachineRecordReplayState cleanPowerOff:boolean? needSecondaryReason:string?
  onlineStandby:boolean minRequiredEVCModeKey:string? consolidationNeeded:boolean
  offlineFeatureRequirement:VirtualMachineFeatureRequirement[]? featureRequirement:VirtualMachineFeatureRequirement[]?
  featureMask:HostFeatureMask[]? vFlashCacheAllocation:long? paused:boolean? snapshotInBackground:boolean?
  quiescedForkParent:boolean? instantCloneFrozen:boolean? cryptoState:string?
GuestInfo(DynamicData) toolsStatus:VirtualMachineToolsStatus? toolsVersionStatus:string? toolsVersionStatus2:string?
  toolsRunningStatus:string? toolsVersion:string? toolsInstallType:string?
  toolsUpdateStatus:VirtualMachineToolsUpdateStatus? guestId:string? guestFamily:string? guestFullName:string?
  hostName:string? ipAddress:string? net:GuestNicInfo[]? ipStack:GuestStackInfo[]? disk:GuestDiskInfo[]?
  screen:GuestScreenInfo? guestState:string powerPolicy:VirtualMachinePowerPolicy? appHeartbeatStatus:string?
  guestKernelCrashed:boolean? appState:string? guestOperationsReady:boolean? interactiveGuestOperationsReady:boolean?
  guestStateChangeSupported:boolean? generationInfo:GuestInfoNamespaceGenerationInfo[]?
GuestNicInfo(DynamicData) network:string? ipAddress:string[]? macAddress:string? connected:boolean deviceConfigId:int
  dnsConfig:NetDnsConfigInfo? ipConfig:NetIpConfigInfo? netBIOSConfig:NetBIOSConfigInfo?
GuestStackInfo(DynamicData) dnsConfig:NetDnsConfigInfo? ipRouteConfig:NetIpRouteConfigInfo? ipStackConfig:KeyValue[]?
  dhcpConfig:NetDhcpConfigInfo?
GuestDiskInfo(DynamicData) diskPath:string? capacity:long? freeSpace:long?
GuestScreenInfo(DynamicData) width:int height:int
NetIpConfigInfo(DynamicData) ipAddress:NetIpConfigInfoIpAddress[]? dhcp:NetDhcpConfigInfo?
  autoConfigurationEnabled:boolean?
NetIpConfigInfoIpAddress(DynamicData) ipAddress:string prefixLength:int origin:string? state:string?
  lifetime:dateTime?
NetDnsConfigInfo(DynamicData) dhcp:boolean hostName:string domainName:string ipAddress:string[]?
  searchDomain:string[]?
VirtualMachineSnapshotInfo(DynamicData) currentSnapshot:@VirtualMachineSnapshot?
  rootSnapshotList:VirtualMachineSnapshotTree[]
VirtualMachineSnapshotTree(DynamicData) snapshot:@VirtualMachineSnapshot vm:@VirtualMachine name:string
  description:string id:int createTime:dateTime state:VirtualMachinePowerState quiesced:boolean backupManifest:string?
  childSnapshotList:VirtualMachineSnapshotTree[]? replaySupported:boolean?
VirtualMachineFileLayout(DynamicData) configFile:string[]? logFile:string[]?
  disk:VirtualMachineFileLayoutDiskLayout[]? snapshot:VirtualMachineFileLayoutSnapshotLayout[]? swapFile:string?
VirtualMachineFileLayoutDiskLayout(DynamicData) key:int diskFile:string[]
VirtualMachineFileLayoutSnapshotLayout(DynamicData) key:@VirtualMachineSnapshot snapshotFile:string[]
VirtualMachineFileLayoutEx(DynamicData) file:VirtualMachineFileLayoutExFileInfo[]?
  disk:VirtualMachineFileLayoutExDiskLayout[]? snapshot:VirtualMachineFileLayoutExSnapshotLayout[]? timestamp:dateTime
VirtualMachineFileLayoutExFileInfo(DynamicData) key:int name:string type:string size:long uniqueSize:long?
  backingObjectId:string? accessible:boolean?
VirtualMachineFileLayoutExDiskLayout(DynamicData) key:int chain:VirtualMachineFileLayoutExDiskUnit[]?
VirtualMachineFileLayoutExDiskUnit(DynamicData) fileKey:int[]
VirtualMachineFileLayoutExSnapshotLayout(DynamicData) key:@VirtualMachineSnapshot dataKey:int memoryKey:int
  disk:VirtualMachineFileLayoutExDiskLayout[]?
VirtualMachineStorageInfo(DynamicData) perDatastoreUsage:VirtualMachineUsageOnDatastore[]? timestamp:dateTime
VirtualMachineUsageOnDatastore(DynamicData) datastore:@Datastore committed:long uncommitted:long unshared:long
VirtualMachineSummary(DynamicData) vm:@VirtualMachine? runtime:VirtualMachineRuntimeInfo
  guest:VirtualMachineGuestSummary? config:VirtualMachineConfigSummary storage:VirtualMachineStorageSummary?
  quickStats:VirtualMachineQuickStats overallStatus:ManagedEntityStatus customValue:CustomFieldValue[]?
VirtualMachineConfigSummary(DynamicData) name:string template:boolean vmPathName:string memorySizeMB:int?
  cpuReservation:int? memoryReservation:int? numCpu:int? numEthernetCards:int? numVirtualDisks:int? uuid:string?
  instanceUuid:string? guestId:string? guestFullName:string? annotation:string? product:VAppProductInfo?
  installBootRequired:boolean? ftInfo:FaultToleranceConfigInfo? managedBy:ManagedByInfo? tpmPresent:boolean?
  numVmiopBackings:int?
VirtualMachineGuestSummary(DynamicData) guestId:string? guestFullName:string? toolsStatus:VirtualMachineToolsStatus?
  toolsVersionStatus:string? toolsVersionStatus2:string? toolsRunningStatus:string? hostName:string? ipAddress:string?
VirtualMachineQuickStats(DynamicData) overallCpuUsage:int? overallCpuDemand:int? guestMemoryUsage:int?
  hostMemoryUsage:int? guestHeartbeatStatus:ManagedEntityStatus distributedCpuEntitlement:int?
  distributedMemoryEntitlement:int? staticCpuEntitlement:int? staticMemoryEntitlement:int? privateMemory:int?
  sharedMemory:int? swappedMemory:int? balloonedMemory:int? consumedOverheadMemory:int? ftLogBandwidth:int?
  ftSecondaryLatency:int? ftLatencyStatus:ManagedEntityStatus? compressedMemory:long? uptimeSeconds:int?
  ssdSwappedMemory:long?
VirtualMachineStorageSummary(DynamicData) committed:long uncommitted:long unshared:long timestamp:dateTime
VirtualMachineConfigSpec(DynamicData) changeVersion:string? name:string? version:string? createDate:dateTime?
  uuid:string? instanceUuid:string? npivNodeWorldWideName:long[]? npivPortWorldWideName:long[]?
  npivWorldWideNameType:string? npivDesiredNodeWwns:short? npivDesiredPortWwns:short? npivTemporaryDisabled:boolean?
  npivOnNonRdmDisks:boolean? npivWorldWideNameOp:string? locationId:string? guestId:string? alternateGuestName:string?
  annotation:string? files:VirtualMachineFileInfo? tools:ToolsConfigInfo? flags:VirtualMachineFlagInfo?
  consolePreferences:VirtualMachineConsolePreferences? powerOpInfo:VirtualMachineDefaultPowerOpInfo? numCPUs:int?
  numCoresPerSocket:int? memoryMB:long? memoryHotAddEnabled:boolean? cpuHotAddEnabled:boolean?
  cpuHotRemoveEnabled:boolean? virtualICH7MPresent:boolean? virtualSMCPresent:boolean?
  deviceChange:VirtualDeviceConfigSpec[]? cpuAllocation:ResourceAllocationInfo?
  memoryAllocation:ResourceAllocationInfo? latencySensitivity:LatencySensitivity?
  cpuAffinity:VirtualMachineAffinityInfo? memoryAffinity:VirtualMachineAffinityInfo?
  networkShaper:VirtualMachineNetworkShaperInfo? cpuFeatureMask:VirtualMachineCpuIdInfoSpec[]?
  extraConfig:OptionValue[]? swapPlacement:string? bootOptions:VirtualMachineBootOptions? vAppConfig:VmConfigSpec?
  ftInfo:FaultToleranceConfigInfo? repConfig:ReplicationConfigSpec? vAppConfigRemoved:boolean?
  vAssertsEnabled:boolean? changeTrackingEnabled:boolean? firmware:string? maxMksConnections:int?
  guestAutoLockEnabled:boolean? managedBy:ManagedByInfo? memoryReservationLockedToMax:boolean?
  nestedHVEnabled:boolean? vPMCEnabled:boolean? scheduledHardwareUpgradeInfo:ScheduledHardwareUpgradeInfo?
  vmProfile:VirtualMachineProfileSpec[]? messageBusTunnelEnabled:boolean? crypto:CryptoSpec? migrateEncryption:string?
VirtualDeviceConfigSpec(DynamicData) operation:VirtualDeviceConfigSpecOperation?
  fileOperation:VirtualDeviceConfigSpecFileOperation? device:VirtualDevice profile:VirtualMachineProfileSpec[]?
  backing:VirtualDeviceConfigSpecBackingSpec?
VirtualMachineProfileSpec(DynamicData)
VirtualMachineDefinedProfileSpec(VirtualMachineProfileSpec) profileId:string replicationSpec:ReplicationSpec?
  profileData:VirtualMachineProfileRawData? profileParams:KeyValue[]?
VirtualMachineEmptyProfileSpec(VirtualMachineProfileSpec)
VirtualMachineDefaultProfileSpec(VirtualMachineProfileSpec)
VirtualMachineGuestQuiesceSpec(DynamicData) timeout:int?
VirtualMachineWindowsQuiesceSpec(VirtualMachineGuestQuiesceSpec) vssBackupType:int? vssBootableSystemState:boolean?
  vssPartialFileSupport:boolean? vssBackupContext:string?
VirtualMachineRelocateSpec(DynamicData) service:ServiceLocator? folder:@Folder? datastore:@Datastore?
  diskMoveType:string? pool:@ResourcePool? host:@HostSystem? disk:VirtualMachineRelocateSpecDiskLocator[]?
  transform:VirtualMachineRelocateTransformation? deviceChange:VirtualDeviceConfigSpec[]?
  profile:VirtualMachineProfileSpec[]? cryptoSpec:CryptoSpec?
VirtualMachineRelocateSpecDiskLocator(DynamicData) diskId:int datastore:@Datastore diskMoveType:string?
  diskBackingInfo:VirtualDeviceBackingInfo? profile:VirtualMachineProfileSpec[]?
DiskChangeInfo(DynamicData) startOffset:long length:long changedArea:DiskChangeExtent[]?
DiskChangeExtent(DynamicData) start:long length:long
ResourceConfigSpec(DynamicData) entity:@ManagedEntity? changeVersion:string? lastModified:dateTime?
  cpuAllocation:ResourceAllocationInfo memoryAllocation:ResourceAllocationInfo
  networkBandwidthAllocation:NetworkBandwidthAllocationInfo[]?
`
