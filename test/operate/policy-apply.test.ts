// Applying policies: once and again, half-way, and two at once; the scheduler ends with what the table says.

import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { parsePolicyName } from '../../lib/model/ids.ts'
import { applyPolicies, removePolicies } from '../../lib/operate/policy-apply.ts'
import { scheduleFor } from '../../lib/operate/policy-schedule.ts'
import { cancel, failing, type PolicyWorld, policyWorld, wanted } from './policy-kit.ts'

const gold = wanted('name: gold\nschedule: {cron: "0 22 * * *", timeZone: Europe/Berlin}\n')
const goldLater = wanted('name: gold\nschedule: {cron: "0 23 * * *", timeZone: Europe/Berlin}\n')
const silver = wanted('name: silver\nschedule: {rpo: 4h}\n')
const manual = wanted('name: manual\n')

function apply(world: PolicyWorld, policies: readonly ReturnType<typeof wanted>[], prune = false) {
  return applyPolicies({ policies, prune, by: 'tester' }, world, cancel)
}

/** No schedule without a policy; every active policy has exactly its schedule, once an apply has come to its end. */
async function expectSettled({ jobStore, schedules }: PolicyWorld): Promise<void> {
  const stored = await jobStore.listPolicies(cancel)
  const due = stored.flatMap(({ policy, state }) => (state === 'active' ? [scheduleFor(policy)] : []))
  expect([...schedules.kept.values()].toSorted((a, b) => a.policy.localeCompare(b.policy))).toEqual(
    due.filter((schedule) => schedule !== null),
  )
}

describe('applyPolicies()', () => {
  it('writes records and schedules, and does nothing the second time', async () => {
    const world = policyWorld()
    expect(await apply(world, [gold, silver, manual])).toEqual([
      { name: 'gold', record: 'created', schedule: 'created' },
      { name: 'silver', record: 'created', schedule: 'created' },
      { name: 'manual', record: 'created', schedule: 'none' },
    ])
    expect(world.schedules.kept.get(parsePolicyName('silver'))?.when).toEqual({ kind: 'rate', everyMs: 30 * 60_000 })
    const stored = await world.jobStore.policies.get(parsePolicyName('gold'), cancel)
    expect(stored?.value).toMatchObject({ text: gold.text, state: 'active', appliedBy: 'tester' })
    world.clock.advance(60_000)
    expect((await apply(world, [gold, silver, manual])).map(({ record, schedule }) => `${record} ${schedule}`)).toEqual(
      ['same same', 'same same', 'same none'],
    )
    expect(await world.jobStore.policies.get(parsePolicyName('gold'), cancel)).toEqual(stored)
    await expectSettled(world)
  })

  it('changes what has changed, mends a schedule that somebody else changed, and brings a removed policy back', async () => {
    const world = policyWorld()
    await apply(world, [gold, silver])
    expect(await apply(world, [goldLater])).toEqual([{ name: 'gold', record: 'changed', schedule: 'changed' }])
    world.schedules.kept.delete(parsePolicyName('gold'))
    expect(await apply(world, [goldLater])).toEqual([{ name: 'gold', record: 'same', schedule: 'created' }])
    await removePolicies({ names: [parsePolicyName('gold')], by: 'tester' }, world, cancel)
    expect(world.schedules.kept.has(parsePolicyName('gold'))).toBe(false)
    expect(await apply(world, [gold])).toEqual([{ name: 'gold', record: 'created', schedule: 'created' }])
    await expectSettled(world)
  })

  it('removes what is not given only when asked to, and a schedule that its policy no longer has', async () => {
    const world = policyWorld()
    await apply(world, [gold, silver])
    await apply(world, [manual])
    expect(world.schedules.kept.size).toBe(2)
    expect(await apply(world, [wanted('name: gold\n'), manual], true)).toEqual([
      { name: 'gold', record: 'changed', schedule: 'removed' },
      { name: 'manual', record: 'same', schedule: 'none' },
      { name: 'silver', record: 'removed', schedule: 'removed' },
    ])
    await expectSettled(world)
    const names = [parsePolicyName('bronze')]
    await expect(removePolicies({ names, by: 'x' }, world, cancel)).rejects.toMatchObject({
      code: 'policy-not-found',
      kind: 'not-found',
    })
  })

  it('writes nothing when a script is missing or another one, a name is given twice, or a text is too long', async () => {
    const world = policyWorld()
    const bytes = Buffer.from('echo frozen')
    await world.scripts.putIfAbsent({ key: 'scripts/db.sh', bytes }, cancel)
    const withScript = (sha256: string, bundle = 'scripts/db.sh') =>
      wanted(`name: db
guest: {mode: try, credentials: linux}
scripts: {linux: {preFreeze: {bundle: ${bundle}, sha256: "${sha256}", entry: db.sh}}}
schedule: {every: 1h}
`)
    const right = createHash('sha256').update(bytes).digest('hex')
    const faults = async (policies: readonly ReturnType<typeof wanted>[]) =>
      await apply(world, policies).catch((error: unknown) => error)
    expect(await faults([gold, withScript('ab'.repeat(32))])).toMatchObject({ code: 'script-changed', kind: 'refused' })
    expect(await faults([gold, withScript(right, 'scripts/none.sh')])).toMatchObject({
      code: 'script-missing',
      facts: { faults: ['Script bundle "scripts/none.sh" of policy "db" is not stored'] },
    })
    expect(await faults([gold, goldLater])).toMatchObject({ code: 'policy-twice', kind: 'usage' })
    expect(await faults([{ ...gold, text: `${gold.text}#${'x'.repeat(70_000)}` }])).toMatchObject({
      code: 'policy-large',
    })
    expect(await world.jobStore.listPolicies(cancel)).toEqual([])
    expect(world.schedules.kept.size).toBe(0)
    expect(await apply(world, [withScript(right)])).toMatchObject([{ record: 'created', schedule: 'created' }])
  })

  it('refuses to replace another text than the one that was looked at', async () => {
    const world = policyWorld()
    await apply(world, [gold])
    const stale = { ...goldLater, replaces: null }
    await expect(apply(world, [stale])).rejects.toMatchObject({ code: 'policy-contended', kind: 'refused' })
    const found = await world.jobStore.policies.get(parsePolicyName('gold'), cancel)
    await apply(world, [{ ...goldLater, replaces: found?.value.sha256 ?? '' }])
    await expectSettled(world)
  })

  // Fails call 1, 2, 3 … of an apply that creates, changes and removes: no schedule may name an unknown policy, and a retry must end it.
  it.each([false, true])(
    'that fails at any call (after it took effect: %s) is ended by the next one',
    async (after) => {
      for (let call = 1; ; call++) {
        const world = policyWorld()
        await apply(world, [gold, manual])
        const request = { policies: [goldLater, silver], prune: true, by: 'tester' }
        const { deps, calls } = failing(world, { call, after })
        const failed = await applyPolicies(request, deps, cancel).then(
          () => false,
          () => true,
        )
        if (!failed && calls() < call) break
        const names = new Set((await world.jobStore.listPolicies(cancel)).map(({ name }) => name))
        for (const { policy } of world.schedules.kept.values()) expect(names.has(policy)).toBe(true)
        await applyPolicies(request, world, cancel)
        await expectSettled(world)
        const states = (await world.jobStore.listPolicies(cancel)).map(({ name, state }) => `${name} ${state}`)
        expect(states).toEqual(['gold active', 'manual removed', 'silver active'])
      }
    },
  )

  // Two at once, in every order of their calls that a seed gives: whichever record won, the scheduler follows it.
  it('two at once leave the scheduler with what the table says', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const world = policyWorld()
      await apply(world, [gold])
      const turns = turnTaker(seed)
      const one = applyPolicies({ policies: [goldLater], prune: false, by: 'one' }, turns(world), cancel)
      const two =
        seed % 2 === 0
          ? removePolicies({ names: [parsePolicyName('gold')], by: 'two' }, turns(world), cancel)
          : applyPolicies({ policies: [wanted('name: gold\n')], prune: false, by: 'two' }, turns(world), cancel)
      const ended = await Promise.allSettled([one, two])
      expect(ended.some(({ status }) => status === 'fulfilled')).toBe(true)
      await expectSettled(world)
    }
  })
})

/** Delays every call by a number of turns that follows from the seed. */
function turnTaker(seed: number): (world: PolicyWorld) => PolicyWorld {
  let state = seed
  const wait = async () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    for (let turn = state % 7; turn > 0; turn--) await Promise.resolve()
  }
  const slow = <Args extends readonly unknown[], Result>(call: (...args: Args) => Promise<Result>) => {
    return async (...args: Args): Promise<Result> => {
      await wait()
      const result = await call(...args)
      await wait()
      return result
    }
  }
  return (world) => ({
    ...world,
    jobStore: {
      ...world.jobStore,
      policies: {
        create: slow(world.jobStore.policies.create),
        get: slow(world.jobStore.policies.get),
        replace: slow(world.jobStore.policies.replace),
      },
    },
    schedules: {
      ...world.schedules,
      put: slow(world.schedules.put),
      remove: slow(world.schedules.remove),
      list: slow(world.schedules.list),
    },
  })
}
