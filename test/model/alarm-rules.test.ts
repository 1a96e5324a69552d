// What an alarm asks for: its state, the rule that it meets, the VM that it is about.

import { describe, expect, it } from 'vitest'
import { alarmStateOf } from '../../lib/model/alarm.ts'
import { askedFor, judgeWords } from '../../lib/model/alarm-judge.ts'
import { isStorageAlarm, rankOf, ruleFor } from '../../lib/model/alarm-rules.ts'
import { resolveTarget } from '../../lib/model/alarm-target.ts'
import { parseMoref, parseVmId } from '../../lib/model/ids.ts'
import type { AlarmRule } from '../../lib/model/policy.ts'
import type { VmSummary } from '../../lib/model/vm.ts'
import { sampleAlarm } from '../kit/record-samples.ts'
import { alarmPolicy } from '../stages/alarms.ts'

const { alarm } = sampleAlarm()
const VCENTER = '5e3c9a1b-0000-4000-8000-000000000001'

function vm(number: number, change: Partial<VmSummary> = {}): VmSummary {
  return {
    moref: parseMoref(`vm-${number}`),
    vmId: parseVmId(`00000000-0000-4000-8000-${String(number).padStart(12, '0')}`),
    name: `db-${number}`,
    folder: '/DC0',
    datacenter: 'DC0',
    cluster: null,
    host: null,
    resourcePool: null,
    datastores: [],
    tags: [],
    template: false,
    powerState: 'poweredOn',
    ...change,
  }
}

describe('alarmStateOf()', () => {
  it.each([
    ['ACTIVE', 'raised'],
    ['New', 'raised'],
    ['red', 'raised'],
    ['CANCELED', 'cleared'],
    ['green', 'cleared'],
    ['gray', 'cleared'],
    ['banana', 'unknown'],
  ])('takes "%s" for %s', (word, state) => expect(alarmStateOf(word)).toBe(state))

  it('takes an alarm whose state is not told for raised', () => expect(alarmStateOf(null)).toBe('raised'))
})

describe('ruleFor()', () => {
  const ruleOf = (rules: readonly AlarmRule[], change = {}) => {
    const match = ruleFor({ ...alarm, ...change }, alarmPolicy({ rules }))
    return typeof match === 'string' ? match : match.rule.action
  }

  it('is decided by the first rule whose name and criticality match, case not counted', () => {
    const rules = [
      { alarm: 'ransom*', criticality: ['warning'], action: 'freeze-retention' },
      { alarm: 'RANSOM*', criticality: ['Critical'], action: 'backup+quarantine' },
      { alarm: '*', action: 'backup' },
    ] as const
    expect(ruleOf(rules)).toBe('backup+quarantine')
    expect(ruleOf(rules, { criticality: 'ALERT_CRITICALITY_LEVEL_WARNING' })).toBe('freeze-retention')
    expect(ruleOf(rules, { criticality: null })).toBe('backup')
    expect(ruleOf([], {})).toBe('none')
  })

  it('knows a colour of vCenter as a criticality', () => {
    const rules = [{ alarm: '*', criticality: ['red'], action: 'backup' }] as const
    expect(ruleOf(rules, { criticality: null, to: 'red' })).toBe('backup')
    expect(ruleOf(rules, { criticality: null, to: 'yellow' })).toBe('none')
  })

  // Names of alarms that vCenter ships with (vSphere Monitoring and Performance, "Preconfigured vSphere Alarms").
  it.each([
    'Virtual Machine Consolidation Needed status',
    'Datastore usage on disk',
    'Virtual machine total disk latency',
    'Thin-provisioned volume capacity threshold exceeded',
    'Cannot connect to storage',
    'Datastore cluster is out of space',
    'VM snapshot size',
    'vSAN health alarm "Disk space usage"',
  ])('lets "%s" start a backup only where the rule says storage', (alarmName) => {
    expect(ruleOf([{ alarm: '*', action: 'backup' }], { alarmName })).toBe('storage')
    expect(ruleOf([{ alarm: '*', action: 'backup+quarantine', storage: false }], { alarmName })).toBe('storage')
    expect(ruleOf([{ alarm: '*', action: 'backup', storage: true }], { alarmName })).toBe('backup')
    expect(ruleOf([{ alarm: '*', action: 'freeze-retention' }], { alarmName })).toBe('freeze-retention')
  })

  it.each(['Ransomware suspected', 'Virtual machine CPU usage', 'Virtual machine memory usage', 'VM migrated'])(
    'does not take "%s" for one of storage',
    (alarmName) => expect(isStorageAlarm({ ...alarm, alarmName })).toBe(false),
  )
})

describe('resolveTarget()', () => {
  const vms = [vm(1), vm(2), vm(3, { name: 'twin' }), vm(4, { name: 'twin', folder: '/DC0/lab' })]
  const resolved = (target: Partial<typeof alarm.target>, vcenterId: string | null = null) => {
    const none = { moref: null, instanceUuid: null, name: null, kind: null }
    const found = resolveTarget(
      { alarmName: 'A', vcenterId, target: { ...none, ...target } },
      { vcenterId: VCENTER, vms },
    )
    return 'vm' in found ? found.vm.moref : found.code
  }

  it('finds a VM by its instance uuid, its reference, or a name that no other has', () => {
    expect(resolved({ instanceUuid: '00000000-0000-4000-8000-000000000002'.toUpperCase() })).toBe('vm-2')
    expect(resolved({ moref: 'vm-1' })).toBe('vm-1')
    expect(resolved({ moref: 'vm-1', name: 'db-1', kind: 'VirtualMachine' })).toBe('vm-1')
    expect(resolved({ name: 'db-2' })).toBe('vm-2')
  })

  it('finds none in doubt', () => {
    expect(resolved({ name: 'twin' })).toBe('vm-ambiguous')
    expect(resolved({ name: 'nobody' })).toBe('vm-not-found')
    expect(resolved({ moref: 'vm-9' })).toBe('vm-not-found')
    expect(resolved({})).toBe('target-unknown')
    expect(resolved({ name: 'db-1', kind: 'HostSystem' })).toBe('not-a-vm')
  })

  it('names the candidates of an ambiguous name', () => {
    const target = { moref: null, instanceUuid: null, name: 'twin', kind: null }
    const found = resolveTarget({ alarmName: 'A', vcenterId: null, target }, { vcenterId: null, vms })
    expect(found).toMatchObject({ message: '2 VMs are named "twin": "vm-3" in "/DC0", "vm-4" in "/DC0/lab"' })
  })

  it('believes a reference of a vCenter that is not told only with the name that goes with it', () => {
    expect(resolved({ moref: 'vm-1', name: 'other' })).toBe('target-mismatch')
    expect(resolved({ moref: 'vm-1', name: 'renamed since' }, VCENTER.toUpperCase())).toBe('vm-1')
    expect(resolved({ moref: 'vm-1' }, '11111111-0000-4000-8000-000000000001')).toBe('other-vcenter')
  })
})

describe('judgeWords() and askedFor()', () => {
  it('act neither on what is over nor on a state that nobody knows', () => {
    const policies = [alarmPolicy()]
    expect(judgeWords({ ...alarm, state: 'cleared' }, policies)).toMatchObject({ code: 'cleared' })
    expect(judgeWords({ ...alarm, state: 'unknown', to: 'banana' }, policies)).toMatchObject({ code: 'state-unknown' })
    expect(judgeWords(alarm, [])).toMatchObject({ code: 'no-rule' })
  })

  it('ask for what all policies together that select the VM ask for', () => {
    const freezing = alarmPolicy({ name: 'a', rules: [{ alarm: '*', action: 'freeze-retention' }] })
    const other = alarmPolicy({ name: 'b', select: { any: [{ name: 'web-*' }], all: [], none: [] } })
    const backing = alarmPolicy({ name: 'c' })
    const words = judgeWords(alarm, [freezing, other, backing])
    if ('code' in words) throw new Error(words.message)
    expect(askedFor(vm(1), words.candidates)).toMatchObject({
      backup: { name: 'c' },
      freeze: true,
      quarantine: false,
      action: 'backup',
    })
    expect(askedFor(vm(1), [{ policy: other, action: 'backup' }])).toBeNull()
  })

  it('put what is critical, and what asks for a quarantine, before the rest', () => {
    expect(rankOf({ criticality: 'ALERT_CRITICALITY_LEVEL_CRITICAL', to: null }, 'backup')).toBe(0)
    expect(rankOf({ criticality: 'info', to: null }, 'backup+quarantine')).toBe(0)
    expect(rankOf({ criticality: null, to: null }, 'backup')).toBe(1)
    expect(rankOf({ criticality: 'yellow', to: 'yellow' }, 'backup')).toBe(2)
  })
})
