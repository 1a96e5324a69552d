// The table of privileges, and the roles that are made of it.

import { describe, expect, it } from 'vitest'
import { type Feature, PRIVILEGE_NEEDS, privilegesFor, rolesFor } from '../../lib/model/privileges.ts'

const features: readonly Feature[] = [...new Set(PRIVILEGE_NEEDS.map(({ feature }) => feature))]

describe('privileges', () => {
  it('privilegesFor() names each privilege once a place, and requires what one feature requires', () => {
    const needs = privilegesFor(['backup', 'datastore', 'nbdssl'])
    const keys = needs.map(({ id, place }) => `${place} ${id}`)
    expect(new Set(keys).size).toBe(keys.length)
    const find = (id: string) => needs.find((need) => need.id === id)
    expect(find('Datastore.FileManagement')).toMatchObject({ feature: 'datastore', without: null })
    expect(find('VirtualMachine.Provisioning.GetVmFiles')).toMatchObject({ feature: 'nbdssl', without: null })
    expect(privilegesFor(['backup']).find(({ id }) => id === 'Datastore.FileManagement')?.without).toContain('.vmx')
  })

  it('every transport of a policy is in it, and no role has more than its features need', () => {
    for (const name of ['san', 'hotadd', 'nbdssl', 'nbd', 'datastore', 'lease'] as const) {
      expect(features).toContain(name)
      const needed = new Set(privilegesFor(['backup', name]).map(({ id }) => id))
      const given = new Set(rolesFor(['backup', name]).flatMap(({ privileges }) => privileges))
      expect(given).toEqual(needed)
    }
  })

  it('rolesFor() keeps guests, restores and alarms away from whoever backs up', () => {
    const roles = rolesFor(features)
    expect(roles.map(({ name }) => name)).toEqual([
      'coldframe-backup',
      'coldframe-vddk',
      'coldframe-guest',
      'coldframe-restore',
      'coldframe-alarms',
      'coldframe-mover',
    ])
    const backup = roles[0]?.privileges ?? []
    expect(backup.filter((id) => /GuestOperations|Inventory|Alarm|DiskRandomAccess|PowerO/.test(id))).toEqual([])
    expect(backup).toContain('Cryptographer.Access')
    expect(rolesFor(['backup', 'datastore']).map(({ name }) => name)).toEqual(['coldframe-backup'])
  })
})
