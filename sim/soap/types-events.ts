// The data types of events: those of alarms, and what events are asked for by.
// Facts of the vSphere Web Services API reference; the notation is schema.ts's.

export const EVENT_TYPES = `
EventArgument(DynamicData)
EntityEventArgument(EventArgument) name:string
ManagedEntityEventArgument(EntityEventArgument) entity:@ManagedEntity
DatacenterEventArgument(EntityEventArgument) datacenter:@Datacenter
ComputeResourceEventArgument(EntityEventArgument) computeResource:@ComputeResource
HostEventArgument(EntityEventArgument) host:@HostSystem
VmEventArgument(EntityEventArgument) vm:@VirtualMachine
DatastoreEventArgument(EntityEventArgument) datastore:@Datastore
NetworkEventArgument(EntityEventArgument) network:@Network
DvsEventArgument(EntityEventArgument) dvs:@DistributedVirtualSwitch
AlarmEventArgument(EntityEventArgument) alarm:@Alarm
Event(DynamicData) key:int chainId:int createdTime:dateTime userName:string datacenter:DatacenterEventArgument?
  computeResource:ComputeResourceEventArgument? host:HostEventArgument? vm:VmEventArgument? ds:DatastoreEventArgument?
  net:NetworkEventArgument? dvs:DvsEventArgument? fullFormattedMessage:string? changeTag:string?
AlarmEvent(Event) alarm:AlarmEventArgument
AlarmStatusChangedEvent(AlarmEvent) source:ManagedEntityEventArgument entity:ManagedEntityEventArgument from:string
  to:string
EventFilterSpecByEntity(DynamicData) entity:@ManagedEntity recursion:EventFilterSpecRecursionOption
EventFilterSpecByTime(DynamicData) beginTime:dateTime? endTime:dateTime?
EventFilterSpecByUsername(DynamicData) systemUser:boolean userList:string[]?
EventFilterSpec(DynamicData) entity:EventFilterSpecByEntity? time:EventFilterSpecByTime?
  userName:EventFilterSpecByUsername? eventChainId:int? alarm:@Alarm? scheduledTask:@ScheduledTask?
  disableFullMessage:boolean? category:string[]? type:string[]? tag:string[]? eventTypeId:string[]? maxCount:int?
`
