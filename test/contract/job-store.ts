// What every job store keeps. Run on each implementation.

import { describe, expect, it } from 'vitest'
import {
  alarmIdOf,
  operationIdOf,
  parsePointId,
  parsePolicyName,
  parseRunId,
  parseVmId,
  type RunId,
  sessionIdOf,
} from '../../lib/model/ids.ts'
import type { JobStore } from '../../lib/ports/job-store.ts'
import {
  fullJob,
  sampleAlarm,
  sampleAlarmQueue,
  sampleAttempt,
  sampleJob,
  sampleJobId,
  sampleOperation,
  samplePointEntry,
  sampleResource,
  sampleRun,
  sampleRunId,
  sampleStoredPolicy,
  sampleVmHistory,
} from '../kit/record-samples.ts'

const cancel = { signal: new AbortController().signal }
const otherRun: RunId = parseRunId('f'.repeat(32))

/** @param open a new, empty store */
export function jobStoreContract(
  name: string,
  open: () => Promise<{ readonly store: JobStore } & AsyncDisposable>,
): void {
  describe(`job store: ${name}`, () => {
    it('creates a record once, at version 1', async () => {
      await using opened = await open()
      const { jobs } = opened.store

      expect(await jobs.create(sampleJob().id, fullJob(), cancel)).toBe('created')
      expect(await jobs.create(sampleJob().id, sampleJob(), cancel)).toBe('exists')
      expect(await jobs.get(sampleJob().id, cancel)).toEqual({ value: fullJob(), version: 1 })
    })

    it('answers null for a record that nobody created', async () => {
      await using opened = await open()

      expect(await opened.store.jobs.get(sampleJobId(9), cancel)).toBe(null)
      expect(await opened.store.attempts.get(sessionIdOf(sampleJobId(9), 1), cancel)).toBe(null)
    })

    it('replaces only the version that was read', async () => {
      await using opened = await open()
      const { resources } = opened.store
      const next = (units: number) => sampleResource({ places: [{ holder: 'a', units, untilMs: 1 }] })

      expect(await resources.replace('vm:1', { value: next(1), version: 1 }, cancel)).toBe('conflict')
      await resources.create('vm:1', next(1), cancel)
      expect(await resources.replace('vm:1', { value: next(2), version: 1 }, cancel)).toBe('replaced')
      expect(await resources.replace('vm:1', { value: next(3), version: 1 }, cancel)).toBe('conflict')
      expect(await resources.get('vm:1', cancel)).toEqual({ value: next(2), version: 2 })
    })

    it('lets exactly one of many concurrent writers win each version', async () => {
      await using opened = await open()
      const { resources } = opened.store
      await resources.create('r', sampleResource({ name: 'r', waiters: [], places: [] }), cancel)
      const addOne = async (holder: string): Promise<void> => {
        for (;;) {
          const found = await resources.get('r', cancel)
          if (found === null) throw new Error('the record is gone')
          const places = [...found.value.places, { holder, units: 1, untilMs: 1 }]
          const told = await resources.replace(
            'r',
            { value: { ...found.value, places }, version: found.version },
            cancel,
          )
          if (told === 'replaced') return
        }
      }
      const holders = Array.from({ length: 20 }, (_, index) => `h${index}`)
      await Promise.all(holders.map(addOne))

      const last = await resources.get('r', cancel)
      expect(last?.version).toBe(21)
      expect(last?.value.places.map(({ holder }) => holder).toSorted()).toEqual(holders.toSorted())
    })

    it('keeps runs, jobs, attempts and resources apart', async () => {
      await using opened = await open()
      const { store } = opened
      const session = sessionIdOf(sampleJob().id, 1)
      await store.runs.create(sampleRunId, sampleRun(), cancel)
      await store.attempts.create(session, sampleAttempt(), cancel)

      expect(await store.runs.get(sampleRunId, cancel)).toEqual({ value: sampleRun(), version: 1 })
      expect(await store.attempts.get(session, cancel)).toEqual({ value: sampleAttempt(), version: 1 })
      expect(await store.recentJobs({ limit: 9 }, cancel)).toEqual([])
    })

    it('lists the jobs of a run and no others', async () => {
      await using opened = await open()
      const { store } = opened
      for (const number of [1, 2, 3]) {
        const runId = number === 2 ? otherRun : sampleRunId
        await store.jobs.create(sampleJobId(number), sampleJob({ id: sampleJobId(number), runId }), cancel)
      }

      const ids = (await store.jobsOfRun(sampleRunId, cancel)).map(({ id }) => id)
      expect(ids.toSorted()).toEqual([sampleJobId(1), sampleJobId(3)].toSorted())
      expect(await store.jobsOfRun(parseRunId('e'.repeat(32)), cancel)).toEqual([])
    })

    it('lists due jobs most overdue first, without those that are done or sleep', async () => {
      await using opened = await open()
      const { store } = opened
      const wakes: readonly (number | null)[] = [300, 100, 200, 201, null]
      for (const [number, wakeAtMs] of wakes.entries()) {
        await store.jobs.create(sampleJobId(number), sampleJob({ id: sampleJobId(number), wakeAtMs }), cancel)
      }
      const done = sampleJob({ id: sampleJobId(9), wakeAtMs: 1, state: 'done', nextStage: null })
      await store.jobs.create(done.id, done, cancel)

      const due = await store.dueJobs({ beforeMs: 200, limit: 10 }, cancel)
      expect(due.map(({ value }) => value.wakeAtMs)).toEqual([100, 200])
      expect(due.map(({ version }) => version)).toEqual([1, 1])
      expect(await store.dueJobs({ beforeMs: 200, limit: 1 }, cancel)).toHaveLength(1)
    })

    it('lists a job whose freeze should be over, however far its wake-up is', async () => {
      await using opened = await open()
      const { jobs, dueJobs } = opened.store
      const job = sampleJob({ wakeAtMs: 900, freezeDeadlineMs: 300 })
      await jobs.create(job.id, job, cancel)
      expect(await dueJobs({ beforeMs: 299, limit: 10 }, cancel)).toEqual([])
      expect(await dueJobs({ beforeMs: 300, limit: 10 }, cancel)).toHaveLength(1)
      await jobs.replace(job.id, { value: { ...job, freezeDeadlineMs: null }, version: 1 }, cancel)
      expect(await dueJobs({ beforeMs: 899, limit: 10 }, cancel)).toEqual([])
    })

    it('lists runs, operations and alarms that nobody has finished, most overdue first', async () => {
      await using opened = await open()
      const { store } = opened
      for (const [number, wakeAtMs] of [300, 100, 200, 201].entries()) {
        const id = parseRunId(String(number).repeat(32))
        await store.runs.create(id, sampleRun({ id, wakeAtMs }), cancel)
        const operation = sampleOperation({
          id: operationIdOf({ kind: 'verify', key: id }),
          wakeAtMs,
          state: 'running',
        })
        await store.operations.create(operation.id, operation, cancel)
        const alarm = sampleAlarm({ id: alarmIdOf({ source: 'snmp', key: id }) })
        await store.alarms.create(alarm.alarm.id, { ...alarm, decision: null, wakeAtMs }, cancel)
      }
      const query = { beforeMs: 200, limit: 10 }
      const [runs, operations, alarms] = [
        await store.dueRuns(query, cancel),
        await store.dueOperations(query, cancel),
        await store.dueAlarms(query, cancel),
      ]
      for (const due of [runs, operations, alarms]) {
        expect(due.map(({ value, version }) => [value.wakeAtMs, version])).toEqual([
          [100, 1],
          [200, 1],
        ])
      }
      expect(await store.dueRuns({ beforeMs: 200, limit: 1 }, cancel)).toHaveLength(1)

      for (const { value: run, version } of runs)
        await store.runs.replace(run.id, { value: { ...run, state: 'planned', wakeAtMs: null }, version }, cancel)
      for (const { value, version } of operations)
        await store.operations.replace(value.id, { value: { ...value, state: 'done' }, version }, cancel)
      for (const { value, version } of alarms)
        await store.alarms.replace(value.alarm.id, { value: { ...value, wakeAtMs: 900 }, version }, cancel)
      expect(await store.dueRuns(query, cancel)).toEqual([])
      expect(await store.dueOperations(query, cancel)).toEqual([])
      expect(await store.dueAlarms(query, cancel)).toEqual([])
      expect((await store.dueAlarms({ beforeMs: 900, limit: 9 }, cancel)).length).toBe(4)
    })

    it('keeps by what the guest of a VM is known', async () => {
      await using opened = await open()
      const { guests } = opened.store
      const { vmId } = sampleJob().vm
      const hostKeys = { pins: ['SHA256:x'], learned: 'vix' as const, at: '2026-01-02T03:04:05.000Z' }
      expect(await guests.create(vmId, { hostKeys, certificates: null }, cancel)).toBe('created')
      expect(await guests.create(vmId, { hostKeys: null, certificates: null }, cancel)).toBe('exists')
      expect(await guests.get(vmId, cancel)).toEqual({ value: { hostKeys, certificates: null }, version: 1 })
    })

    it('keeps what is remembered of a VM from job to job', async () => {
      await using opened = await open()
      const { vms } = opened.store
      const { vmId } = sampleJob().vm
      const history = sampleVmHistory()
      expect(await vms.create(vmId, history, cancel)).toBe('created')
      expect(await vms.get(vmId, cancel)).toEqual({ value: history, version: 1 })
      const next = { ...history, trackingReset: null, hunt: null }
      expect(await vms.replace(vmId, { value: next, version: 1 }, cancel)).toBe('replaced')
      expect(await vms.get(vmId, cancel)).toEqual({ value: next, version: 2 })
    })

    it('follows a job that is put off or done', async () => {
      await using opened = await open()
      const { jobs, dueJobs } = opened.store
      const job = sampleJob({ wakeAtMs: 100 })
      await jobs.create(job.id, job, cancel)
      await jobs.replace(job.id, { value: { ...job, wakeAtMs: 500 }, version: 1 }, cancel)
      expect(await dueJobs({ beforeMs: 400, limit: 10 }, cancel)).toEqual([])
      expect(await dueJobs({ beforeMs: 500, limit: 10 }, cancel)).toHaveLength(1)

      await jobs.replace(job.id, { value: { ...job, wakeAtMs: 500, state: 'done' }, version: 2 }, cancel)
      expect(await dueJobs({ beforeMs: 500, limit: 10 }, cancel)).toEqual([])
    })

    it('lists recent jobs and runs newest first, up to the limit', async () => {
      await using opened = await open()
      const { store } = opened
      const at = (day: number): string => `2026-01-0${day}T00:00:00.000Z`
      for (const [number, day] of [2, 1, 3].entries()) {
        const times = { ...sampleJob().times, createdAt: at(day) }
        await store.jobs.create(sampleJobId(number), sampleJob({ id: sampleJobId(number), times }), cancel)
        const id = parseRunId(String(number).repeat(32))
        await store.runs.create(id, sampleRun({ id, requestedAt: at(day) }), cancel)
      }

      const jobs = await store.recentJobs({ limit: 2 }, cancel)
      expect(jobs.map(({ times }) => times.createdAt)).toEqual([at(3), at(2)])
      const runs = await store.recentRuns({ limit: 2 }, cancel)
      expect(runs.map(({ requestedAt }) => requestedAt)).toEqual([at(3), at(2)])
    })

    it('keeps what the doors keep', async () => {
      await using opened = await open()
      const { policies, operations, alarms, doors } = opened.store
      const [policy, operation, alarm] = [sampleStoredPolicy(), sampleOperation(), sampleAlarm()]
      const queue = sampleAlarmQueue()
      const checkpoint = { kind: 'checkpoint', at: '2026-01-02T03:04:05.000Z', keys: [1, 2] } as const
      for (let write = 1; write <= 2; write++) {
        const told = write === 1 ? 'created' : 'exists'
        expect(await policies.create(policy.name, policy, cancel)).toBe(told)
        expect(await operations.create(operation.id, operation, cancel)).toBe(told)
        expect(await alarms.create(alarm.alarm.id, alarm, cancel)).toBe(told)
        expect(await doors.create('alarms:default', queue, cancel)).toBe(told)
      }
      await doors.create('pull:vc', checkpoint, cancel)
      expect(await policies.get(policy.name, cancel)).toEqual({ value: policy, version: 1 })
      expect(await operations.get(operation.id, cancel)).toEqual({ value: operation, version: 1 })
      expect(await alarms.get(alarm.alarm.id, cancel)).toEqual({ value: alarm, version: 1 })
      expect(await doors.get('alarms:default', cancel)).toEqual({ value: queue, version: 1 })
      expect(await doors.replace('pull:vc', { value: { ...checkpoint, keys: [3] }, version: 1 }, cancel)).toBe(
        'replaced',
      )
      expect((await doors.get('pull:vc', cancel))?.value).toEqual({ ...checkpoint, keys: [3] })
    })

    it('lists every policy by name, the removed ones, too', async () => {
      await using opened = await open()
      const { store } = opened
      for (const text of ['silver', 'gold', 'lead']) {
        const name = parsePolicyName(text)
        const state = text === 'lead' ? ('removed' as const) : ('active' as const)
        await store.policies.create(name, sampleStoredPolicy({ name, state }), cancel)
      }
      expect((await store.listPolicies(cancel)).map(({ name, state }) => `${name} ${state}`)).toEqual([
        'gold active',
        'lead removed',
        'silver active',
      ])
    })

    it('goes on in a list after the last that was given, also among equal times', async () => {
      await using opened = await open()
      const { store } = opened
      const requestedAt = '2026-01-02T03:04:05.000Z'
      for (const key of ['a', 'b', 'c', 'd', 'e']) {
        const id = operationIdOf({ kind: 'verify', key })
        await store.operations.create(id, sampleOperation({ id, requestedAt }), cancel)
      }
      const seen: string[] = []
      for (let pages = 0; pages < 4; pages++) {
        const last = seen.at(-1)
        const after = last === undefined ? {} : { after: { at: requestedAt, id: last } }
        const page = await store.recentOperations({ limit: 2, ...after }, cancel)
        seen.push(...page.map(({ id }) => id))
      }
      expect(seen).toEqual(
        ['a', 'b', 'c', 'd', 'e']
          .map((key) => operationIdOf({ kind: 'verify', key }))
          .toSorted()
          .toReversed(),
      )
    })

    it('lists points newest first, all or those of one VM, and goes on after the last', async () => {
      await using opened = await open()
      const { store } = opened
      const other = parseVmId('502f1a2b-0000-4000-8000-000000000002')
      for (const number of [1, 2, 3, 4, 5, 6]) {
        const entry = samplePointEntry({
          pointId: parsePointId(String(number).repeat(32)),
          sequence: number,
          capturedAt: `2026-01-0${number}T00:00:00.000Z`,
          ...(number % 2 === 0 ? { vmId: other } : {}),
        })
        expect(await store.points.create(entry.pointId, entry, cancel)).toBe('created')
        expect(await store.points.get(entry.pointId, cancel)).toEqual({ value: entry, version: 1 })
      }
      const all = await store.recentPoints({ limit: 4 }, cancel)
      expect(all.map(({ sequence }) => sequence)).toEqual([6, 5, 4, 3])
      const first = await store.recentPoints({ limit: 2, vmId: other }, cancel)
      expect(first.map(({ sequence }) => sequence)).toEqual([6, 4])
      const last = first.at(-1)
      const after = { at: last?.capturedAt ?? '', id: last?.pointId ?? '' }
      const rest = await store.recentPoints({ limit: 2, vmId: other, after }, cancel)
      expect(rest.map(({ sequence }) => sequence)).toEqual([2])
    })

    it('lists recent alarms newest first', async () => {
      await using opened = await open()
      const { store } = opened
      for (const [key, day] of [
        ['x', 1],
        ['y', 3],
        ['z', 2],
      ] as const) {
        const id = alarmIdOf({ source: 'snmp', key })
        await store.alarms.create(id, sampleAlarm({ id, receivedAt: `2026-01-0${day}T00:00:00.000Z` }), cancel)
      }
      const alarms = await store.recentAlarms({ limit: 2 }, cancel)
      expect(alarms.map(({ alarm }) => alarm.receivedAt.slice(0, 10))).toEqual(['2026-01-03', '2026-01-02'])
    })

    it('does nothing for a caller that has been cancelled', async () => {
      await using opened = await open()
      const cancelled = { signal: AbortSignal.abort(new Error('over')) }

      await expect(opened.store.jobs.create(sampleJob().id, sampleJob(), cancelled)).rejects.toThrow('over')
      expect(await opened.store.jobs.get(sampleJob().id, cancel)).toBe(null)
    })
  })
}
