import { describe, expect, it } from 'vitest'
import { parseMoref, parseVmId } from '../../lib/model/ids.ts'
import { gradeSatisfies, matchesPattern, type Selection } from '../../lib/model/policy.ts'
import { selectVms } from '../../lib/model/selection.ts'
import type { VmSummary } from '../../lib/model/vm.ts'

function vm(name: string, change: Partial<VmSummary> = {}): VmSummary {
  return {
    moref: parseMoref(`vm-${name}`),
    vmId: parseVmId('502f1a2b-0000-4000-8000-000000000001'),
    name,
    folder: '/DC/prod',
    datacenter: 'DC',
    cluster: 'C1',
    host: null,
    resourcePool: 'Resources',
    datastores: ['ds1'],
    tags: [],
    template: false,
    powerState: 'poweredOn',
    ...change,
  }
}

const estate = [
  vm('db-1', { tags: ['backup/gold'] }),
  vm('db-2', { folder: '/DC/lab/deep' }),
  vm('web.1', { datastores: ['ds1', 'fast-2'] }),
  vm('WEB-2', { cluster: null, resourcePool: null }),
  vm('golden', { template: true, tags: ['backup/gold'] }),
  vm('db-9', { folder: '/DC/laboratory' }),
]

function selected(selection: Partial<Selection>): readonly string[] {
  return selectVms(estate, { any: [], all: [], none: [], ...selection }).map(({ name }) => name)
}

describe('selectVms()', () => {
  it('selects nothing when nothing is asked for', () => {
    expect(selected({})).toEqual([])
    expect(selected({ all: [{ name: '*' }] })).toEqual([])
  })

  it('takes VMs of any condition, in the order of the inventory, and never a template', () => {
    expect(selected({ any: [{ name: 'web*' }, { tag: 'backup/gold' }] })).toEqual(['db-1', 'web.1', 'WEB-2'])
  })

  it('takes a folder with everything below it, and not one whose name only begins the same', () => {
    expect(selected({ any: [{ folder: '/DC/lab' }] })).toEqual(['db-2'])
    expect(selected({ any: [{ folder: '/DC/lab/' }] })).toEqual(['db-2'])
    expect(selected({ any: [{ name: 'db-*' }], none: [{ folder: '/DC/lab' }] })).toEqual(['db-1', 'db-9'])
  })

  it('needs every field of a condition, all of `all` and none of `none`', () => {
    expect(selected({ any: [{ name: 'db-*', folder: '/DC/prod' }] })).toEqual(['db-1'])
    expect(selected({ any: [{ name: '*' }], all: [{ cluster: 'c1' }, { datastore: 'fast-?' }] })).toEqual(['web.1'])
    expect(selected({ any: [{ name: '*' }], none: [{ name: 'db*' }, { resourcePool: 'Res*' }] })).toEqual(['WEB-2'])
  })
})

describe('matchesPattern()', () => {
  it('takes only * and ? for wildcards, matches whole texts and does not count case', () => {
    expect(matchesPattern('web.1', 'web.1')).toBe(true)
    expect(matchesPattern('webx1', 'web.1')).toBe(false)
    expect(matchesPattern('[ds1] a/b (1).vmdk', '[ds1] a/*(?).vmdk')).toBe(true)
    expect(matchesPattern('db-10', 'DB-?')).toBe(false)
    expect(matchesPattern('a\nb', 'a*b')).toBe(true)
    expect(matchesPattern('xdb', 'db')).toBe(false)
  })
})

describe('gradeSatisfies()', () => {
  it('orders crash, filesystem, application, and lets a powered-off VM satisfy all', () => {
    const grades = ['crash', 'filesystem', 'application'] as const
    for (const [need, needed] of grades.entries()) {
      for (const [have, reached] of grades.entries()) expect(gradeSatisfies(reached, needed)).toBe(have >= need)
      expect(gradeSatisfies('offline', needed)).toBe(true)
    }
  })
})
