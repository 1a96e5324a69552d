// How a restore or a check that a task carried out is told.

import { BackupError } from '../lib/base/errors.ts'
import type { OperationDocument } from '../lib/wire/api/documents.ts'
import type { Answer } from './answer.ts'
import { printable } from './terminal.ts'

export function answerOfOperation(operation: OperationDocument): Answer {
  const { outcome, result, id } = operation
  const lines = [...result, ...(outcome === null || outcome.kind === 'failed' ? [] : [outcome.message])]
  return {
    data: { operation },
    text: lines.map((line) => `${printable(line)}\n`).join(''),
    fault:
      outcome === null || outcome.kind !== 'failed'
        ? null
        : new BackupError(outcome.message, {
            code: outcome.code,
            kind: kindOf(outcome.code),
            ...(outcome.hint === null ? {} : { hint: outcome.hint }),
            facts: { operation: id },
          }),
  }
}

/** A record keeps its outcome's code alone; what an operator's shell is told of it is decided here. */
function kindOf(code: string): BackupError['kind'] {
  if (code === 'integrity') return 'integrity'
  if (['point-not-found', 'point-ambiguous', 'disk-not-found'].includes(code)) return 'not-found'
  if (code === 'point-malformed') return 'usage'
  return ['target-not-allowed', 'target-is-repository', 'target-exists', 'target-refused'].includes(code)
    ? 'refused'
    : 'failed'
}
