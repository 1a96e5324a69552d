// What a fleet run comes to: pure, from what was counted to numbers and lines.

import { MiB } from '../../lib/base/bytes.ts'
import type { Job } from '../../lib/model/job.ts'
import { sumOf } from './counts.ts'
import type { FleetResult } from './fleet.ts'

export type FleetReport = ReturnType<typeof reportOf>

export function reportOf(result: FleetResult) {
  const { jobs, counts, soapCalls, snapshotsLeft, unconsolidated, livesMs, wallMs, cpuMs } = result
  const perJob = (value: number) => round(value / Math.max(1, jobs.length))
  const ofStages = [...counts.stages.values()].reduce((sum, { elapsedMs }) => sum + elapsedMs, 0)
  const inVcenter = sumOf(counts, /^stage vsphere\./).elapsedMs
  const soap = Object.entries(soapCalls).filter(([name]) => !name.startsWith('/'))
  const limits = limitsOf(result)
  const violations = limits.filter(({ most, max }) => most > max)
  const unfinished = jobs.filter(({ state }) => state !== 'done').length
  const all = violations.length + snapshotsLeft.length + unconsolidated.length + unfinished
  return {
    ok: all === 0,
    unfinished,
    jobs: jobs.length,
    outcomes: countOf(jobs.map(({ outcome }) => `${outcome?.kind} ${outcome?.code}`)),
    retries: {
      attempts: jobs.reduce((sum, { attempt }) => sum + attempt - 1, 0),
      stagesTriedAgain: counts.events.get('stage.failed') ?? 0,
    },
    limits,
    violations: all,
    snapshotsLeft,
    unconsolidated,
    snapshotLifeMs: { median: medianOf(livesMs), longest: Math.max(0, ...livesMs) },
    waitMs: { median: medianOf(jobs.map(waitOf)), longest: Math.max(0, ...jobs.map(waitOf)) },
    perJob: {
      stageMs: perJob(ofStages - inVcenter),
      vcenterMs: perJob(inVcenter),
      soapCalls: perJob(soap.reduce((sum, [, count]) => sum + count, 0)),
      logins: perJob(soapCalls['Login'] ?? 0),
      messages: perJob(sumOf(counts, /^stage queue\.send$/).count),
      recordWrites: perJob(sumOf(counts, /\.(create|replace)$/).count),
      recordReads: perJob(sumOf(counts, /\.get$|jobsOfRun|due[A-Z][a-z]+|recent[A-Z][a-z]+$/).count),
      cpuMs: perJob(cpuMs),
    },
    stages: Object.fromEntries(
      [...counts.stages].map(([name, { count, elapsedMs }]) => [name, { count, meanMs: round(elapsedMs / count) }]),
    ),
    soapCalls: Object.fromEntries(Object.entries(soapCalls).toSorted(([, a], [, b]) => b - a)),
    wallMs: Math.round(wallMs),
  }
}

/** The most that the simulator saw at once, and the most that may be. */
function limitsOf({ peaks }: FleetResult) {
  const most = (of: Readonly<Record<string, number>>) => Math.max(0, ...Object.values(of))
  return [
    { what: 'connections of the vCenter', most: peaks.readsAtOnce, max: VSPHERE_LIMITS.connections },
    { what: 'bytes of one host', most: most(peaks.readBytesAtOnceOfHost), max: VSPHERE_LIMITS.hostBufferBytes },
    {
      what: 'snapshots of one datastore',
      most: most(peaks.snapshotsOfDatastore),
      max: VSPHERE_LIMITS.datastoreSnapshots,
    },
  ]
}

/** NFC connections of a vCenter and buffers of a host as the VDDK documents have them; snapshots as our own limit is. */
const VSPHERE_LIMITS = { connections: 52, hostBufferBytes: 48 * MiB, datastoreSnapshots: 4 }

/** From the job's making to its snapshot; to its end where it has none. */
function waitOf({ times, capture }: Job): number {
  const until = capture?.takenAt ?? times.doneAt ?? times.createdAt
  return Math.max(0, Date.parse(until) - Date.parse(times.createdAt))
}

export function reportText(report: FleetReport): string {
  const { perJob, snapshotLifeMs, waitMs, retries, stages } = report
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
  const most = Object.entries(report.soapCalls).slice(0, 8)
  return [
    `jobs            ${report.jobs} in ${seconds(report.wallMs)}`,
    `outcomes        ${listOf(report.outcomes)}`,
    `retries         ${retries.attempts} attempts, ${retries.stagesTriedAgain} stages tried again`,
    `snapshots       ${seconds(snapshotLifeMs.median)} median life, ${seconds(snapshotLifeMs.longest)} longest`,
    `waits           ${seconds(waitMs.median)} median from request to snapshot, ${seconds(waitMs.longest)} longest`,
    `a job           ${perJob.stageMs} ms in stages outside of vCenter, ${perJob.vcenterMs} ms in it, ${perJob.cpuMs} ms of processor (engine and movers)`,
    `                ${perJob.soapCalls} SOAP calls (${perJob.logins} logins), ${perJob.messages} messages, ${perJob.recordWrites} record writes, ${perJob.recordReads} reads`,
    `stages          ${Object.entries(stages)
      .map(([name, { meanMs }]) => `${name} ${meanMs} ms`)
      .join(', ')}`,
    `most called     ${most.map(([name, count]) => `${name} ${count}`).join(', ')}`,
    `limits          ${report.limits.map(({ what, most, max }) => `${what} ${most} of ${max}`).join(', ')}`,
    `remains         ${report.snapshotsLeft.length} snapshots, ${report.unconsolidated.length} VMs to consolidate, ${report.unfinished} jobs`,
    ...report.snapshotsLeft.map((one) => `left            ${one}`),
    `${report.violations} violations`,
  ].join('\n')
}

function medianOf(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function countOf(names: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const name of names.toSorted()) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

function listOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
}
