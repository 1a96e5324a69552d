// capture: what is frozen, with which grade, and what becomes of snapshots that were begun and not finished.

import { describe, expect, it } from 'vitest'
import { type MemoryVm, newDisk } from '../../lib/adapters/memory/machine.ts'
import { KiB } from '../../lib/base/bytes.ts'
import { BackupError } from '../../lib/base/errors.ts'
import { parseSnapshotName } from '../../lib/model/ids.ts'
import { defaultPolicy } from '../../lib/model/policy.ts'
import { backUpOne, expectRest, ourSnapshots, pointOfJob } from './backups.ts'
import { chaos } from './chaos.ts'
import { newEngine } from './engine.ts'
import { addVm, newWorld, policyWith } from './world.ts'

async function worldWithVm() {
  const world = await newWorld()
  const vm = addVm(world, { diskBytes: [192 * KiB] })
  return { world, vm, engine: newEngine(world) }
}

/** Does something once, when a stage makes a call. */
function at(process: string, call: string, act: () => void) {
  let done = false
  return chaos((made) => {
    if (!done && made.process === process && made.name === call) {
      done = true
      act()
    }
    return null
  })
}

async function untilIdle(vm: MemoryVm): Promise<void> {
  while (vm.runningTasks.length > 0) await new Promise((resolve) => setImmediate(resolve))
}

describe('capture', () => {
  it('walks down the ladder when quiescing fails, and says so on the point', async () => {
    const { world, vm, engine } = await worldWithVm()
    for (const fails of [0, 1, 2, 3, 4]) {
      vm.mishaps.quiesceFails = fails
      const job = await backUpOne(engine)
      expect(job.outcome?.kind).toBe('success')
      const grade = (await pointOfJob(world, job))?.body.grade
      const quiesced = fails < world.limits.quiesceTries
      expect(grade).toMatchObject({
        reached: quiesced ? 'filesystem' : 'crash',
        quiesced,
        method: quiesced ? 'tools' : 'none',
      })
      expect(grade?.fallbacks.length).toBe(quiesced ? 0 : 1)
    }
    await expectRest(engine)
  })

  it('fails with a sentence when the policy requires more than quiescing gives', async () => {
    const { vm, engine } = await worldWithVm()
    const policy = policyWith({ consistency: { ...defaultPolicy().consistency, require: 'filesystem' } })
    vm.mishaps.quiesceFails = 3
    const failed = await backUpOne(engine, { policy })
    expect(failed.outcome).toMatchObject({ kind: 'failed', code: 'grade-not-reached' })
    vm.mishaps.quiesceFails = 0
    vm.mishaps.quiesceUnmarked = true
    expect((await backUpOne(engine, { policy })).outcome).toMatchObject({ code: 'grade-not-reached' })
    vm.mishaps.quiesceUnmarked = false
    vm.toolsRunning = false
    expect((await backUpOne(engine, { policy })).outcome?.message).toContain('VMware Tools')
    vm.toolsRunning = true
    expect((await backUpOne(engine, { policy })).outcome?.kind).toBe('success')
    await expectRest(engine)
  })

  it.each(['prepare', 'capture'])(
    'tries a snapshot that fails in %s anew, as often as the policy has attempts',
    async (stage) => {
      const { world, vm, engine } = await worldWithVm()
      const refuse = (retry: 'later' | 'no', times: number) => {
        let left = times
        world.chaos = chaos(({ process, name }) => {
          if (process !== stage || name !== 'vsphere.createSnapshot' || left-- <= 0) return null
          const error = new BackupError('Cannot create the snapshot: it failed', { code: 'snapshot-failed', retry })
          return { when: 'before', blow: 'error', error }
        })
      }
      // In "prepare" it is the stun of tracking that was turned on, which is done once.
      const attemptsMax = stage === 'prepare' ? 1 : 3
      const backUp = (most: number) => {
        Object.assign(vm, { tracking: false, trackingReal: false })
        return backUpOne(engine, { policy: policyWith({ attemptsMax: most }) })
      }
      refuse('later', attemptsMax)
      const failed = { attempt: attemptsMax, outcome: { code: 'snapshot-failed' } }
      expect(await backUp(attemptsMax)).toMatchObject(failed)
      refuse('no', 1)
      expect(await backUp(attemptsMax)).toMatchObject({ attempt: 1, outcome: { code: 'snapshot-failed' } })
      refuse('later', attemptsMax)
      const good = { attempt: attemptsMax + 1, outcome: { kind: 'success' } }
      expect(await backUp(attemptsMax + 1)).toMatchObject(good)
      await expectRest(engine)
    },
  )

  it('grades a VM without Tools as crash-consistent and one that is powered off as offline', async () => {
    const { vm, engine, world } = await worldWithVm()
    vm.toolsRunning = false
    const crash = await pointOfJob(world, await backUpOne(engine))
    expect(crash?.body.grade).toMatchObject({ reached: 'crash' })
    expect(crash?.body.grade.fallbacks[0]).toContain('VMware Tools')
    vm.powerState = 'poweredOff'
    const policy = policyWith({ consistency: { ...defaultPolicy().consistency, require: 'filesystem' } })
    const offline = await pointOfJob(world, await backUpOne(engine, { policy }))
    expect(offline?.body.grade).toMatchObject({ reached: 'offline', fallbacks: [] })
    await expectRest(engine)
  })

  it('that stops waiting for its snapshot lets the next one find and remove it', async () => {
    for (const takesMs of [300, 5_000, 200_000]) {
      const { world, vm, engine } = await worldWithVm()
      vm.mishaps.snapshotTakesMs = takesMs
      world.chaos = at('capture', 'vsphere.createSnapshot', () => {
        const [capturing] = [...engine.living].filter(({ name }) => name === 'capture')
        setImmediate(() => capturing?.stop.abort(new DOMException('The process stops', 'AbortError')))
      })
      const job = await backUpOne(engine)
      expect(job.outcome?.kind).toBe('success')
      await expectRest(engine)
    }
  })

  it('whose earlier snapshot comes into being between its looks does not build on it', async () => {
    const { world, vm, engine } = await worldWithVm()
    vm.mishaps.snapshotTakesMs = 150_000
    let looks = 0
    let raced = false
    world.chaos = chaos(({ process, name }) => {
      if (process !== 'capture') return null
      if (name === 'vsphere.createSnapshot' && vm.runningTasks.length === 0 && looks === 0) {
        const [capturing] = [...engine.living].filter((each) => each.name === 'capture')
        setImmediate(() => capturing?.stop.abort(new DOMException('The process stops', 'AbortError')))
        looks++
      } else if (!raced && name.startsWith('vsphere.r') && vm.runningTasks.length > 0) {
        // The task ends right after the first look at the VM.
        vm.mishaps.snapshotTakesMs = 0
        raced = true
        return { when: 'after', blow: 'delay', until: untilIdle(vm) }
      }
      return null
    })
    const job = await backUpOne(engine)
    expect([looks, raced]).toEqual([1, true])
    expect(job.outcome?.kind).toBe('success')
    await expectRest(engine)
  })

  it('judges the VM once more: a disk that came meanwhile is not left out in silence', async () => {
    const { world, vm, engine } = await worldWithVm()
    const independent = newDisk({ vm: 'db-1', key: 2001, bytes: 64 * KiB })
    independent.mode = 'independent_persistent'
    world.chaos = at('capture', 'vsphere.open', () => vm.disks.push(independent))
    const job = await backUpOne(engine)
    expect(job.outcome).toMatchObject({ kind: 'failed', code: 'disk-unsupported' })
    const policy = policyWith({ disks: { exclude: ['Hard disk 2'] } })
    vm.disks.pop()
    world.chaos = at('capture', 'vsphere.open', () => vm.disks.push(independent))
    const excluded = await backUpOne(engine, { policy })
    expect(excluded.outcome).toMatchObject({ kind: 'warning', code: 'disk-excluded' })
    expect((await pointOfJob(world, excluded))?.body.excludedDisks).toMatchObject([{ key: 2001 }])
    await expectRest(engine)
  })

  it('consolidates what the removal of its own earlier snapshot left behind', async () => {
    const { world, vm, engine } = await worldWithVm()
    let struck = false
    world.chaos = chaos(({ process, name }) => {
      if (struck || process !== 'capture' || name !== 'vsphere.captureConfig') return null
      struck = true
      vm.mishaps.removalsUnconsolidated = 1
      return { when: 'before', blow: 'unreachable' }
    })
    const started = world.clock.nowMs()
    expect((await backUpOne(engine)).outcome?.kind).toBe('success')
    expect(world.clock.nowMs() - started).toBeLessThan(600_000)
    await expectRest(engine)
  })

  it('that was taken over cannot move the job when it wakes, and its stray snapshot goes with the next backup', async () => {
    for (const call of [
      'vsphere.open',
      'vsphere.readVm',
      'vsphere.runningTasks',
      'vsphere.createSnapshot',
      'vsphere.captureConfig',
    ]) {
      for (const when of ['before', 'after'] as const) {
        const { world, vm, engine } = await worldWithVm()
        const zombie = Promise.withResolvers<void>()
        let held = false
        world.chaos = chaos(async ({ process, name }) => {
          if (held || process !== 'capture' || name !== call) return null
          held = true
          return { when, blow: 'pause', until: zombie.promise }
        })
        const job = await backUpOne(engine)
        expect(held).toBe(true)
        expect(job.outcome?.kind).toBe('success')
        expect(job.attempt).toBe(2)
        await expectRest(engine)
        const done = await world.jobStore.jobs.get(job.id, { signal: new AbortController().signal })
        zombie.resolve()
        for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
        expect(await world.jobStore.jobs.get(job.id, { signal: new AbortController().signal })).toEqual(done)
        for (const stray of ourSnapshots(vm))
          expect(parseSnapshotName(stray)).toMatchObject({ job: job.id, attempt: 1 })
        expect((await backUpOne(engine)).outcome?.kind).toBe('success')
        await expectRest(engine)
      }
    }
  })
})
