# Guest operations and quiesced Windows snapshots by pyVmomi against the simulated vCenter. Prints one JSON document.
# Usage: sim_guests.py PORT USER PASSWORD GUEST_USER GUEST_PASSWORD
import http.client
import io
import json
import ssl
import sys
import time
import xml.etree.ElementTree as ET
import zipfile
from urllib.parse import urlparse
from pyVim.connect import SmartConnect, Disconnect
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl

PORT, USER, PASSWORD, GUEST_USER, GUEST_PASSWORD = int(sys.argv[1]), *sys.argv[2:6]
CONTEXT = ssl._create_unverified_context()
seen = {}


def named(name):
    return [m for m in view.view if m.name == name][0]


def fault_of(call):
    try:
        call()
    except (vim.fault.VimFault, vmodl.MethodFault) as fault:
        return type(fault).__name__
    return None


def exchange(method, url, body=None):
    seen.setdefault('hosts', []).append(urlparse(url).netloc)
    address = urlparse(url.replace('*', '127.0.0.1:%d' % PORT))
    connection = http.client.HTTPSConnection(address.hostname, address.port, context=CONTEXT)
    connection.request(method, address.path + '?' + address.query, body)
    answer = connection.getresponse()
    return answer.status, answer.read()


def ended(machine, pid):
    for _ in range(2000):
        one = processes.ListProcessesInGuest(machine, auth, [pid])[0]
        if one.endTime is not None:
            return one
        time.sleep(0.02)


instance = SmartConnect(host='127.0.0.1', port=PORT, user=USER, pwd=PASSWORD, sslContext=CONTEXT)
content = instance.RetrieveContent()
view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
guests = content.guestOperationsManager
files, processes = guests.fileManager, guests.processManager
web = named('web-01')
auth = vim.vm.guest.NamePasswordAuthentication(username=GUEST_USER, password=GUEST_PASSWORD, interactiveSession=False)
wrong = vim.vm.guest.NamePasswordAuthentication(username=GUEST_USER, password='wrong', interactiveSession=False)

seen['ready'] = web.guest.guestOperationsReady
seen['nics'] = [[n.network, n.deviceConfigId, list(n.ipAddress), n.macAddress] for n in web.guest.net]
seen['wrongPassword'] = fault_of(lambda: guests.authManager.ValidateCredentialsInGuest(web, wrong))
guests.authManager.ValidateCredentialsInGuest(web, auth)

folder = files.CreateTemporaryDirectoryInGuest(web, auth, 'cold', 'frame')
inner = folder + '/one/two'
seen['noParent'] = fault_of(lambda: files.MakeDirectoryInGuest(web, auth, inner, False))
files.MakeDirectoryInGuest(web, auth, inner, True)
seen['twice'] = fault_of(lambda: files.MakeDirectoryInGuest(web, auth, inner, True))
seen['outside'] = fault_of(lambda: files.ListFilesInGuest(web, auth, '/etc'))

text = b'#!/bin/sh\necho "$1" >"$2"\nexit 3\n'
attributes = vim.vm.guest.FileManager.PosixFileAttributes(permissions=0o750)
script = inner + '/a script.sh'
url = files.InitiateFileTransferToGuest(web, auth, script, attributes, len(text), False)
seen['shortBody'] = exchange('PUT', url, text[:-1])[0]
seen['upload'] = exchange('PUT', url, text)[0]
seen['again'] = exchange('PUT', url, text)[0]
seen['exists'] = fault_of(lambda: files.InitiateFileTransferToGuest(web, auth, script, attributes, 1, False))

spec = vim.vm.guest.ProcessManager.ProgramSpec(
    programPath=script, arguments="'it is done' \"$WHERE\" ; exit 3", envVariables=['WHERE=%s/out' % inner])
pid = processes.StartProgramInGuest(web, auth, spec)
one = ended(web, pid)
seen['program'] = [one.exitCode, one.owner == GUEST_USER, one.pid == pid, one.name]
transfer = files.InitiateFileTransferFromGuest(web, auth, inner + '/out')
status, body = exchange('GET', transfer.url)
seen['download'] = [status, body.decode(), transfer.size]
listed = files.ListFilesInGuest(web, auth, inner, 0, 3)
seen['listed'] = [[f.path, f.type] for f in listed.files] + [listed.remaining]
matched = files.ListFilesInGuest(web, auth, inner, None, None, r'\.sh$').files
seen['matched'] = [[f.path, f.size, oct(f.attributes.permissions)] for f in matched]
seen['notEmpty'] = fault_of(lambda: files.DeleteDirectoryInGuest(web, auth, folder, False))

sleeper = vim.vm.guest.ProcessManager.ProgramSpec(programPath='/bin/sleep', arguments='600')
pid = processes.StartProgramInGuest(web, auth, sleeper)
seen['running'] = processes.ListProcessesInGuest(web, auth, [pid])[0].endTime is None
processes.TerminateProcessInGuest(web, auth, pid)
seen['terminated'] = ended(web, pid).exitCode is not None
seen['noProcess'] = fault_of(lambda: processes.TerminateProcessInGuest(web, auth, pid))
seen['environment'] = [v.split('=')[0] for v in processes.ReadEnvironmentVariableInGuest(web, auth, ['HOME', 'TMPDIR'])]
files.MoveFileInGuest(web, auth, script, inner + '/moved', False)
files.DeleteFileInGuest(web, auth, inner + '/moved')
files.DeleteDirectoryInGuest(web, auth, folder, True)
seen['gone'] = fault_of(lambda: files.ListFilesInGuest(web, auth, folder))
seen['powerState'] = fault_of(lambda: guests.authManager.ValidateCredentialsInGuest(named('archive-01'), auth))
seen['unavailable'] = fault_of(lambda: guests.authManager.ValidateCredentialsInGuest(named('build-01'), auth))

mail = named('mail-01')
windows = vim.vm.guest.ProcessManager.WindowsProgramSpec(programPath='C:\\x.exe', arguments='', startMinimized=True)
seen['windowsProgram'] = fault_of(lambda: processes.StartProgramInGuest(mail, auth, windows))
seen['windowsFolder'] = files.CreateTemporaryDirectoryInGuest(mail, auth, 'a', 'b')[:16]
quiesce = vim.vm.WindowsQuiesceSpec(timeout=5, vssBackupType=5, vssBackupContext='ctx_backup',
                                    vssBootableSystemState=True, vssPartialFileSupport=False)
task = mail.CreateSnapshotEx_Task('vss', None, False, quiesce)
WaitForTask(task)
snapshot = mail.snapshot.rootSnapshotList[0]
seen['snapshot'] = [snapshot.quiesced, snapshot.backupManifest]
quiesce.timeout = 4
seen['timeout'] = fault_of(lambda: mail.CreateSnapshotEx_Task('vss', None, False, quiesce))

folder = mail.config.files.snapshotDirectory
connection = http.client.HTTPSConnection('127.0.0.1', PORT, context=CONTEXT)
connection.request('GET', '/folder/%s%s?dcPath=DC1&dsName=ds1' % (folder.split('] ')[1], snapshot.backupManifest),
                   headers={'Cookie': instance._stub.cookie.split(';')[0]})
answer = connection.getresponse()
seen['manifest'] = answer.status
with zipfile.ZipFile(io.BytesIO(answer.read())) as archive:
    assert archive.testzip() is None
    seen['members'] = archive.namelist()
    documents = [ET.fromstring(archive.read(name)) for name in archive.namelist()]
seen['roots'] = sorted(set(document.tag for document in documents))
seen['writers'] = [one.get('friendlyName') for document in documents for one in document
                   if one.tag == '{x-schema:#VssWriterMetadataInfo}IDENTIFICATION']
WaitForTask(task.info.result.RemoveSnapshot_Task(False))
connection.request('GET', '/folder/%s%s?dcPath=DC1&dsName=ds1' % (folder.split('] ')[1], snapshot.backupManifest),
                   headers={'Cookie': instance._stub.cookie.split(';')[0]})
seen['manifestGone'] = connection.getresponse().status
Disconnect(instance)
print(json.dumps(seen))
