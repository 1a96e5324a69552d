# Performance counters of the simulated vCenter by pyVmomi. Prints one JSON document of what it saw.
# Usage: sim_perf.py PORT USER PASSWORD
import json
import ssl
import sys
from pyVim.connect import SmartConnect, Disconnect
from pyVmomi import vim, vmodl

PORT, USER, PASSWORD = int(sys.argv[1]), sys.argv[2], sys.argv[3]
seen = {}
instance = SmartConnect(host='127.0.0.1', port=PORT, user=USER, pwd=PASSWORD, sslContext=ssl._create_unverified_context())
content = instance.RetrieveContent()
perf = content.perfManager
kinds = [vim.HostSystem, vim.Datastore, vim.VirtualMachine]
view = list(content.viewManager.CreateContainerView(content.rootFolder, kinds, True).view)
host = [o for o in view if isinstance(o, vim.HostSystem)][0]
machine = [o for o in view if isinstance(o, vim.VirtualMachine)][0]
volumes = {o.summary.url.rstrip('/').split('/')[-1]: o.name for o in view if isinstance(o, vim.Datastore)}


def counters(group, name):
    return [c for c in perf.perfCounter
            if (c.groupInfo.key, c.nameInfo.key, c.rollupType) == (group, name, 'average')]


counter = counters('datastore', 'totalReadLatency')[0]
seen['unit'] = [counter.unitInfo.key, counter.rollupType, counter.statsType]
provider = perf.QueryProviderSummary(host)
seen['host'] = [provider.currentSupported, provider.refreshRate]
seen['machine'] = perf.QueryProviderSummary(machine).currentSupported


def query(entity=host, interval=20, key=counter.key, form='normal', metrics=True):
    ids = [vim.PerformanceManager.MetricId(counterId=key, instance=v) for v in volumes] if metrics else []
    spec = vim.PerformanceManager.QuerySpec(entity=entity, intervalId=interval, maxSample=3, metricId=ids, format=form)
    return perf.QueryPerf([spec])[0]


def refused(**how):
    try:
        return str(query(**how))
    except vmodl.fault.InvalidArgument as fault:
        return fault.invalidProperty
    except vmodl.RuntimeFault as fault:
        return type(fault).__name__


metric = query()
found = {volumes[s.id.instance]: list(s.value) for s in metric.value}
seen['series'] = {name: found.get(name) for name in sorted(volumes.values())}
times = [s.timestamp for s in metric.sampleInfo]
seen['times'] = [int((b - a).total_seconds()) for a, b in zip(times, times[1:])]
seen['everything'] = [volumes[s.id.instance] for s in query(metrics=False).value]
seen['counter'] = refused(key=99999)
seen['interval'] = refused(interval=7)
seen['entity'] = refused(entity=machine)
seen['csv'] = refused(form='csv')
seen['gone'] = refused(entity=vim.HostSystem('host-99999', instance._stub))
Disconnect(instance)
print(json.dumps(seen))
