# Reads everything the simulated vCenter shows and compares it with pyVmomi's own tables of the API: unknown elements,
# order, required fields, array item types. Prints one JSON document {"objects", "elements", "faults"}.
# Usage: sim_schema.py PORT USER PASSWORD
import json
import ssl
import sys
import http.client
import xml.etree.ElementTree as ET
from pyVim.connect import SmartConnect, Disconnect
from pyVim.task import WaitForTask
from pyVmomi import vim, VmomiSupport, SoapAdapter  # noqa: F401

PORT, USER, PASSWORD = int(sys.argv[1]), sys.argv[2], sys.argv[3]
NS = '{urn:vim25}'
XSI_TYPE = '{http://www.w3.org/2001/XMLSchema-instance}type'
CONTEXT = ssl._create_unverified_context()
faults, seen = [], {'objects': 0, 'elements': 0}
PRIMITIVES = {'string', 'int', 'long', 'short', 'byte', 'boolean', 'double', 'float', 'dateTime', 'base64Binary', 'anyURI'}


def call(cookie, body):
    connection = http.client.HTTPSConnection('127.0.0.1', PORT, context=CONTEXT)
    text = ('<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>%s</soapenv:Body></soapenv:Envelope>' % body)
    connection.request('POST', '/sdk', text, {'Cookie': cookie, 'SOAPAction': '"urn:vim25/6.7.1"'})
    answer = connection.getresponse().read()
    return ET.fromstring(answer)


def data_type(name):
    try:
        found = VmomiSupport.GetWsdlType('urn:vim25', name)
    except KeyError:
        return None
    if issubclass(found, VmomiSupport.ManagedObject) or issubclass(found, list):
        return None
    return found if hasattr(found, '_propList') else None


def properties(found):
    own = []
    for base in reversed(found.__mro__):
        own += base.__dict__.get('_propList', [])
    return own


def local(tag):
    return tag.replace(NS, '')


def check(element, declared, where):
    seen['elements'] += 1
    named = element.get(XSI_TYPE)
    name = named.split(':')[-1] if named else declared
    if name is None:
        faults.append('%s: no type' % where)
        return
    if name.startswith('ArrayOf'):
        for child in element:
            if child.get(XSI_TYPE) is None:
                faults.append('%s: item without xsi:type' % where)
            check(child, None, where + '[]')
        return
    # On the wire a fault that is not thrown stands inside a LocalizedMethodFault, which pyVmomi unwraps.
    if name == 'LocalizedMethodFault' or (name == 'MethodFault' and element.find(NS + 'fault') is not None):
        check(element.find(NS + 'fault'), 'MethodFault', where + '.fault')
        return
    found = data_type(name)
    if found is None:
        return
    declared_list = [(p.name, p) for p in properties(found) if p.name not in ('dynamicType', 'dynamicProperty')]
    if issubclass(found, VmomiSupport.GetWsdlType('urn:vim25', 'MethodFault')):
        declared_list = [(n, p) for n, p in declared_list if n != 'msg']
    names = [n for n, _ in declared_list]
    positions = []
    for child in element:
        tag = local(child.tag)
        if tag not in names:
            faults.append('%s: %s has no field %s' % (where, name, tag))
            continue
        positions.append(names.index(tag))
        info = dict(declared_list)[tag]
        kind = info.type
        if issubclass(kind, list):
            kind = kind.Item
        if issubclass(kind, VmomiSupport.ManagedObject):
            if not child.get('type') or not child.text:
                faults.append('%s.%s: a reference without type or value' % (where, tag))
            continue
        check(child, VmomiSupport.GetWsdlName(kind), where + '.' + tag)
    if positions != sorted(positions):
        faults.append('%s: fields of %s out of order' % (where, name))
    for n, info in declared_list:
        present = [c for c in element if local(c.tag) == n]
        if not present and not info.flags & 4 and not issubclass(info.type, list):
            faults.append('%s: %s lacks %s' % (where, name, n))


def check_object(content):
    obj = content.find(NS + 'obj')
    kind = VmomiSupport.GetWsdlType('urn:vim25', obj.get('type'))
    seen['objects'] += 1
    where = '%s:%s' % (obj.get('type'), obj.text)
    declared = {p.name: p for p in properties(kind)}
    shown = {}
    for prop in content.findall(NS + 'propSet'):
        name, val = prop.find(NS + 'name').text, prop.find(NS + 'val')
        shown[name] = val
        if val.get(XSI_TYPE) is None:
            faults.append('%s.%s: val without xsi:type' % (where, name))
        if name not in declared:
            faults.append('%s: no property %s' % (where, name))
            continue
        check(val, None, where + '.' + name)
    for missing in content.findall(NS + 'missingSet'):
        faults.append('%s: %s is missing' % (where, missing.find(NS + 'path').text))
    for name, info in declared.items():
        if name not in shown and not info.flags & 4 and not issubclass(info.type, list):
            faults.append('%s: property %s is unset' % (where, name))


def retrieve(cookie, refs):
    specs = ''
    for ref in refs:
        specs += ('<specSet><propSet><type>%s</type><all>true</all></propSet>'
                  '<objectSet><obj type="%s">%s</obj></objectSet></specSet>' % (ref[0], ref[0], ref[1]))
    answer = call(cookie, '<RetrieveProperties xmlns="urn:vim25"><_this type="PropertyCollector">propertyCollector</_this>%s'
                          '</RetrieveProperties>' % specs)
    for content in answer.iter(NS + 'returnval'):
        check_object(content)


instance = SmartConnect(host='127.0.0.1', port=PORT, user=USER, pwd=PASSWORD, sslContext=CONTEXT)
content = instance.RetrieveContent()
cookie = instance._stub.cookie.split(';')[0]
view = content.viewManager.CreateContainerView(content.rootFolder, [], True)
refs = [(VmomiSupport.GetWsdlName(type(o)), o._moId) for o in [content.rootFolder, view] + list(view.view)]
tasks = []
for machine in [o for o in view.view if isinstance(o, vim.VirtualMachine)]:
    for name in ('first', 'second'):
        task = machine.CreateSnapshot_Task(name, 'check', False, name == 'second')
        WaitForTask(task)
        tasks.append(task)
        refs.append(('VirtualMachineSnapshot', task.info.result._moId))
failing = [o for o in view.view if isinstance(o, vim.VirtualMachine)][0].PowerOnVM_Task()
try:
    WaitForTask(failing)
except vim.fault.InvalidPowerState:
    pass
refs += [('Task', t._moId) for t in tasks + [failing]]
refs += [(VmomiSupport.GetWsdlName(type(o)), o._moId) for o in
         [instance, content.sessionManager, content.perfManager, content.propertyCollector, content.viewManager, content.taskManager,
          content.authorizationManager, content.searchIndex, content.guestOperationsManager,
          content.guestOperationsManager.authManager, content.guestOperationsManager.fileManager,
          content.guestOperationsManager.processManager]]
retrieve(cookie, refs)
Disconnect(instance)
print(json.dumps({**seen, 'faults': sorted(set(faults))}))
