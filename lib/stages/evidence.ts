// What explains a failure, kept in the job for people to read: cut, and never more than a record can carry.

import { cutToJsonBytes } from '../base/text.ts'
import type { Cancel } from '../base/time-limit.ts'
import { endOfRun, type ScriptRun } from '../model/guest.ts'
import { EVIDENCE_BYTES_MAX, EVIDENCE_MAX, type Evidence } from '../model/job.ts'
import type { JobHold } from './hold.ts'

/** The newest stay; of one name there is one. */
export async function addEvidence(hold: JobHold, entries: readonly Evidence[], cancel: Cancel): Promise<void> {
  if (entries.length === 0) return
  const cut = entries.map(({ name, text }) => ({ name, text: cutToJsonBytes(text, EVIDENCE_BYTES_MAX) }))
  await hold.update((job) => {
    const others = job.evidence.filter(({ name }) => !cut.some((entry) => entry.name === name))
    return { ...job, evidence: [...others, ...cut].slice(-EVIDENCE_MAX) }
  }, cancel)
}

/** What scripts that failed said on stderr. */
export function evidenceOf(runs: readonly ScriptRun[]): readonly Evidence[] {
  return runs
    .filter(({ succeeded, stderr }) => !succeeded && stderr !== '')
    .map((run) => ({ name: `stderr of script ${run.stage} (${endOfRun(run)})`, text: run.stderr }))
}
