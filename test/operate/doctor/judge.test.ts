// The doctor's judgements, one fact changed at a time.

import { describe, expect, it } from 'vitest'
import { defaultAdmissionLimits } from '../../../lib/model/admission.ts'
import { jobIdOf, parsePolicyName, runIdOf, snapshotNameOf } from '../../../lib/model/ids.ts'
import type { ScriptBundle } from '../../../lib/model/policy.ts'
import { PRIVILEGE_NEEDS } from '../../../lib/model/privileges.ts'
import { newVmHistory } from '../../../lib/model/vm-history.ts'
import {
  datastoreVerdict,
  hostPortVerdict,
  hostVerdict,
  judgeRights,
  latencyVerdict,
} from '../../../lib/operate/doctor/judge-site.ts'
import { guestVerdict, judgeVm, type VmFacts, vmWithoutOurs } from '../../../lib/operate/doctor/judge-vm.ts'
import { certificateVerdict, clockVerdict, versionVerdict } from '../../../lib/operate/doctor/vcenter.ts'
import { diskOf, GiB, known, policyOf, snapshotOf, unknown, vmId, vmOf } from './facts.ts'

const job = jobIdOf(runIdOf({ policy: parsePolicyName('p'), key: 'k' }), vmId)
const ourName = snapshotNameOf({ job, purpose: 'backup', attempt: 1 })

function factsOf(change: Partial<VmFacts> = {}): VmFacts {
  return { vm: vmOf(), history: null, tasks: known([]), isOurJob: (one) => one === job, ...change }
}

function checksOf(change: Partial<VmFacts>, policy = policyOf()) {
  return Object.fromEntries(judgeVm(factsOf(change), policy).map((check) => [check.id, check]))
}

describe('a VM', () => {
  it('of which nothing is wrong has no warning', () => {
    expect(judgeVm(factsOf(), policyOf()).filter(({ state }) => state !== 'ok')).toEqual([])
  })

  it('that cannot be backed up is failed with every reason of the preflight', () => {
    const vm = vmOf({
      faultTolerant: true,
      connectionState: 'disconnected',
      disks: [diskOf({ mode: 'independent_persistent' })],
    })
    const failed = judgeVm(factsOf({ vm }), policyOf()).filter(({ state }) => state === 'failed')
    expect(failed.map(({ code }) => code)).toEqual(['vm-fault-tolerant', 'vm-not-connected', 'disk-unsupported'])
    for (const { next } of failed) expect(next).not.toBe('')
  })

  it('with a snapshot of ours is as it will be without it', () => {
    const delta = diskOf({ fileName: '[ds1] db-01/db-01-000001.vmdk', parents: ['[ds1] db-01/db-01.vmdk'] })
    const facts = factsOf({ vm: vmOf({ snapshots: [snapshotOf(ourName)], disks: [delta] }) })
    expect(vmWithoutOurs(facts)).toMatchObject({
      snapshots: [],
      disks: [{ fileName: '[ds1] db-01/db-01.vmdk', parents: [] }],
    })
    const checks = checksOf(facts)
    expect(checks['vm.snapshots']).toMatchObject({ state: 'warning', found: expect.stringContaining('of ours') })
    expect(checks['vm.state']?.state).toBe('ok')
  })

  it('keeps foreign snapshots, among them those of a job that nobody here knows', () => {
    const tree = [snapshotOf('theirs', [snapshotOf(ourName, [snapshotOf('above')])])]
    const facts = factsOf({ vm: vmOf({ snapshots: tree }) })
    expect(vmWithoutOurs(facts).snapshots.map(({ name }) => name)).toEqual(['theirs', 'above'])
    expect(checksOf({ vm: vmOf({ snapshots: tree }) })['vm.snapshots']?.found).toContain('of ours')
    const stranger = checksOf({ vm: vmOf({ snapshots: [snapshotOf(ourName)] }), isOurJob: () => false })
    expect(stranger['vm.snapshots']).toMatchObject({
      state: 'warning',
      next: expect.stringContaining('named like ours'),
    })
  })

  it.each([
    ['on', {}, 'ok'],
    ['off and can be turned on', { changeTrackingEnabled: false }, 'ok'],
    ['not supported', { changeTrackingEnabled: false, changeTrackingSupported: false }, 'warning'],
    ['off below foreign snapshots', { changeTrackingEnabled: false, snapshots: [snapshotOf('theirs')] }, 'warning'],
  ])('with tracking %s', (_, change, state) => {
    expect(checksOf({ vm: vmOf(change) })['vm.tracking']?.state).toBe(state)
  })

  it('names the disks that are tracked, and those that never are', () => {
    const disks = [diskOf(), diskOf({ key: 2001, label: 'Hard disk 2', mode: 'independent_persistent' })]
    expect(checksOf({ vm: vmOf({ disks }) })['vm.tracking']?.found).toBe(
      'on for Hard disk 1; never for Hard disk 2, which no snapshot holds',
    )
  })

  it('whose tracking is to be reset says since when and why', () => {
    const trackingReset = { since: '2026-01-02T00:00:00.000Z', reason: 'an audit found a difference' }
    const history = { ...newVmHistory({ vmId, name: 'db-01' }), trackingReset }
    expect(checksOf({ history })['vm.tracking']).toMatchObject({
      state: 'warning',
      found: 'to be reset since 2026-01-02T00:00:00.000Z: an audit found a difference',
    })
  })

  it('that needs consolidation, or is busy, is warned of', () => {
    const checks = checksOf({ vm: vmOf({ consolidationNeeded: true }), tasks: known([{ name: 'CloneVM_Task' }]) })
    expect(checks['vm.consolidation']).toMatchObject({ state: 'warning', needed: 'disks that are consolidated' })
    expect(checks['vm.tasks']).toMatchObject({ state: 'warning', found: '"CloneVM_Task"' })
    expect(checksOf({ tasks: unknown('no answer') })['vm.tasks']?.state).toBe('failed')
  })
})

describe('a guest', () => {
  const script: ScriptBundle = {
    bundle: 'scripts/a.sh',
    sha256: '0'.repeat(64),
    entry: 'a.sh',
    timeoutMs: 1000,
    successCodes: [0],
    elevated: false,
  }
  const scripts = { linux: { preFreeze: script }, windows: {}, freezeLimitMs: 1000 }
  const guest = { ...policyOf().guest, mode: 'try' as const, credentials: 'db' }
  const policy = policyOf({ guest, scripts })
  const credentials = {
    ...{ user: 'backup', password: null, privateKey: 'k', passphrase: null, domain: null, vix: null },
    ...{ hostKeys: [], certificates: [], sshPort: 22, winrmPort: 5986 },
  }
  const account = { name: 'db', credentials: known(credentials) }

  it('has a way in when it has an address, or Tools and a password', () => {
    const judge = (change: Parameters<typeof vmOf>[0], password: string | null = null) =>
      guestVerdict(vmOf(change ?? {}), policy, { name: 'db', credentials: known({ ...credentials, password }) })
    expect(judge({}).prospects.kind).toBe('likely')
    expect(judge({ guest: { ipAddresses: [] } })).toMatchObject({
      prospects: { kind: 'none' },
      verdict: { state: 'warning' },
    })
    expect(judge({ guest: { ipAddresses: [] } }, 'p').prospects.kind).toBe('likely')
    expect(judge({ guest: { ipAddresses: [], toolsRunning: false } }, 'p').prospects.kind).toBe('none')
  })

  it('without a way in fails where the policy requires one', () => {
    const strict = policyOf({ scripts, guest: { ...guest, mode: 'require' } })
    const lost = { name: 'db', credentials: unknown('the file is empty') }
    expect(guestVerdict(vmOf(), strict, lost).verdict).toMatchObject({ state: 'failed', found: 'the file is empty' })
    expect(guestVerdict(vmOf(), strict, null).verdict.state).toBe('failed')
    expect(guestVerdict(vmOf({ guest: { family: null } }), strict, account).verdict.state).toBe('failed')
  })

  it('is no matter where nothing is to be run in it', () => {
    expect(guestVerdict(vmOf(), policyOf(), null).verdict.state).toBe('ok')
    expect(guestVerdict(vmOf({ powerState: 'poweredOff' }), policy, account).verdict.state).toBe('ok')
    expect(guestVerdict(vmOf({ guest: { family: 'windows' } }), policy, account).verdict.state).toBe('ok')
  })
})

describe('rights', () => {
  const needs = PRIVILEGE_NEEDS.filter(
    ({ feature }) => feature === 'backup' || feature === 'lease' || feature === 'datastore',
  )
  const where = 'VM "db-01"'
  const both = policyOf({ transport: ['lease', 'datastore'] })

  it('that no backup can do without are failed, with the object and what they are for', () => {
    const { verdict } = judgeRights(known(['VirtualMachine.State.CreateSnapshot']), { needs, policy: both, where })
    expect(verdict).toMatchObject({
      state: 'failed',
      code: 'privilege-missing',
      found: 'missing on VM "db-01": VirtualMachine.State.CreateSnapshot',
      needed: 'VirtualMachine.State.CreateSnapshot: makes the snapshot',
    })
  })

  it('of one transport among several are a warning, and keep that one from being predicted', () => {
    const { verdict, lacks } = judgeRights(known(['VApp.Export']), { needs, policy: both, where })
    expect(verdict.state).toBe('warning')
    expect(lacks).toEqual([{ feature: 'lease', words: 'the account lacks VApp.Export on VM "db-01"' }])
    const only = policyOf({ transport: ['lease'] })
    expect(judgeRights(known(['VApp.Export']), { needs, policy: only, where }).verdict.state).toBe('failed')
  })

  it('that only other products ask for are a warning, and keep no transport from being used', () => {
    const nbdssl = PRIVILEGE_NEEDS.filter(({ feature }) => feature === 'nbdssl')
    const missing = known(['VirtualMachine.Config.DiskLease'])
    const { verdict, lacks } = judgeRights(missing, {
      needs: nbdssl,
      policy: policyOf({ transport: ['nbdssl'] }),
      where,
    })
    expect({ state: verdict.state, lacks }).toEqual({ state: 'warning', lacks: [] })
    expect(verdict.needed).toContain('not verified')
  })

  it('that make a backup worse are a warning, and unknown ones are no rights', () => {
    const { verdict, lacks } = judgeRights(known(['VirtualMachine.Config.ChangeTracking']), {
      needs,
      policy: both,
      where,
    })
    expect({ state: verdict.state, lacks }).toEqual({ state: 'warning', lacks: [] })
    expect(judgeRights(unknown('vCenter answers NoPermission'), { needs, policy: both, where }).verdict.state).toBe(
      'failed',
    )
  })
})

describe('hosts and datastores', () => {
  const host = {
    moref: vmOf().moref,
    name: 'esx-1',
    connectionState: 'connected',
    maintenance: false,
    version: '8.0.3',
  }
  const store = {
    moref: vmOf().moref,
    name: 'ds1',
    type: 'VMFS',
    volume: 'v1',
    accessible: true,
    maintenanceMode: 'normal',
  }

  it.each([
    [{}, 'ok'],
    [{ maintenance: true }, 'warning'],
    [{ connectionState: 'notResponding' }, 'failed'],
  ])('a host with %j is %s', (change, state) => {
    expect(hostVerdict(known({ ...host, ...change })).state).toBe(state)
  })

  it.each([
    [{ capacityBytes: 100 * GiB, freeBytes: 50 * GiB }, 'ok'],
    [{ capacityBytes: 100 * GiB, freeBytes: 9 * GiB }, 'failed'],
    [{ capacityBytes: 100 * GiB, freeBytes: GiB }, 'failed'],
    [{ capacityBytes: 100 * GiB, freeBytes: 50 * GiB, accessible: false }, 'failed'],
    [{ capacityBytes: 100 * GiB, freeBytes: 50 * GiB, maintenanceMode: 'inMaintenance' }, 'failed'],
    [{ capacityBytes: 4 * GiB, freeBytes: 3 * GiB }, 'ok'],
  ])('a datastore with %j is %s', (change, state) => {
    expect(datastoreVerdict({ ...store, ...change }, defaultAdmissionLimits).state).toBe(state)
  })

  it('slow storage is a warning, and what is not told is no fault', () => {
    const judge = (readMs: number | null) =>
      latencyVerdict(known([{ datastore: 'ds1', readMs }]), defaultAdmissionLimits)
    expect(judge(null)).toMatchObject({ state: 'ok', found: 'the server does not tell' })
    expect(judge(5).state).toBe('ok')
    expect(judge(80)).toMatchObject({ state: 'warning', found: 'ds1 80 ms' })
  })

  it('a port that is closed fails what has no other way', () => {
    const closed = unknown('the connection is refused')
    const place = '"esx-1:902"'
    const one = hostPortVerdict(closed, { ways: ['nbdssl'], policy: policyOf({ transport: ['nbdssl'] }), place })
    expect(one).toMatchObject({ verdict: { state: 'failed' }, lacks: [{ feature: 'nbdssl' }] })
    const two = hostPortVerdict(closed, {
      ways: ['nbdssl'],
      policy: policyOf({ transport: ['nbdssl', 'lease'] }),
      place,
    })
    expect(two.verdict.state).toBe('warning')
  })
})

describe('a vCenter', () => {
  const sha256 = 'AB:CD'
  const shown = known({
    sha256,
    sha1: 'AB',
    subject: 'vc',
    validUntil: '2027-01-01T00:00:00.000Z',
    mistrust: 'self-signed',
  })
  const nowMs = Date.parse('2026-06-01T00:00:00.000Z')

  it('with another certificate than the pinned one names both fingerprints', () => {
    const verdict = certificateVerdict(shown, { kind: 'thumbprint', sha256: 'abce' }, nowMs)
    expect(verdict).toMatchObject({
      state: 'failed',
      code: 'vcenter-thumbprint',
      found: expect.stringContaining('AB:CD'),
      needed: expect.stringContaining('AB:CE'),
    })
    expect(certificateVerdict(shown, { kind: 'thumbprint', sha256: 'abcd' }, nowMs).state).toBe('ok')
  })

  it('that no authority vouches for tells the fingerprint that could be pinned', () => {
    const verdict = certificateVerdict(shown, { kind: 'system' }, nowMs)
    expect(verdict).toMatchObject({
      state: 'failed',
      next: expect.stringContaining('COLDFRAME_VCENTER_THUMBPRINT=AB:CD'),
    })
  })

  it('whose certificate ends soon is warned of', () => {
    const late = Date.parse('2026-12-20T00:00:00.000Z')
    expect(certificateVerdict(shown, { kind: 'thumbprint', sha256 }, late).state).toBe('warning')
  })

  it.each([
    ['2026-06-01T00:00:00.500Z', 'ok'],
    ['2026-06-01T00:02:00.000Z', 'warning'],
    ['2026-05-31T23:58:00.000Z', 'warning'],
    ['2026-06-01T01:00:00.000Z', 'failed'],
  ])('whose clock says %s is %s', (theirs, state) => {
    expect(clockVerdict(known(theirs), { fromMs: nowMs, untilMs: nowMs + 100 }).state).toBe(state)
  })

  it('that answers slowly is not taken for one whose clock is wrong', () => {
    const between = new Date(nowMs + 70_000).toISOString()
    expect(clockVerdict(known(between), { fromMs: nowMs, untilMs: nowMs + 120_000 }).found).toContain(
      'less than a second',
    )
  })

  it('of an old release fails, a lone host is warned of', () => {
    const about = { fullName: 'vCenter', apiVersion: '6.0', instanceUuid: 'x' }
    expect(versionVerdict({ about }).state).toBe('failed')
    expect(versionVerdict({ about: { ...about, apiVersion: '8.0.3.0' } }).state).toBe('ok')
    expect(versionVerdict({ about: { ...about, apiVersion: '7.0', instanceUuid: null } }).state).toBe('warning')
  })
})
