// Tells whoever waits how work goes on: every change of state once, and how far each disk is.

import { describeJob } from '../lib/operate/job-words.ts'
import type { JobDocument, OperationDocument } from '../lib/wire/api/documents.ts'
import type { Progress } from './progress.ts'

/** @returns to be called at every look; says only what is new */
export function jobTeller(progress: Progress): (jobs: readonly JobDocument[]) => void {
  const said = new Map<string, string>()
  return (jobs) => {
    for (const job of jobs) {
      // What moves needs no words on what it waits for.
      const words = describeJob(job.progress === null ? job : { ...job, waitsFor: null })
      if (said.get(job.id) !== words && job.state !== 'done') progress.say(`${job.vm.name}: ${words}`)
      said.set(job.id, words)
      for (const disk of job.disks) {
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

const operationWords: Readonly<Record<OperationDocument['state'], string>> = {
  requested: 'waiting to start',
  started: 'starting',
  running: 'at work',
  done: 'done',
}

export function operationTeller(progress: Progress): (operation: OperationDocument) => void {
  let said = ''
  return ({ state, attempt, waitsFor, progress: disks }) => {
    const again = attempt > 1 ? ` (attempt ${attempt})` : ''
    const waits = waitsFor === null || state === 'running' ? '' : `: waits for ${waitsFor}`
    const words = `${operationWords[state]}${again}${waits}`
    if (words !== said && state !== 'done') progress.say(words)
    said = words
    for (const { label, doneBytes, totalBytes } of disks)
      progress.show({ id: label, title: label, doneBytes, totalBytes, note: '' })
  }
}
