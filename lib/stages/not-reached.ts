// The sentence of a job that could not be captured as its policy requires. Pure.

import type { Job } from '../model/job.ts'
import type { Outcome } from '../model/outcome.ts'

/** @param why.scriptsLost whether it was guest processing that failed, not quiescing */
export function notReached(
  { vm, policy }: Pick<Job, 'vm' | 'policy'>,
  why: { readonly reasons: readonly string[]; readonly scriptsLost: boolean },
): Outcome {
  const reasons = why.reasons.length === 0 ? 'the policy leaves no way to do it' : why.reasons.join('; ')
  if (policy.guest.mode === 'require' && why.scriptsLost) {
    return {
      kind: 'failed',
      code: 'guest-processing-failed',
      message: `Cannot snapshot VM "${vm.name}" with guest processing, which the policy requires: ${reasons}`,
      hint: 'Mend the script or the guest, or set guest.mode to "try"',
    }
  }
  return {
    kind: 'failed',
    code: 'grade-not-reached',
    message: `Cannot snapshot VM "${vm.name}" with grade "${policy.consistency.require}": ${reasons}`,
    hint: 'Mend quiescing in the guest, or let the policy require less (consistency.require)',
  }
}
