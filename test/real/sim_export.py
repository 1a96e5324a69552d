# Downloads every disk of a snapshot of a machine through an HttpNfcLease, as pyVmomi's users do.
# Usage: sim_export.py PORT USER PASSWORD MACHINE FOLDER; prints {"disks": {deviceKey: file}, ...}
import json
import os
import ssl
import sys
import time
import urllib.request
import hashlib
from pyVim.connect import SmartConnect, Disconnect
from pyVim.task import WaitForTask
from pyVmomi import vim

PORT, USER, PASSWORD, NAME, FOLDER = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5]
CONTEXT = ssl._create_unverified_context()
instance = SmartConnect(host='127.0.0.1', port=PORT, user=USER, pwd=PASSWORD, sslContext=CONTEXT)
content = instance.RetrieveContent()
view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
machine = [m for m in view.view if m.name == NAME][0]
seen = {}
try:
    machine.ExportVm()
    seen['running'] = 'exported'
except vim.fault.InvalidPowerState:
    seen['running'] = 'InvalidPowerState'
task = machine.CreateSnapshot_Task('export', '', False, False)
WaitForTask(task)
snapshot = task.info.result
lease = snapshot.ExportSnapshot()
states = []
while lease.state == vim.HttpNfcLease.State.initializing:
    states.append(str(lease.state))
    time.sleep(0.02)
seen['state'] = str(lease.state)
seen['timeout'] = lease.info.leaseTimeout
seen['notDisks'] = [u.targetId for u in lease.info.deviceUrl if not u.disk]
controllers = {d.key: d for d in snapshot.config.hardware.device}
disks = {}
for device in snapshot.config.hardware.device:
    if not isinstance(device, vim.vm.device.VirtualDisk):
        continue
    controller = controllers[device.controllerKey]
    suffix = '%s%d:%d' % (type(controller).__name__.split('.')[-1], controller.busNumber, device.unitNumber)
    [url] = [u for u in lease.info.deviceUrl if u.disk and u.key.endswith('/' + suffix)]
    path = os.path.join(FOLDER, url.targetId)
    address = url.url.replace('*', '127.0.0.1:%d' % PORT)
    with urllib.request.urlopen(address, context=CONTEXT) as reply, open(path, 'wb') as out:
        out.write(reply.read())
    lease.Progress(50)
    disks[device.key] = {'path': path, 'sha1': hashlib.sha1(open(path, 'rb').read()).hexdigest(),
                         'size': os.path.getsize(path)}
manifest = {e.size: e.sha1 for e in lease.GetManifest()}
seen['manifest'] = all(manifest.get(d['size']) == d['sha1'] for d in disks.values())
lease.Complete()
seen['after'] = str(lease.state)
try:
    lease.Progress(60)
    seen['progressAfter'] = 'taken'
except vim.fault.InvalidState:
    seen['progressAfter'] = 'InvalidState'
aborted = snapshot.ExportSnapshot()
aborted.Abort()
seen['aborted'] = str(aborted.state)
seen['disks'] = {str(k): d['path'] for k, d in disks.items()}
Disconnect(instance)
print(json.dumps(seen))
