// Overrides of a policy: what the first matching one names is decided by it.

import { expect, it } from 'vitest'
import { parseMoref, parseVmId } from '../../lib/model/ids.ts'
import { defaultPolicy, type Policy, type ScriptSet } from '../../lib/model/policy.ts'
import { policyForVm } from '../../lib/model/policy-for-vm.ts'
import type { VmSummary } from '../../lib/model/vm.ts'

const vm: VmSummary = {
  moref: parseMoref('vm-1'),
  vmId: parseVmId('50000000-0000-4000-8000-000000000001'),
  name: 'db-1',
  folder: '/DC/prod/sql',
  datacenter: 'DC',
  cluster: null,
  host: null,
  resourcePool: null,
  datastores: [],
  tags: ['app/oracle'],
  template: false,
  powerState: 'poweredOn',
}

function scripts(name: string): ScriptSet {
  const bundle = `scripts/${name}.sh`
  return {
    preFreeze: { bundle, sha256: 'ab'.repeat(32), entry: 'a.sh', timeoutMs: 1, successCodes: [0], elevated: false },
  }
}

function policy(overrides: Policy['guest']['overrides']): Policy {
  const base = defaultPolicy()
  const guest = { ...base.guest, mode: 'try' as const, credentials: 'own', overrides }
  return { ...base, guest, scripts: { ...base.scripts, linux: scripts('own') } }
}

it('policyForVm() leaves the policy as it is where no override matches', () => {
  const result = policyForVm(policy([{ match: { name: 'web-*' }, credentials: 'web' }]), vm)
  expect(result.guest).toMatchObject({ credentials: 'own', overrides: [] })
  expect(result.scripts.linux).toEqual(scripts('own'))
})

it('policyForVm() takes each part from the first override that matches and names it', () => {
  const result = policyForVm(
    policy([
      { match: { name: 'web-*' }, credentials: 'web', windows: scripts('web') },
      { match: { name: 'db-1' }, credentials: 'one' },
      { match: { tag: 'app/oracle' }, credentials: 'oracle', linux: scripts('oracle') },
      { match: { folder: '/DC/prod' }, linux: scripts('prod'), windows: {} },
    ]),
    vm,
  )
  expect(result.guest.credentials).toBe('one')
  expect(result.scripts.linux).toEqual(scripts('oracle'))
  expect(result.scripts.windows).toEqual({})
})

it('policyForVm() can take scripts away from some VMs', () => {
  expect(policyForVm(policy([{ match: { name: '*' }, linux: {} }]), vm).scripts.linux).toEqual({})
})
