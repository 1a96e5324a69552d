# The simulated vCenter with an account of fewer privileges, asked by pyVmomi: what it says of them, and what it refuses.

import json
import ssl
import sys
import urllib.error
import urllib.request

from pyVim.connect import Disconnect, SmartConnect
from pyVim.task import WaitForTask
from pyVmomi import vim

port, user, password = sys.argv[1:4]
context = ssl._create_unverified_context()
instance = SmartConnect(host='127.0.0.1', port=int(port), user=user, pwd=password, sslContext=context)
content = instance.content
view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
machines = {machine.name: machine for machine in view.view}
app, db = machines['app-01'], machines['db-01']
authorization = content.authorizationManager
key = content.sessionManager.currentSession.key
ids = ['VirtualMachine.State.CreateSnapshot', 'VirtualMachine.Config.ChangeTracking']


def granted(answers):
    return [[one.isGranted for one in answer.privAvailability] for answer in answers]


def refused(act):
    try:
        act()
    except vim.fault.NoPermission as fault:
        return [fault.object._moId, fault.privilegeId]
    return None


def status(path):
    request = urllib.request.Request('https://127.0.0.1:%s/folder/%s' % (port, path))
    request.add_header('Cookie', instance._stub.cookie)
    try:
        return urllib.request.urlopen(request, context=context).status
    except urllib.error.HTTPError as error:
        return error.code


tracking = vim.vm.ConfigSpec(changeTrackingEnabled=True)
WaitForTask(db.CreateSnapshot_Task('allowed', '', False, False))
snapshot = db.snapshot.rootSnapshotList[0].snapshot
home = db.config.files.vmPathName
seen = {
    'bySession': granted(authorization.HasPrivilegeOnEntities([app, db], key, ids)),
    'byUser': granted(authorization.HasUserPrivilegeOnEntities([app, db], user, ids)),
    'stranger': granted(authorization.HasPrivilegeOnEntities([db], 'nobody', ids)),
    'snapshot': refused(lambda: app.CreateSnapshot_Task('x', '', False, False)) == [app._moId, ids[0]],
    'tracking': refused(lambda: app.ReconfigVM_Task(tracking)) == [app._moId, ids[1]],
    'trackingBelow': refused(lambda: db.ReconfigVM_Task(tracking)) == [db._moId, ids[1]],
    'removal': refused(lambda: snapshot.RemoveSnapshot_Task(False)) == [snapshot._moId, 'VirtualMachine.State.RemoveSnapshot'],
    'areas': refused(lambda: db.QueryChangedDiskAreas(snapshot, 2000, 0, '*')) == [db._moId, 'VirtualMachine.Provisioning.DiskRandomRead'],
    'export': refused(lambda: snapshot.ExportSnapshot()) == [snapshot._moId, 'VApp.Export'],
    'folder': status(home.split('] ')[1] + '?dcPath=DC1&dsName=ds1'),
}
Disconnect(instance)
print(json.dumps(seen))
