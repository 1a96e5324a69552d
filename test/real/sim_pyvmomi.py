# One backup's vSphere calls by pyVmomi against the simulated vCenter. Prints one JSON document of what it saw.
# Usage: sim_pyvmomi.py PORT USER PASSWORD
import json
import ssl
import sys
from pyVim.connect import SmartConnect, Disconnect
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl

PORT, USER, PASSWORD = int(sys.argv[1]), sys.argv[2], sys.argv[3]
CONTEXT = ssl._create_unverified_context()
seen = {}


def connect(password):
    return SmartConnect(host='127.0.0.1', port=PORT, user=USER, pwd=password, sslContext=CONTEXT)


def disks(config):
    return [d for d in config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk)]


def changed(machine, snapshot, disk, since):
    start, areas = 0, []
    while start < disk.capacityInBytes:
        reply = machine.QueryChangedDiskAreas(snapshot, disk.key, start, since)
        areas += [[a.start, a.length] for a in reply.changedArea]
        start = reply.startOffset + reply.length
    return areas


try:
    connect('wrong')
except vim.fault.InvalidLogin as fault:
    seen['wrongPassword'] = type(fault).__name__

instance = connect(PASSWORD)
content = instance.RetrieveContent()
view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
seen['names'] = sorted(machine.name for machine in view.view)
machine = [m for m in view.view if m.name == 'app-01'][0]

WaitForTask(machine.ReconfigVM_Task(vim.vm.ConfigSpec(changeTrackingEnabled=True)))
seen['changeTracking'] = machine.config.changeTrackingEnabled
snapshots = []
for name in ('stun', 'first', 'second'):
    task = machine.CreateSnapshot_Task(name, 'test', False, False)
    WaitForTask(task)
    seen['taskEntity'] = task.info.entity == machine
    snapshots.append(task.info.result)
quiesced = vim.vm.WindowsQuiesceSpec(timeout=5, vssBackupContext='ctx_auto', vssBootableSystemState=True)
task = machine.CreateSnapshotEx_Task('quiesced', None, False, quiesced)
WaitForTask(task)
snapshots.append(task.info.result)

first, second = snapshots[1], snapshots[2]
disk = disks(first.config)[0]
seen['snapshotFiles'] = [disks(s.config)[0].backing.fileName for s in snapshots]
seen['changeIds'] = [disks(s.config)[0].backing.changeId for s in snapshots]
seen['full'] = changed(machine, first, disk, '*')
seen['incremental'] = changed(machine, second, disks(second.config)[0], disk.backing.changeId)
try:
    machine.QueryChangedDiskAreas(second, disk.key, 0, '52 de ad be ef 00 00 00-00 00 00 00 00 00 00 01/1')
except vim.fault.FileFault as fault:
    seen['bogusChangeId'] = type(fault).__name__
try:
    machine.QueryChangedDiskAreas(second, disk.key, disk.capacityInBytes, '*')
except vmodl.fault.InvalidArgument as fault:
    seen['atCapacity'] = fault.invalidProperty

tree = machine.snapshot.rootSnapshotList
names = []
while tree:
    names.append(tree[0].name)
    tree = tree[0].childSnapshotList
seen['tree'] = names
WaitForTask(snapshots[3].RemoveSnapshot_Task(False))
WaitForTask(machine.RemoveAllSnapshots_Task())
seen['snapshotsLeft'] = machine.snapshot is not None
seen['consolidationNeeded'] = machine.runtime.consolidationNeeded
try:
    print(first.config.name)
except vmodl.fault.ManagedObjectNotFound as fault:
    seen['goneSnapshot'] = type(fault).__name__

seen['found'] = content.searchIndex.FindByUuid(None, machine.config.instanceUuid, True, True) == machine
seen['user'] = content.sessionManager.currentSession.userName
checks = content.authorizationManager.HasPrivilegeOnEntities(
    [machine], content.sessionManager.currentSession.key, ['VirtualMachine.State.CreateSnapshot', 'No.Such.Thing'])
seen['privileges'] = [p.isGranted for p in checks[0].privAvailability]
Disconnect(instance)
try:
    print(machine.name)
except vim.fault.NotAuthenticated as fault:
    seen['afterLogout'] = type(fault).__name__
except vmodl.fault.SecurityError as fault:
    seen['afterLogout'] = type(fault).__name__
print(json.dumps(seen))
