// Policies as code through the commands, against the simulator: check, plan, apply, use by name, report, the daemon.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { AppliedPolicy } from '../../lib/operate/policy-apply.ts'
import type { PolicyPlan } from '../../lib/operate/policy-plan.ts'
import type { PolicyReport } from '../../lib/operate/policy-report.ts'
import { type BackupData, jobsOf, openHome, openSim, snapshotsIn } from '../flow/kit.ts'
import { temporaryFolder } from '../kit/local-state.ts'
import { coldframe } from './coldframe.ts'

const gold = 'name: gold\nselect: {any: [{name: "app-*"}]}\nschedule: {every: 1h}\nretention: {last: 2}\n'

type Applied = { readonly plan: PolicyPlan; readonly applied: readonly AppliedPolicy[] }

describe('coldframe policy check', () => {
  it('lists every fault of every file with its place, exit code 2, and needs no settings', async () => {
    await using folder = await temporaryFolder()
    const path = (name: string) => join(folder.path, name)
    await writeFile(path('a.yaml'), 'name: gold\nschedule: {cron: "0 0 31 2 *", jiter: 5m}\n')
    await writeFile(path('b.yaml'), 'name: silver\n\nretention: {last: -1}\nselect: [\n')
    await writeFile(path('c.yaml'), 'name: ok\n')
    const place = { folder: folder.path }
    const wrong = await coldframe(['policy', 'check', 'a.yaml', 'b.yaml', 'c.yaml'], place)
    expect(wrong.exitCode).toBe(2)
    expect(wrong.stderr).toMatch(/^Cannot read policies: \d faults in 3 files\n/)
    expect(wrong.stderr).toContain('  a.yaml:2:18: schedule.cron: never fires')
    expect(wrong.stderr).toContain('  a.yaml:2:32: schedule: unknown key "jiter" (did you mean "jitter"?)')
    expect(wrong.stderr).toMatch(/ {2}b\.yaml:\d+:\d+: not YAML/)
    expect(wrong.stdout).toBe('')
    const right = await coldframe(['policy', 'check', 'c.yaml'], place)
    expect(right).toMatchObject({ exitCode: 0, stdout: 'ok: no fault; schedule: none\n', stderr: '' })
    const twice = await coldframe(['policy', 'check', 'c.yaml', path('c.yaml')], place)
    expect(twice.stderr).toContain('policy "ok" is in "c.yaml" as well')
    expect((await coldframe(['policy', 'check', 'none.yaml'], place)).exitCode).toBe(2)
    expect((await coldframe(['policy', 'chekc', 'c.yaml'], place)).exitCode).toBe(2)
    expect((await coldframe(['policy', 'apply'], place)).exitCode).toBe(2)
    expect(JSON.parse((await coldframe(['policy', 'schema'], place)).stdout)).toHaveProperty('properties.schedule')
  })
})

describe('coldframe policy, report and daemon', () => {
  it('plan changes nothing; apply needs --yes; the policy is used by name; the daemon starts it by its schedule', {
    timeout: 180_000,
  }, async () => {
    await using sim = await openSim('--estate', 'small')
    await using home = await openHome(sim)
    const file = join(home.folder, 'gold.yaml')
    await writeFile(file, gold)

    const planned = await home.run<PolicyPlan>(['policy', 'plan', file])
    expect(planned).toMatchObject({ exitCode: 0, document: { data: { policies: [{ change: 'create' }], losing: [] } } })
    expect(planned.document?.data?.policies[0]?.vms.gained.map(({ name }) => name)).toContain('app-01')
    expect((await home.run<{ policies: unknown[] }>(['policy', 'list'])).document?.data?.policies).toEqual([])

    const unasked = await home.run(['policy', 'apply', file])
    expect(unasked).toMatchObject({ exitCode: 4, document: { error: { code: 'confirmation-needed' } } })
    const applied = await home.run<Applied>(['policy', 'apply', file, '--yes'])
    expect(applied.document?.data?.applied).toEqual([{ name: 'gold', record: 'created', schedule: 'created' }])
    // Nothing would change: nobody needs to be asked.
    const again = await home.run<Applied>(['policy', 'apply', file])
    expect(again.document?.data?.applied).toEqual([{ name: 'gold', record: 'same', schedule: 'same' }])
    expect((await coldframe(['policy', 'show', 'gold'], home)).stdout).toBe(gold)
    expect((await coldframe(['policy', 'list'], home)).stdout).toMatch(/gold +every 1h/)
    expect((await home.run(['policy', 'show', 'brass'])).exitCode).toBe(3)
    expect((await home.run(['backup', '--policy', 'brass'])).exitCode).toBe(3)

    const before = await home.run<PolicyReport>(['report'])
    expect(before).toMatchObject({ exitCode: 0, document: { data: { missed: [], drift: [] } } })
    expect(before.document?.data?.never.map(({ vm }) => vm.name)).toContain('app-01')

    const daemon = home.start(['daemon'])
    while ((await jobsOf(home)).length === 0 || (await jobsOf(home)).some(({ state }) => state !== 'done'))
      await new Promise((resolve) => setTimeout(resolve, 200))
    daemon.child.kill('SIGTERM')
    const ended = await daemon.ended
    expect(ended).toMatchObject({ exitCode: 0, document: { data: { started: 1 } } })
    expect(ended.stderr).toMatch(/gold, [0-9T:.-]+Z: started/)
    const jobs = await jobsOf(home)
    expect(jobs.every(({ outcome }) => outcome?.kind === 'success' || outcome?.kind === 'warning')).toBe(true)
    expect(await snapshotsIn(sim)).toEqual([])

    const after = await home.run<PolicyReport>(['report'])
    expect(after.document?.data).toMatchObject({ missed: [], never: [] })
    expect(after.document?.data?.unprotected.map(({ name }) => name)).toContain('db-01')
    const asked = await home.run<BackupData>(['backup', '--policy', 'gold', '--vm', 'app-01'])
    expect(asked.document?.data?.jobs).toMatchObject([{ vm: { name: 'app-01' }, outcome: { kind: 'success' } }])

    // A change that loses VMs and lets points go is told before anything is done.
    await writeFile(file, gold.replace('app-*', 'db-*').replace('last: 2', 'last: 1'))
    const people = await coldframe(['policy', 'plan', file], home)
    expect(people.stdout).toMatch(/^~ gold: changed, \d+ VMs?\n/)
    expect(people.stdout).toMatch(/loses \d+ VMs?: .*"app-01"/)
    expect(people.stdout).toMatch(/keep rules would let 1 point of 1 VM go; nothing is deleted/)
    const losing = await home.run(['policy', 'apply', file])
    expect(losing.document?.error?.message).toMatch(/VMs? would be in no policy any more/)

    const removed = await home.run<{ applied: AppliedPolicy[] }>(['policy', 'remove', 'gold', '--yes'])
    expect(removed.document?.data?.applied).toEqual([{ name: 'gold', record: 'removed', schedule: 'removed' }])
    expect((await home.run(['backup', '--policy', 'gold'])).document?.error?.code).toBe('policy-not-found')
    expect((await coldframe(['policy', 'list'], home)).stdout).toBe('No policies yet\n')
  })
})
