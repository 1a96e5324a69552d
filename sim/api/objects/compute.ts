// Clusters, hosts and resource pools, with the same modest hardware for every host.

import { createHash } from 'node:crypto'
import { GiB } from '../../../lib/base/bytes.ts'
import { type Data, data, ref, type Value } from '../../soap/value.ts'
import type { Front } from '../front.ts'
import type { ClusterEntity, Entity, HostEntity, MachineEntity, PoolEntity } from '../world.ts'

type Properties = Readonly<Record<string, () => Value | null>>

const HOST = { mhz: 2_600, packages: 2, cores: 32, threads: 64, memoryBytes: 256 * GiB }

export function clusterProperties(front: Front, entity: ClusterEntity): Properties {
  const inside = front.world.entities().filter((each) => each.parent === entity)
  const hosts = inside.filter((each) => each.kind === 'host')
  return {
    resourcePool: () => inside.find((each) => each.kind === 'pool')?.ref ?? null,
    host: () => hosts.map((each) => each.ref),
    datastore: () => siblings(front, entity, 'datastore'),
    network: () => siblings(front, entity, 'network'),
    summary: () =>
      data('ClusterComputeResourceSummary', {
        totalCpu: HOST.mhz * HOST.cores * hosts.length,
        totalMemory: HOST.memoryBytes * hosts.length,
        numCpuCores: HOST.cores * hosts.length,
        numCpuThreads: HOST.threads * hosts.length,
        effectiveCpu: HOST.mhz * HOST.cores * hosts.length,
        effectiveMemory: (HOST.memoryBytes / (1024 * 1024)) * hosts.length,
        numHosts: hosts.length,
        numEffectiveHosts: hosts.length,
        overallStatus: 'green',
        currentFailoverLevel: 0,
        numVmotions: 0,
      }),
    configuration: () => data('ClusterConfigInfo', { dasConfig: availability(), drsConfig: scheduling() }),
    configurationEx: () =>
      data('ClusterConfigInfoEx', {
        vmSwapPlacement: 'vmDirectory',
        spbmEnabled: false,
        dasConfig: availability(),
        drsConfig: scheduling(),
      }),
  }
}

export function hostProperties(front: Front, entity: HostEntity): Properties {
  const runtime = () =>
    data('HostRuntimeInfo', {
      connectionState: front.settings.hostsAway.includes(entity.name) ? 'notResponding' : 'connected',
      powerState: 'poweredOn',
      inMaintenanceMode: front.settings.hostsInMaintenance.includes(entity.name),
      bootTime: new Date(0),
    })
  return {
    runtime,
    summary: () =>
      data('HostListSummary', {
        host: entity.ref,
        hardware: hardwareSummary(entity),
        runtime: runtime(),
        config: data('HostConfigSummary', {
          name: entity.name,
          port: 443,
          product: hostProduct(),
          vmotionEnabled: true,
          faultToleranceEnabled: false,
        }),
        quickStats: data('HostListSummaryQuickStats', { overallCpuUsage: 400, overallMemoryUsage: 8_192 }),
        overallStatus: 'green',
        rebootRequired: false,
      }),
    hardware: () => hardware(entity),
    config: () =>
      data('HostConfigInfo', {
        host: entity.ref,
        product: hostProduct(),
        network: data('HostNetworkInfo', {
          dnsConfig: data('HostDnsConfig', {
            dhcp: false,
            hostName: entity.name.split('.')[0] ?? entity.name,
            domainName: entity.name.split('.').slice(1).join('.'),
          }),
        }),
        datastoreCapabilities: data('HostDatastoreSystemCapabilities', {
          nfsMountCreationRequired: true,
          nfsMountCreationSupported: true,
          localDatastoreSupported: true,
          vmfsExtentExpansionSupported: true,
        }),
      }),
    licensableResource: () => data('HostLicensableResourceInfo', { resource: [] }),
    configManager: () => data('HostConfigManager'),
    datastoreBrowser: () => ref('HostDatastoreBrowser', `datastoreBrowser-${entity.ref.id}`),
    vm: () => machinesOn(front, entity).map((each) => each.ref),
    datastore: () => siblings(front, entity, 'datastore'),
    network: () => siblings(front, entity, 'network'),
  }
}

export function poolProperties(front: Front, entity: PoolEntity): Properties {
  const usage = (): Data =>
    data('ResourcePoolResourceUsage', {
      reservationUsed: 0,
      reservationUsedForVm: 0,
      unreservedForPool: 0,
      unreservedForVm: 0,
      overallUsage: 0,
      maxUsage: 0,
    })
  const runtime = () => data('ResourcePoolRuntimeInfo', { memory: usage(), cpu: usage(), overallStatus: 'green' })
  const config = () =>
    data('ResourceConfigSpec', { entity: entity.ref, cpuAllocation: allocation(), memoryAllocation: allocation() })
  return {
    summary: () => data('ResourcePoolSummary', { name: entity.name, config: config(), runtime: runtime() }),
    runtime,
    owner: () => clusterOf(entity)?.ref ?? null,
    resourcePool: () => front.world.children(entity).map((each) => each.ref),
    vm: () =>
      front.world
        .machines()
        .filter((each) => poolOf(front, each) === entity)
        .map((each) => each.ref),
    config,
  }
}

/** ResourceAllocationInfo without limits or reservations. */
export function allocation(shares = 4000): Data {
  return data('ResourceAllocationInfo', {
    reservation: 0,
    expandableReservation: true,
    limit: -1,
    shares: data('SharesInfo', { shares, level: 'normal' }),
  })
}

export function hostOf(front: Front, machine: MachineEntity): HostEntity | null {
  for (const each of front.world.entities()) if (each.kind === 'host' && isPlacedOn(front, machine, each)) return each
  return null
}

export function poolOf(front: Front, machine: MachineEntity): PoolEntity | null {
  for (const each of front.world.entities()) {
    if (each.kind !== 'pool' || each.name !== machine.place.resourcePool) continue
    const cluster = clusterOf(each)
    if (cluster?.name === machine.place.cluster && isSameDatacenter(front, machine, each)) return each
  }
  return null
}

export function clusterOf(entity: Entity): ClusterEntity | null {
  for (let at: Entity | null = entity; at !== null; at = at.parent) if (at.kind === 'cluster') return at
  return null
}

function machinesOn(front: Front, host: HostEntity): readonly MachineEntity[] {
  return front.world.machines().filter((machine) => isPlacedOn(front, machine, host))
}

function isPlacedOn(front: Front, machine: MachineEntity, host: HostEntity): boolean {
  const { place } = machine
  return host.name === place.host && host.parent?.name === place.cluster && isSameDatacenter(front, machine, host)
}

function isSameDatacenter(front: Front, machine: MachineEntity, entity: Entity): boolean {
  return front.world.datacenterOf(entity)?.name === machine.place.datacenter
}

function siblings(front: Front, entity: Entity, kind: Entity['kind']) {
  const datacenter = front.world.datacenterOf(entity)
  return front.world
    .entities()
    .filter((each) => each.kind === kind && front.world.datacenterOf(each) === datacenter)
    .map((each) => each.ref)
}

function availability(): Data {
  return data('ClusterDasConfigInfo', { enabled: false, hostMonitoring: 'enabled', admissionControlEnabled: false })
}

function scheduling(): Data {
  return data('ClusterDrsConfigInfo', { enabled: false, defaultVmBehavior: 'fullyAutomated', vmotionRate: 3 })
}

function hostProduct(): Data {
  return data('AboutInfo', {
    name: 'VMware ESXi',
    fullName: 'VMware ESXi 8.0.3 build-24022510 (simulated)',
    vendor: 'VMware, Inc.',
    version: '8.0.3',
    build: '24022510',
    osType: 'vmnix-x86',
    productLineId: 'embeddedEsx',
    apiType: 'HostAgent',
    apiVersion: '8.0.3.0',
  })
}

function hardwareSummary(entity: HostEntity): Data {
  return data('HostHardwareSummary', {
    vendor: 'Simulated',
    model: 'Rack Server',
    uuid: uuidOf(entity.ref.id),
    memorySize: HOST.memoryBytes,
    cpuModel: 'Simulated CPU @ 2.60GHz',
    cpuMhz: HOST.mhz,
    numCpuPkgs: HOST.packages,
    numCpuCores: HOST.cores,
    numCpuThreads: HOST.threads,
    numNics: 2,
    numHBAs: 1,
  })
}

function hardware(entity: HostEntity): Data {
  const hz = HOST.mhz * 1_000_000
  const perPackage = HOST.threads / HOST.packages
  return data('HostHardwareInfo', {
    systemInfo: data('HostSystemInfo', { vendor: 'Simulated', model: 'Rack Server', uuid: uuidOf(entity.ref.id) }),
    cpuInfo: data('HostCpuInfo', {
      numCpuPackages: HOST.packages,
      numCpuCores: HOST.cores,
      numCpuThreads: HOST.threads,
      hz,
    }),
    cpuPkg: Array.from({ length: HOST.packages }, (_, index) =>
      data('HostCpuPackage', {
        index,
        vendor: 'intel',
        hz,
        busHz: 100_000_000,
        description: 'Simulated CPU @ 2.60GHz',
        threadId: Array.from({ length: perPackage }, (__, thread) => index * perPackage + thread),
      }),
    ),
    memorySize: HOST.memoryBytes,
    numaInfo: data('HostNumaInfo', { type: 'NUMA', numNodes: HOST.packages }),
    smcPresent: false,
    cpuFeature: [longModeFeature()],
  })
}

/** CPUID leaf 0x80000001, where bit 29 of EDX says that the processor has 64 bits. */
function longModeFeature(): Data {
  const bits = (value: number) => `${value.toString(2).padStart(32, '0')}`.replaceAll(/.{4}(?!$)/g, '$&:')
  const none = bits(0)
  return data('HostCpuIdInfo', {
    level: 0x80000001 | 0,
    vendor: '',
    eax: none,
    ebx: none,
    ecx: none,
    edx: bits(2 ** 29),
  })
}

/** A uuid that is the same for the same text. */
export function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
