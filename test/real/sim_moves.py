# A machine that moves, grows and is stripped of its snapshots, by pyVmomi against the simulated vCenter. Prints one JSON document.
# Usage: sim_moves.py PORT USER PASSWORD
import json
import ssl
import sys
from pyVim.connect import SmartConnect, Disconnect
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl

PORT, USER, PASSWORD = int(sys.argv[1]), sys.argv[2], sys.argv[3]
seen = {}
instance = SmartConnect(host='127.0.0.1', port=PORT, user=USER, pwd=PASSWORD, sslContext=ssl._create_unverified_context())
content = instance.RetrieveContent()


def named(kind, name):
    view = content.viewManager.CreateContainerView(content.rootFolder, [kind], True)
    return [each for each in view.view if each.name == name][0]


def disks(config):
    return [d for d in config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk)]


machine = named(vim.VirtualMachine, 'app-01')
WaitForTask(machine.CreateSnapshot_Task('mine', 'test', False, False))
snapshot = machine.snapshot.currentSnapshot
before = machine.runtime.host
other = [host for host in named(vim.ClusterComputeResource, 'cluster-1').host if host != before][0]
WaitForTask(machine.RelocateVM_Task(vim.vm.RelocateSpec(host=other)))
seen['otherHost'] = machine.runtime.host == other and machine.config.files.vmPathName
WaitForTask(machine.RelocateVM_Task(vim.vm.RelocateSpec(datastore=named(vim.Datastore, 'ds2'))))
seen['moved'] = [machine.config.files.vmPathName, disks(snapshot.config)[0].backing.fileName,
                 disks(machine.config)[0].backing.fileName, disks(machine.config)[0].backing.datastore.name]
try:
    machine.RelocateVM_Task(vim.vm.RelocateSpec(transform='flat'))
except vmodl.fault.NotSupported as fault:
    seen['transform'] = type(fault).__name__


def grow(factor):
    disk = disks(machine.config)[0]
    disk.capacityInBytes = disk.capacityInBytes * factor
    disk.capacityInKB = disk.capacityInBytes // 1024
    change = vim.vm.device.VirtualDeviceSpec(operation='edit', device=disk)
    WaitForTask(machine.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))
    return disks(machine.config)[0].capacityInBytes


try:
    grow(2)
except vim.fault.GenericVmConfigFault as fault:
    seen['underSnapshot'] = type(fault).__name__
WaitForTask(machine.RemoveAllSnapshots_Task())
seen['snapshots'] = machine.snapshot is not None
seen['grown'] = grow(2)
try:
    print(snapshot.config.name)
except vmodl.fault.ManagedObjectNotFound as fault:
    seen['gone'] = type(fault).__name__
Disconnect(instance)
print(json.dumps(seen))
