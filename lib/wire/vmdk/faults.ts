// What may be wrong with a VMDK stream. Every message names the byte where it was seen.

import { BackupError } from '../../base/errors.ts'

/** Damage: the same disk may well come whole the next time. */
export function malformedStream(reason: string, offsetBytes: number, cause?: unknown): BackupError {
  return new BackupError(`Cannot decode the VMDK stream at byte ${offsetBytes}: ${reason}`, {
    code: 'vmdk-stream-malformed',
    retry: 'later',
    facts: { offsetBytes },
    cause,
  })
}

export function truncated(offsetBytes: number): BackupError {
  return malformedStream('it ends here, and is not whole', offsetBytes)
}

/** A form that is not read here: it will be the same the next time. */
export function unsupportedStream(reason: string, offsetBytes: number): BackupError {
  return new BackupError(`Cannot decode the VMDK stream at byte ${offsetBytes}: ${reason}`, {
    code: 'vmdk-stream-unsupported',
    retry: 'no',
    hint: 'Put another transport before "lease" in the policy',
    facts: { offsetBytes },
  })
}
