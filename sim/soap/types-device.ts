// The data types of virtual devices and their backings.
// Facts of the vSphere Web Services API reference; the notation is schema.ts's.

export const DEVICE_TYPES = `
VirtualDevice(DynamicData) key:int deviceInfo:Description? backing:VirtualDeviceBackingInfo?
  connectable:VirtualDeviceConnectInfo? slotInfo:VirtualDeviceBusSlotInfo? controllerKey:int? unitNumber:int?
VirtualDeviceBackingInfo(DynamicData)
VirtualDeviceConnectInfo(DynamicData) migrateConnect:string? startConnected:boolean allowGuestControl:boolean
  connected:boolean status:string?
VirtualDeviceBusSlotInfo(DynamicData)
VirtualDevicePciBusSlotInfo(VirtualDeviceBusSlotInfo) pciSlotNumber:int
VirtualDeviceFileBackingInfo(VirtualDeviceBackingInfo) fileName:string datastore:@Datastore? backingObjectId:string?
VirtualDeviceDeviceBackingInfo(VirtualDeviceBackingInfo) deviceName:string useAutoDetect:boolean?
VirtualDeviceRemoteDeviceBackingInfo(VirtualDeviceBackingInfo) deviceName:string useAutoDetect:boolean?
VirtualDisk(VirtualDevice) capacityInKB:long capacityInBytes:long? shares:SharesInfo?
  storageIOAllocation:StorageIOAllocationInfo? diskObjectId:string?
  vFlashCacheConfigInfo:VirtualDiskVFlashCacheConfigInfo? iofilter:string[]? vDiskId:string?
  nativeUnmanagedLinkedClone:boolean?
VirtualDiskFlatVer2BackingInfo(VirtualDeviceFileBackingInfo) diskMode:string split:boolean? writeThrough:boolean?
  thinProvisioned:boolean? eagerlyScrub:boolean? uuid:string? contentId:string? changeId:string?
  parent:VirtualDiskFlatVer2BackingInfo? deltaDiskFormat:string? digestEnabled:boolean? deltaGrainSize:int?
  deltaDiskFormatVariant:string? sharing:string? keyId:CryptoKeyId?
VirtualDiskRawDiskMappingVer1BackingInfo(VirtualDeviceFileBackingInfo) lunUuid:string? deviceName:string?
  compatibilityMode:string? diskMode:string? uuid:string? contentId:string? changeId:string?
  parent:VirtualDiskRawDiskMappingVer1BackingInfo? deltaDiskFormat:string? deltaGrainSize:int? sharing:string?
VirtualDiskSeSparseBackingInfo(VirtualDeviceFileBackingInfo) diskMode:string writeThrough:boolean? uuid:string?
  contentId:string? changeId:string? parent:VirtualDiskSeSparseBackingInfo? deltaDiskFormat:string?
  digestEnabled:boolean? grainSize:int? keyId:CryptoKeyId?
VirtualDiskSparseVer2BackingInfo(VirtualDeviceFileBackingInfo) diskMode:string split:boolean? writeThrough:boolean?
  spaceUsedInKB:long? uuid:string? contentId:string? changeId:string? parent:VirtualDiskSparseVer2BackingInfo?
  keyId:CryptoKeyId?
StorageIOAllocationInfo(DynamicData) limit:long? shares:SharesInfo? reservation:int?
CryptoKeyId(DynamicData) keyId:string providerId:KeyProviderId?
KeyProviderId(DynamicData) id:string
VirtualController(VirtualDevice) busNumber:int device:int[]?
VirtualSCSIController(VirtualController) hotAddRemove:boolean? sharedBus:VirtualSCSISharing scsiCtlrUnitNumber:int?
ParaVirtualSCSIController(VirtualSCSIController)
VirtualLsiLogicController(VirtualSCSIController)
VirtualLsiLogicSASController(VirtualSCSIController)
VirtualBusLogicController(VirtualSCSIController)
VirtualSATAController(VirtualController)
VirtualAHCIController(VirtualSATAController)
VirtualIDEController(VirtualController)
VirtualPCIController(VirtualController)
VirtualPS2Controller(VirtualController)
VirtualSIOController(VirtualController)
VirtualNVMEController(VirtualController)
VirtualEthernetCard(VirtualDevice) addressType:string? macAddress:string? wakeOnLanEnabled:boolean?
  resourceAllocation:VirtualEthernetCardResourceAllocation? externalId:string? uptCompatibilityEnabled:boolean?
VirtualVmxnet(VirtualEthernetCard)
VirtualVmxnet3(VirtualVmxnet)
VirtualE1000(VirtualEthernetCard)
VirtualE1000e(VirtualEthernetCard)
VirtualEthernetCardNetworkBackingInfo(VirtualDeviceDeviceBackingInfo) network:@Network? inPassthroughMode:boolean?
VirtualEthernetCardDistributedVirtualPortBackingInfo(VirtualDeviceBackingInfo)
  port:DistributedVirtualSwitchPortConnection
DistributedVirtualSwitchPortConnection(DynamicData) switchUuid:string portgroupKey:string? portKey:string?
  connectionCookie:int?
VirtualCdrom(VirtualDevice)
VirtualCdromRemotePassthroughBackingInfo(VirtualDeviceRemoteDeviceBackingInfo) exclusive:boolean
VirtualCdromIsoBackingInfo(VirtualDeviceFileBackingInfo)
VirtualCdromAtapiBackingInfo(VirtualDeviceDeviceBackingInfo) description:string?
VirtualKeyboard(VirtualDevice)
VirtualPointingDevice(VirtualDevice)
VirtualPointingDeviceDeviceBackingInfo(VirtualDeviceDeviceBackingInfo) hostPointingDevice:string
VirtualMachineVideoCard(VirtualDevice) videoRamSizeInKB:long? numDisplays:int? useAutoDetect:boolean?
  enable3DSupport:boolean? use3dRenderer:string? graphicsMemorySizeInKB:long?
VirtualMachineVMCIDevice(VirtualDevice) id:long? allowUnrestrictedCommunication:boolean? filterEnable:boolean?
  filterInfo:VirtualMachineVMCIDeviceFilterInfo?
VirtualFloppy(VirtualDevice)
VirtualSerialPort(VirtualDevice) yieldOnPoll:boolean
VirtualTPM(VirtualDevice) endorsementKeyCertificateSigningRequest:base64Binary[]?
  endorsementKeyCertificate:base64Binary[]?
VirtualUSBController(VirtualController) autoConnectDevices:boolean? ehciEnabled:boolean?
VirtualUSBXHCIController(VirtualController) autoConnectDevices:boolean?
`
