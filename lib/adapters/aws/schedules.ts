// Schedules of policies in one group of EventBridge Scheduler: a schedule a policy, of the policy's name.

import { isDeepStrictEqual } from 'node:util'
import {
  CreateScheduleCommand,
  DeleteScheduleCommand,
  GetScheduleCommand,
  type GetScheduleCommandOutput,
  ListSchedulesCommand,
  SchedulerClient,
  UpdateScheduleCommand,
} from '@aws-sdk/client-scheduler'
import { hexOf } from '../../base/bytes.ts'
import { BackupError } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import { type PolicyName, parsePolicyName } from '../../model/ids.ts'
import { type SchedulerForm, scheduleRefused, schedulerFormOf } from '../../model/scheduler-form.ts'
import type { Schedule, Schedules } from '../../ports/schedules.ts'
import type { AwsScheduler } from '../../wire/aws-settings.ts'
import { type AwsPatience, type AwsPlace, callAws, clientSettings, codeOf } from './call.ts'

/** A start that comes later is told from one in time by its scheduled time; one that cannot be delivered for so long is missed. */
const RETRY_POLICY = { MaximumEventAgeInSeconds: 7_200, MaximumRetryAttempts: 60 }
/** Two that put or remove one schedule at once follow each other within these. */
const TURNS_MAX = 4

export function schedulerSchedules(settings: AwsScheduler, patience: AwsPatience & AwsPlace): Schedules {
  const client = new SchedulerClient(clientSettings(patience))
  const asked: Asked = { client, settings, patience }
  return {
    put: (schedule, cancel) => putSchedule(schedule, asked, cancel),
    remove: (policy, cancel) => removeSchedule(policy, asked, cancel),
    async list(cancel) {
      const names: PolicyName[] = []
      let NextToken: string | undefined
      do {
        const page = { GroupName: settings.group, ...(NextToken === undefined ? {} : { NextToken }) }
        const answer = await callAws(
          {
            what: `list the schedules of group "${settings.group}"`,
            send: (options) => client.send(new ListSchedulesCommand(page), options),
          },
          asked.patience,
          cancel,
        )
        for (const { Name = '' } of answer.Schedules ?? []) names.push(...policyNamed(Name))
        NextToken = answer.NextToken
      } while (NextToken !== undefined)
      return names
    },
  }
}

type Asked = { readonly client: SchedulerClient; readonly settings: AwsScheduler; readonly patience: AwsPatience }

async function putSchedule(schedule: Schedule, asked: Asked, cancel: Cancel): Promise<'created' | 'changed' | 'same'> {
  const form = schedulerFormOf(schedule)
  if ('fault' in form) throw scheduleRefused(schedule.policy, form.fault)
  const wanted = wantedOf(schedule.policy, form, asked.settings)
  for (let turn = 1; turn <= TURNS_MAX; turn++) {
    const found = await getSchedule(schedule.policy, asked, cancel)
    if (found !== null && isDeepStrictEqual(keptOf(found), keptOf(wanted))) return 'same'
    const written = await write(wanted, { change: found !== null, asked, cancel })
    if (written) return found === null ? 'created' : 'changed'
  }
  throw new BackupError(
    `Cannot schedule policy "${schedule.policy}": somebody else changes the schedule all the time`,
    {
      code: 'schedule-contended',
      retry: 'later',
      facts: { policy: schedule.policy },
    },
  )
}

/** @returns false when it was made or taken away since it was looked at */
async function write(
  wanted: ReturnType<typeof wantedOf>,
  { change, asked, cancel }: { readonly change: boolean; readonly asked: Asked; readonly cancel: Cancel },
): Promise<boolean> {
  const { client, settings, patience } = asked
  // Of this call and its repetitions alone: a schedule that is changed back must not be taken for an earlier change.
  const input = { ...wanted, ClientToken: hexOf(patience.random.bytes(16)) }
  const send = async (options: { readonly abortSignal: AbortSignal }): Promise<boolean> => {
    try {
      if (change) await client.send(new UpdateScheduleCommand(input), options)
      else await client.send(new CreateScheduleCommand(input), options)
      return true
    } catch (error) {
      const code = codeOf(error)
      if (code === 'ConflictException' || (change && code === 'ResourceNotFoundException')) return false
      throw error
    }
  }
  const translate = (code: string, error: unknown): BackupError | null => {
    if (code === 'ValidationException')
      return scheduleRefused(wanted.Name, 'is refused by EventBridge Scheduler', error)
    return code === 'ResourceNotFoundException' ? groupMissing(settings.group, error) : null
  }
  return callAws({ what: `schedule policy "${wanted.Name}"`, send, translate }, patience, cancel)
}

async function getSchedule(policy: PolicyName, { client, settings, patience }: Asked, cancel: Cancel) {
  const command = { Name: policy, GroupName: settings.group }
  const send = async (options: { readonly abortSignal: AbortSignal }) => {
    try {
      return await client.send(new GetScheduleCommand(command), options)
    } catch (error) {
      if (codeOf(error) === 'ResourceNotFoundException') return null
      throw error
    }
  }
  return callAws({ what: `look at the schedule of policy "${policy}"`, send }, patience, cancel)
}

async function removeSchedule(
  policy: PolicyName,
  { client, settings, patience }: Asked,
  cancel: Cancel,
): Promise<'removed' | 'none'> {
  let answers = 0
  const send = async (options: { readonly abortSignal: AbortSignal }): Promise<'removed' | 'none'> => {
    answers++
    try {
      await client.send(new DeleteScheduleCommand({ Name: policy, GroupName: settings.group }), options)
      return 'removed'
    } catch (error) {
      // The first of two tries may have removed it, and its answer was lost.
      if (codeOf(error) === 'ResourceNotFoundException') return answers === 1 ? 'none' : 'removed'
      throw error
    }
  }
  return callAws({ what: `remove the schedule of policy "${policy}"`, send }, patience, cancel)
}

/** The whole of it: an update sets what it leaves out to the default. */
function wantedOf(policy: PolicyName, form: SchedulerForm, { group, role, target, deadLetters }: AwsScheduler) {
  const { expression, timeZone, windowMinutes } = form
  const flexible = { Mode: 'FLEXIBLE', MaximumWindowInMinutes: windowMinutes } as const
  return {
    Name: policy,
    GroupName: group,
    Description: `Starts policy "${policy}"; made by "coldframe policy apply"`,
    ScheduleExpression: expression,
    ScheduleExpressionTimezone: timeZone,
    FlexibleTimeWindow: windowMinutes === 0 ? ({ Mode: 'OFF' } as const) : flexible,
    State: 'ENABLED',
    Target: {
      Arn: target,
      RoleArn: role,
      Input: JSON.stringify({ v: 1, policy, scheduledTime: '<aws.scheduler.scheduled-time>' }),
      RetryPolicy: RETRY_POLICY,
      ...(deadLetters === null ? {} : { DeadLetterConfig: { Arn: deadLetters } }),
    },
  } as const
}

/** What decides whether a schedule is as it should be; defaults that the scheduler fills in do not. */
function keptOf(
  schedule: Pick<
    GetScheduleCommandOutput,
    'ScheduleExpression' | 'ScheduleExpressionTimezone' | 'FlexibleTimeWindow' | 'State' | 'Target'
  >,
) {
  const { ScheduleExpression, ScheduleExpressionTimezone, FlexibleTimeWindow, State, Target } = schedule
  const window = FlexibleTimeWindow?.Mode === 'FLEXIBLE' ? FlexibleTimeWindow.MaximumWindowInMinutes : 0
  const { MaximumEventAgeInSeconds, MaximumRetryAttempts } = Target?.RetryPolicy ?? {}
  const when = [ScheduleExpression, ScheduleExpressionTimezone, window, State]
  const retries = [MaximumEventAgeInSeconds, MaximumRetryAttempts, Target?.DeadLetterConfig?.Arn]
  return [...when, Target?.Arn, Target?.RoleArn, Target?.Input, ...retries]
}

/** @returns none for a schedule that is not a policy's */
function policyNamed(name: string): readonly PolicyName[] {
  try {
    return [parsePolicyName(name)]
  } catch {
    return []
  }
}

function groupMissing(group: string, cause: unknown): BackupError {
  return new BackupError(`Cannot schedule anything in group "${group}": there is no such group`, {
    code: 'schedule-group-missing',
    hint: 'Deploy the stack again: it makes the group',
    facts: { group },
    cause,
  })
}
