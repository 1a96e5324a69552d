import { expect, it } from 'vitest'
import { groupsOf } from '../../lib/model/anti-affinity.ts'
import { defaultPolicy } from '../../lib/model/policy.ts'

const { name } = defaultPolicy()
const tags = ['ha/db-a', 'ha/web', 'backup/gold']

it('a VM is in one group for each tag of the categories that its policy names', () => {
  const antiAffinity = { policy: false, tagCategories: ['ha'] }
  expect(groupsOf({ tags }, { name, antiAffinity })).toEqual(['tag/ha/db-a', 'tag/ha/web'])
  expect(groupsOf({ tags: [] }, { name, antiAffinity })).toEqual([])
})

it('a policy whose VMs must keep apart is a group of its own', () => {
  expect(groupsOf({ tags }, { name, antiAffinity: { policy: true, tagCategories: [] } })).toEqual([`policy/${name}`])
})
