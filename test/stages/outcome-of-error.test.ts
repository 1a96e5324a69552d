// The sentence, the code and the next step that a failed job keeps.

import { describe, expect, it } from 'vitest'
import { BackupError } from '../../lib/base/errors.ts'
import { outcomeOfError } from '../../lib/stages/outcome-of-error.ts'

describe('a failure', () => {
  it('says a next step, also where its error knows of none', () => {
    const outcome = outcomeOfError(new BackupError('Cannot see VM "a"', { code: 'vm-not-found' }))
    expect(outcome).toMatchObject({ kind: 'failed', code: 'vm-not-found', message: 'Cannot see VM "a"' })
    expect(outcome.hint).toMatch(/start the backup again/)
    expect(outcomeOfError(new Error('odd')).hint).toMatch(/start the backup again/)
  })

  it('keeps the step that its error knows', () => {
    const known = new BackupError('Cannot log in', { code: 'vcenter-login', hint: 'Check the password' })
    expect(outcomeOfError(new AggregateError([known])).hint).toBe('Check the password')
  })
})
