// What a grade rests on, in words for people.

import { formatDuration } from '../base/text.ts'
import type { GradeRecord } from '../model/grade.ts'
import { endOfRun, type GuestState, type ScriptRun } from '../model/guest.ts'

/** One line a fact. */
export function describeProof(grade: GradeRecord): readonly string[] {
  const { requested, reached, quiesced, method, freezeMs, snapshotMs, proof, fallbacks } = grade
  const lines = [
    `grade ${reached}, ${requested} was wanted; method ${method}, snapshot ${quiesced ? '' : 'not '}marked as quiesced, made in ${formatDuration(snapshotMs)}`,
  ]
  if (proof !== null) {
    const account = proof.user === null ? '' : ` as "${proof.user}"${proof.elevated === true ? ', elevated' : ''}`
    lines.push(...describeAttempts(proof).map((line) => `${line}${line.includes(': opened') ? account : ''}`))
    lines.push(...proof.scripts.map(describeRun))
    if (proof.thawedBy !== null) lines.push(`held for ${formatDuration(freezeMs)}, thawed by ${proof.thawedBy}`)
    if (proof.vss !== null) lines.push(describeVss(proof.vss))
  }
  return [...lines, ...fallbacks.map((reason) => `less than wanted: ${reason}`)]
}

export function describeAttempts({ attempts }: Pick<GuestState, 'attempts'>): readonly string[] {
  return attempts.map(({ channel, address, outcome, reason }) => {
    const where = address === null ? channel : `${channel} to ${address}`
    return `${where}: ${outcome}, ${reason}`
  })
}

function describeRun(run: ScriptRun): string {
  const { stage, succeeded, elapsedMs, stderr } = run
  const [first = ''] = stderr.trim().split('\n')
  const said = first === '' ? '' : `; on stderr: ${first.slice(0, 200)}`
  return `script ${stage}: ${succeeded ? 'succeeded' : 'failed'}, ${endOfRun(run)}, ${formatDuration(elapsedMs)}${said}`
}

function describeVss({ context, backupType, writers, absence }: NonNullable<NonNullable<GradeRecord['proof']>['vss']>) {
  const asked = `VSS ${backupType} in context ${context}`
  return absence === null ? `${asked}: writers ${writers.join(', ')}` : `${asked}: ${absence}`
}
