// What commands about policies act through in an account of AWS: the stack's table, its schedules, its bucket. Not the API, which writes none of them.

import { memoryLog } from '../adapters/memory/log.ts'
import { systemClock } from '../base/clock.ts'
import { systemRandom } from '../base/random.ts'
import type { ApplyDeps } from '../operate/policy-apply.ts'
import type { LookDeps } from '../operate/policy-look.ts'
import { needed, parseAwsSettings } from '../wire/aws-settings.ts'
import { type Environment, openAwsPorts } from './aws.ts'
import { openBucket } from './bucket-store.ts'

export type AwsPolicies = ApplyDeps & LookDeps

/** Whoever runs it has the rights of the stack's PolicyRole. @throws BackupError `settings-faulty` (usage), naming what is not set */
export function openAwsPolicies(environment: Environment): AwsPolicies {
  const { settings, jobStore, schedules, vsphere } = openAwsPorts(environment)
  needed(settings, 'scheduler')
  const around = { environment, clock: systemClock, random: systemRandom }
  const scripts = openBucket(needed(settings, 'repository'), around)
  return { clock: systemClock, jobStore, schedules, vsphere, scripts, log: memoryLog() }
}

/** Where script bundles lie; their prefix is all that is written. Needs no table. */
export function openAwsScripts(environment: Environment): AwsPolicies['scripts'] {
  const settings = parseAwsSettings(environment)
  return openBucket(needed(settings, 'repository'), { environment, clock: systemClock, random: systemRandom })
}

/** The stack's records, for commands that read them, and for marks on VMs. */
export function openAwsRecords(environment: Environment): AwsPolicies['jobStore'] {
  return openAwsPorts(environment).jobStore
}
