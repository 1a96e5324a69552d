// Policies, a scheduler in memory and calls that fail on request, for tests of what operators do with policies.

import { memoryJobStore } from '../../lib/adapters/memory/job-store.ts'
import { memoryLog } from '../../lib/adapters/memory/log.ts'
import { memoryObjectStore } from '../../lib/adapters/memory/object-store.ts'
import { type MemorySchedules, memorySchedules } from '../../lib/adapters/memory/schedules.ts'
import { manualClock } from '../../lib/base/clock.ts'
import { BackupError } from '../../lib/base/errors.ts'
import type { ApplyDeps, WantedPolicy } from '../../lib/operate/policy-apply.ts'
import type { JobStore } from '../../lib/ports/job-store.ts'
import { parsePolicy } from '../../lib/wire/policy.ts'

export const cancel = { signal: new AbortController().signal }

export function wanted(text: string): WantedPolicy {
  return { policy: parsePolicy(text, 'p.yaml'), text }
}

export type PolicyWorld = ApplyDeps & {
  readonly jobStore: JobStore
  readonly schedules: MemorySchedules
  readonly clock: ReturnType<typeof manualClock>
}

export function policyWorld(): PolicyWorld {
  const clock = manualClock()
  return {
    clock,
    jobStore: memoryJobStore(),
    schedules: memorySchedules(),
    scripts: memoryObjectStore({ clock }),
    log: memoryLog(),
  }
}

/** The same world, whose nth call of a table or the scheduler fails: before it took effect, or only its answer is lost. */
export function failing(world: PolicyWorld, at: { readonly call: number; readonly after: boolean }) {
  let calls = 0
  const through = <Args extends readonly unknown[], Result>(call: (...args: Args) => Promise<Result>) => {
    return async (...args: Args): Promise<Result> => {
      const strikes = ++calls === at.call
      const lost = () => new BackupError('Cannot reach it', { code: 'unreachable', retry: 'later' })
      if (strikes && !at.after) throw lost()
      const result = await call(...args)
      if (strikes) throw lost()
      return result
    }
  }
  const { policies, listPolicies } = world.jobStore
  const deps: ApplyDeps = {
    ...world,
    jobStore: {
      policies: {
        create: through(policies.create),
        get: through(policies.get),
        replace: through(policies.replace),
      },
      listPolicies: through(listPolicies),
    },
    schedules: {
      put: through(world.schedules.put),
      remove: through(world.schedules.remove),
      list: through(world.schedules.list),
    },
  }
  return { deps, calls: () => calls }
}
