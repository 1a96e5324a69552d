// Which VMs a policy means: by examples, and against a plain reading of "any, all, none".

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseMoref, parseVmId } from '../../lib/model/ids.ts'
import type { Selector } from '../../lib/model/policy.ts'
import { selectVms } from '../../lib/model/selection.ts'
import type { VmSummary } from '../../lib/model/vm.ts'

function vm(change: Partial<VmSummary>): VmSummary {
  return {
    moref: parseMoref('vm-1'),
    vmId: parseVmId('50000000-0000-4000-8000-000000000001'),
    name: 'db-1',
    folder: '/DC/Servers/Databases',
    datacenter: 'DC',
    cluster: 'C1',
    host: 'esx-1',
    resourcePool: 'Gold',
    datastores: ['ds1', 'ds2'],
    tags: ['backup/gold', 'owner/erp'],
    template: false,
    powerState: 'poweredOn',
    ...change,
  }
}

function selects(selector: Selector, change: Partial<VmSummary> = {}): boolean {
  return selectVms([vm(change)], { any: [selector], all: [], none: [] }).length === 1
}

describe('selectVms()', () => {
  it('matches names by pattern, whole and whatever the case', () => {
    expect(selects({ name: 'db-*' })).toBe(true)
    expect(selects({ name: 'DB-?' })).toBe(true)
    expect(selects({ name: 'db' })).toBe(false)
    expect(selects({ name: 'db.1' })).toBe(false)
    expect(selects({ name: 'a+b(c)[1]' }, { name: 'a+b(c)[1]' })).toBe(true)
    expect(selects({ name: '*' }, { name: 'line\nbreak' })).toBe(true)
  })

  it('matches a folder with everything below it, and no folder that only begins alike', () => {
    expect(selects({ folder: '/DC/Servers' })).toBe(true)
    expect(selects({ folder: '/DC/Servers/' })).toBe(true)
    expect(selects({ folder: '/DC/Servers/Databases' })).toBe(true)
    expect(selects({ folder: '/DC/Serv' })).toBe(false)
    expect(selects({ folder: '/DC/Servers/Databases/Old' })).toBe(false)
    expect(selects({ folder: '*/Databases' })).toBe(true)
  })

  it('matches one of several tags and datastores, and nothing where there is none', () => {
    expect(selects({ tag: 'owner/erp' })).toBe(true)
    expect(selects({ tag: 'backup/*' })).toBe(true)
    expect(selects({ tag: 'gold' })).toBe(false)
    expect(selects({ tag: '*' }, { tags: [] })).toBe(false)
    expect(selects({ datastore: 'ds2' })).toBe(true)
    expect(selects({ datastore: 'ds3' })).toBe(false)
    expect(selects({ cluster: 'C1' }, { cluster: null })).toBe(false)
  })

  it('wants every field of a selector', () => {
    expect(selects({ name: 'db-*', tag: 'backup/gold', resourcePool: 'Gold' })).toBe(true)
    expect(selects({ name: 'db-*', tag: 'backup/gold', resourcePool: 'Silver' })).toBe(false)
  })

  it('never selects a template', () => {
    expect(selects({ name: '*' }, { template: true })).toBe(false)
  })

  it('keeps the order of the inventory, and agrees with "one of any, each of all, none of none"', () => {
    const names = ['a', 'ab', 'abc', 'b', 'bc', 'c']
    const pattern = fc.constantFrom('a*', '*b*', '*c', '?', '*', 'abc')
    const patterns = fc.array(pattern, { maxLength: 3 })
    const vms = names.map((name) => vm({ name }))
    const matches = (name: string, text: string): boolean =>
      new RegExp(`^${text.replaceAll('*', '.*').replaceAll('?', '.')}$`).test(name)
    fc.assert(
      fc.property(patterns, patterns, patterns, (any, all, none) => {
        const toSelectors = (list: readonly string[]) => list.map((name) => ({ name }))
        const chosen = selectVms(vms, { any: toSelectors(any), all: toSelectors(all), none: toSelectors(none) })
        const expected = names.filter(
          (name) =>
            any.some((text) => matches(name, text)) &&
            all.every((text) => matches(name, text)) &&
            !none.some((text) => matches(name, text)),
        )
        expect(chosen.map((each) => each.name)).toEqual(expected)
      }),
    )
  })
})
