// Tells whoever waits how jobs go on: every change of state once, and how far each disk is.

import type { JobView } from '../lib/operate/follow-run.ts'
import { describeJob } from '../lib/operate/job-words.ts'
import type { Progress } from './progress.ts'

/** @returns to be called at every look; says only what is new */
export function jobTeller(progress: Progress): (jobs: readonly JobView[]) => void {
  const said = new Map<string, string>()
  return (jobs) => {
    for (const { job, attempt } of jobs) {
      // What moves needs no words on what it waits for.
      const words = describeJob(attempt === null ? job : { ...job, waitsFor: null })
      if (said.get(job.id) !== words && job.state !== 'done') progress.say(`${job.vm.name}: ${words}`)
      said.set(job.id, words)
      for (const disk of attempt?.progress ?? []) {
        progress.show({
          id: `${job.id} ${disk.key}`,
          title: `${job.vm.name}, ${disk.label}`,
          doneBytes: disk.doneBytes,
          totalBytes: disk.totalBytes,
          note: disk.transport,
        })
      }
    }
  }
}
