// Amazon EventBridge Scheduler as far as it keeps schedules of one group, for tests. It starts nothing.

import {
  CreateSchedule$,
  DeleteSchedule$,
  GetSchedule$,
  ListSchedules$,
  UpdateSchedule$,
} from '@aws-sdk/client-scheduler'
import { ApiError } from './api-error.ts'
import { arnOf } from './identity.ts'
import { expressionFault } from './scheduler-rules.ts'
import type { Shape } from './schema.ts'
import { type ApiServer, openApiServer } from './server.ts'

export type KeptSchedule = {
  readonly Name: string
  readonly GroupName?: string
  readonly ScheduleExpression: string
  readonly ScheduleExpressionTimezone?: string
  readonly FlexibleTimeWindow: { readonly Mode: string; readonly MaximumWindowInMinutes?: number }
  readonly State?: string
  readonly Description?: string
  readonly Target: { readonly Arn: string; readonly RoleArn: string; readonly Input?: string }
}

export type SchedulerServer = ApiServer & {
  /** By name. */
  readonly kept: Map<string, KeptSchedule>
}

type Written = KeptSchedule & { readonly ClientToken?: string }

export async function openScheduler(options: {
  readonly group: string
  readonly pageSize?: number
}): Promise<SchedulerServer> {
  const kept = new Map<string, KeptSchedule>()
  // What a token has done once is not done again.
  const done = new Set<string>()
  const once = (token: string | undefined, act: () => void) => {
    if (token !== undefined && done.has(token)) return
    act()
    if (token !== undefined) done.add(token)
  }
  const arn = (name: string) => arnOf('scheduler', `schedule/${options.group}/${name}`)
  const write = (input: Shape, change: boolean) => {
    const { ClientToken, ...schedule } = input as Written
    check(schedule, options.group)
    once(ClientToken, () => {
      if (!change && kept.has(schedule.Name)) {
        throw new ApiError('ConflictException', `Schedule ${schedule.Name} already exists.`, 409)
      }
      if (change) existing(kept, schedule.Name)
      kept.set(schedule.Name, schedule)
    })
    return { ScheduleArn: arn(schedule.Name) }
  }
  const named = ({ Name, GroupName }: Shape) => {
    if (GroupName !== options.group) throw notFound(`Schedule group ${GroupName} does not exist.`)
    return existing(kept, String(Name))
  }
  const server = await openApiServer({
    name: 'scheduler',
    protocol: { kind: 'rest' },
    operations: {
      CreateSchedule: { schema: CreateSchedule$, handle: (input) => write(input, false) },
      UpdateSchedule: { schema: UpdateSchedule$, handle: (input) => write(input, true) },
      GetSchedule: {
        schema: GetSchedule$,
        handle: (input) => {
          const schedule = named(input)
          // It answers with what it keeps, its own defaults filled in.
          const dates = { CreationDate: new Date(0), LastModificationDate: new Date(0) }
          return { State: 'ENABLED', ActionAfterCompletion: 'NONE', ...schedule, Arn: arn(schedule.Name), ...dates }
        },
      },
      DeleteSchedule: {
        schema: DeleteSchedule$,
        handle: (input) => {
          once(input['ClientToken'] as string | undefined, () => kept.delete(named(input).Name))
          return {}
        },
      },
      ListSchedules: {
        schema: ListSchedules$,
        handle: ({ GroupName, NextToken }) => {
          const all = GroupName === options.group ? [...kept.values()] : []
          const from = NextToken === undefined ? 0 : Number(NextToken)
          const next = from + (options.pageSize ?? 100)
          const Schedules = all.slice(from, next).map(({ Name, Target }) => ({ Name, Target: { Arn: Target.Arn } }))
          return { Schedules, ...(next < all.length ? { NextToken: String(next) } : {}) }
        },
      },
    },
  })
  return { ...server, kept }
}

function existing(kept: ReadonlyMap<string, KeptSchedule>, name: string): KeptSchedule {
  const schedule = kept.get(name)
  if (schedule === undefined) throw notFound(`Schedule ${name} does not exist.`)
  return schedule
}

function check(schedule: KeptSchedule, group: string): void {
  const { Name, GroupName, ScheduleExpression, ScheduleExpressionTimezone, FlexibleTimeWindow, Target } = schedule
  if (GroupName !== group) throw notFound(`Schedule group ${GroupName} does not exist.`)
  if (!/^[0-9a-zA-Z-_.]{1,64}$/.test(Name)) throw invalid('Invalid name.')
  const fault = expressionFault(ScheduleExpression)
  if (fault !== null) throw invalid(`Invalid Schedule Expression ${ScheduleExpression}: ${fault}`)
  try {
    new Intl.DateTimeFormat('en', { timeZone: ScheduleExpressionTimezone ?? 'UTC' })
  } catch {
    throw invalid('Provided ScheduleExpressionTimezone is not valid.')
  }
  const { Mode, MaximumWindowInMinutes: minutes } = FlexibleTimeWindow
  const isWindow = Mode === 'OFF' ? minutes === undefined : Mode === 'FLEXIBLE' && minutes !== undefined
  if (!isWindow || (minutes !== undefined && (minutes < 1 || minutes > 1440 || !Number.isInteger(minutes)))) {
    throw invalid('FlexibleTimeWindow is not valid.')
  }
  if (!/^arn:aws:lambda:/.test(Target.Arn) || !/^arn:aws:iam::/.test(Target.RoleArn)) throw invalid('Target ARN.')
}

function invalid(message: string): ApiError {
  return new ApiError('ValidationException', message)
}

function notFound(message: string): ApiError {
  return new ApiError('ResourceNotFoundException', message, 404)
}
