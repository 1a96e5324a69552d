// How much of a vCenter, its hosts and its datastores backups may take: the part of the settings that an operator changes.

import * as z from 'zod'
import { GiB, MiB } from '../base/bytes.ts'
import { quote } from '../base/errors.ts'
import type { AdmissionLimits } from '../model/admission.ts'

/** Only what was given: a program has its own values for the rest. */
export type AdmissionSettings = Partial<AdmissionLimits>

type Setting = {
  readonly variable: string
  readonly limit: keyof AdmissionLimits
  /** What one of the setting's number is of the limit's. */
  readonly unit: number
  readonly min: number
  readonly max: number
}

const setting = (
  variable: string,
  limit: keyof AdmissionLimits,
  { unit = 1, min = 1, max }: { readonly unit?: number; readonly min?: number; readonly max: number },
): Setting => ({ variable, limit, unit, min, max })

/** By key below "admission" in coldframe.yaml; all are whole numbers. */
export const ADMISSION_SETTINGS = {
  nfcConnections: setting('COLDFRAME_NFC_CONNECTIONS', 'nfcConnections', { max: 1_000 }),
  nfcBuffersMB: setting('COLDFRAME_NFC_BUFFERS_MB', 'nfcBuffersBytes', { unit: MiB, min: 2, max: 4_096 }),
  moverBuffersMB: setting('COLDFRAME_MOVER_BUFFERS_MB', 'moverBufferBytes', { unit: MiB, min: 2, max: 1_024 }),
  moverWorkers: setting('COLDFRAME_MOVER_WORKERS', 'moverWorkers', { max: 32 }),
  snapshotsPerDatastore: setting('COLDFRAME_SNAPSHOTS_PER_DATASTORE', 'snapshotsPerDatastore', { max: 1_000 }),
  jobsPerDatastore: setting('COLDFRAME_JOBS_PER_DATASTORE', 'jobsPerDatastore', { max: 1_000 }),
  jobsPerHost: setting('COLDFRAME_JOBS_PER_HOST', 'jobsPerHost', { max: 1_000 }),
  freeSpaceGB: setting('COLDFRAME_FREE_SPACE_GB', 'freeSpaceBytes', { unit: GiB, min: 0, max: 100_000 }),
  freeSpacePercent: setting('COLDFRAME_FREE_SPACE_PERCENT', 'freeSpacePercent', { min: 0, max: 50 }),
  latencyStartMs: setting('COLDFRAME_LATENCY_START_MS', 'latencyStartMs', { max: 60_000 }),
  latencyStopMs: setting('COLDFRAME_LATENCY_STOP_MS', 'latencyStopMs', { max: 60_000 }),
} as const satisfies Readonly<Record<string, Setting>>

const given = z.exactOptional(z.union([z.string(), z.number()]))

export const admissionFileSchema = z.strictObject({
  nfcConnections: given,
  nfcBuffersMB: given,
  moverBuffersMB: given,
  moverWorkers: given,
  snapshotsPerDatastore: given,
  jobsPerDatastore: given,
  jobsPerHost: given,
  freeSpaceGB: given,
  freeSpacePercent: given,
  latencyStartMs: given,
  latencyStopMs: given,
} satisfies Readonly<Record<keyof typeof ADMISSION_SETTINGS, typeof given>>)

type Given = { readonly name: string; readonly text: string }

export function admissionSettingsOf(given: (key: string) => Given | undefined, faults: string[]): AdmissionSettings {
  const settings: { -readonly [Limit in keyof AdmissionLimits]?: number } = {}
  for (const [key, { limit, unit, min, max }] of Object.entries(ADMISSION_SETTINGS)) {
    const found = given(key)
    if (found === undefined) continue
    const number = /^\d{1,9}$/.test(found.text) ? Number(found.text) : -1
    if (number >= min && number <= max) settings[limit] = number * unit
    else faults.push(`${found.name} is ${quote(found.text)}: must be a whole number from ${min} to ${max}`)
  }
  const { latencyStartMs, latencyStopMs } = settings
  if (latencyStartMs !== undefined && latencyStopMs !== undefined && latencyStopMs < latencyStartMs)
    faults.push('latencyStopMs is below latencyStartMs: backups would be slowed down before new ones wait')
  return settings
}

/** What admissionSettingsOf() reads again to the same. */
export function admissionVariables(settings: AdmissionSettings): Readonly<Record<string, string>> {
  const variables: Record<string, string> = {}
  for (const { variable, limit, unit } of Object.values(ADMISSION_SETTINGS)) {
    const value = settings[limit]
    if (value !== undefined) variables[variable] = String(value / unit)
  }
  return variables
}
