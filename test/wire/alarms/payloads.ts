// What the sources send, as their documents and public samples have it.

/** REST notification plug-in of VMware Aria Operations, "REST Notification Plug-In": its sample body. */
export const vcfRest = `{"startDate":1369757346267,"criticality":"ALERT_CRITICALITY_LEVEL_WARNING","Risk":4.0,
 "resourceId":"sample-object-uuid","alertId":"sample-alert-uuid","status":"ACTIVE",
 "subType":"ALERT_SUBTYPE_AVAILABILITY_PROBLEM","cancelDate":1369757346267,
 "resourceKind":"sample-object-type","alertName":"Invalid IP Address for connected Leaf Switch",
 "attributeKeyID":5325,"Efficiency":1.0,"adapterKind":"sample-adapter-type","Health":1.0,
 "type":"ALERT_TYPE_APPLICATION_PROBLEM","resourceName":"sample-object-name",
 "updateDate":1369757346267,"info":"sample-info"}`

/** AlarmStatusChangedEvent in the JSON of VEBA (a public sample; AlarmInfo is put in by vsphere-alarm-server). */
export const alarmStatusChanged = `{"Key":4269111,"ChainId":4269111,"CreatedTime":"2021-06-30T13:57:22.611Z","UserName":"",
 "Datacenter":{"Name":"Primp-Datacenter","Datacenter":{"Type":"Datacenter","Value":"datacenter-3"}},
 "ComputeResource":null,"Host":null,"Vm":null,
 "Ds":{"Name":"sm-vsanDatastore","Datastore":{"Type":"Datastore","Value":"datastore-13"}},
 "Net":null,"Dvs":null,
 "FullFormattedMessage":"Alarm 'VEBA-DATASTORE-WARN' on sm-vsanDatastore changed from Gray to Yellow",
 "ChangeTag":"","Alarm":{"Name":"VEBA-DATASTORE-WARN","Alarm":{"Type":"Alarm","Value":"alarm-906"}},
 "Source":{"Name":"sm-vsanDatastore","Entity":{"Type":"Datastore","Value":"datastore-13"}},
 "Entity":{"Name":"sm-vsanDatastore","Entity":{"Type":"Datastore","Value":"datastore-13"}},
 "From":"gray","To":"yellow","AlarmInfo":{"…":"…"}}`

/** The same form about a VM, with the alarm registered at a folder: only Entity is what changed. */
export const vmAlarm = {
  Key: 51,
  ChainId: 51,
  CreatedTime: '2026-03-01T10:00:00.5Z',
  UserName: '',
  Vm: { Name: 'db-1', Vm: { Type: 'VirtualMachine', Value: 'vm-101' } },
  FullFormattedMessage: "Alarm 'Ransomware suspected' on db-1 changed from Green to Red",
  Alarm: { Name: 'Ransomware suspected', Alarm: { Type: 'Alarm', Value: 'alarm-12' } },
  Source: { Name: 'Datacenters', Entity: { Type: 'Folder', Value: 'group-d1' } },
  Entity: { Name: 'db-1', Entity: { Type: 'VirtualMachine', Value: 'vm-101' } },
  From: 'green',
  To: 'red',
}

export const ceHeaders = {
  'ce-id': 'a3f1c7de-0001',
  'ce-source': 'https://vcenter.example.com/sdk',
  'ce-specversion': '1.0',
  'ce-time': '2026-03-01T10:00:01Z',
  'ce-type': 'com.vmware.vsphere.AlarmStatusChangedEvent.v0',
  'ce-eventclass': 'event',
  'ce-vsphereapiversion': '8.0.2.0',
}

export const script = {
  source: 'vcenter-script',
  alarmName: 'Ransomware suspected',
  targetId: 'vm-101',
  targetName: 'db-1',
  from: 'Green',
  to: 'Red',
}

/** The variables of a trap as they are on the wire (a public sample of snmptrapd's output). */
export const snmp = {
  source: 'snmp',
  oldStatus: 'Gray',
  newStatus: 'Yellow',
  message: 'Mem > 80%25 - Tests - Metric Memory Host consumed % = 89%',
  objectName: 'db-1',
  objectType: '3',
}
