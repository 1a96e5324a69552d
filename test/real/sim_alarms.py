# Events of alarms by pyVmomi. Prints one JSON document of what it saw.
# Usage: sim_alarms.py PORT USER PASSWORD read | post
#   read: of the simulated vCenter, which has raised some.   post: has a vcsim say that alarms changed, of its VMs.
import json
import ssl
import sys
from datetime import timedelta
from pyVim.connect import SmartConnect, Disconnect
from pyVmomi import vim, vmodl

PORT, USER, PASSWORD, WHAT = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
instance = SmartConnect(host='127.0.0.1', port=PORT, user=USER, pwd=PASSWORD, sslContext=ssl._create_unverified_context())
content = instance.RetrieveContent()
events = content.eventManager
view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True).view
seen = {}

if WHAT == 'post':
    alarm = vim.event.AlarmEventArgument(name='Ransomware suspected', alarm=vim.alarm.Alarm('alarm-12', instance._stub))
    root = vim.event.ManagedEntityEventArgument(name='Datacenters', entity=content.rootFolder)
    for vm, (old, new) in zip(view, [('green', 'red'), ('red', 'green'), ('gray', 'yellow')]):
        entity = vim.event.ManagedEntityEventArgument(name=vm.name, entity=vm)
        events.PostEvent(vim.event.AlarmStatusChangedEvent(
            key=0, chainId=0, createdTime=instance.CurrentTime(), userName='', alarm=alarm, source=root, entity=entity,
            **{'from': old, 'to': new}))
    events.PostEvent(vim.event.GeneralUserEvent(
        key=0, chainId=0, createdTime=instance.CurrentTime(), userName='', message='not of an alarm'))
    seen['vms'] = [vm.name for vm in view][:3]
else:
    kind = ['AlarmStatusChangedEvent']
    collector = events.CreateCollectorForEvents(vim.event.EventFilterSpec(eventTypeId=kind))
    pages = []
    while True:
        page = collector.ReadNextEvents(2)
        if not page:
            break
        pages.append([e.key for e in page])
    seen['pages'] = [len(page) for page in pages]
    keys = [key for page in pages for key in page]
    seen['ascending'] = keys == sorted(set(keys))
    collector.RewindCollector()
    first = collector.ReadNextEvents(1)[0]
    seen['first'] = [first.alarm.name, first.entity.name, first.entity.entity._GetMoId() == first.vm.vm._GetMoId(),
                     getattr(first, 'from'), first.to, first.source.name, first.fullFormattedMessage]
    collector.ResetCollector()
    seen['back'] = [e.key for e in collector.ReadPreviousEvents(2)] == keys[:-3:-1]
    later = vim.event.EventFilterSpec.ByTime(beginTime=first.createdTime + timedelta(hours=1))
    seen['later'] = len(events.QueryEvents(vim.event.EventFilterSpec(eventTypeId=kind, time=later)))
    since = vim.event.EventFilterSpec.ByTime(beginTime=first.createdTime)
    seen['since'] = len(events.QueryEvents(vim.event.EventFilterSpec(eventTypeId=kind, time=since)))
    seen['other'] = len(events.QueryEvents(vim.event.EventFilterSpec(eventTypeId=['VmPoweredOnEvent'])))
    collector.DestroyCollector()
    try:
        collector.ReadNextEvents(1)
    except vmodl.fault.ManagedObjectNotFound as fault:
        seen['gone'] = type(fault).__name__
Disconnect(instance)
print(json.dumps(seen))
