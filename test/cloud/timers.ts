// What the stack starts by the clock and by events: schedules of the template, and rules with their targets.

import type { Agenda } from './agenda.ts'
import { type AsyncInvoker, pathOf } from './async-invoker.ts'
import { fits } from './event-pattern.ts'
import type { LambdaFunction } from './lambda-function.ts'
import type { Queues } from './queues.ts'
import { isList, isObject, type Stack } from './resolve.ts'
import { nextTime } from './schedule-times.ts'
import { inputOf, scheduleInput } from './target-input.ts'
import type { Json, JsonObject } from './template.ts'

export type Targets = {
  readonly stack: Stack
  readonly queues: Queues
  readonly agenda: Agenda
  readonly invoker: AsyncInvoker
  /** By ARN; undefined: it is none of the stack's functions. */
  readonly functionByArn: (arn: string) => { readonly logicalName: string; readonly fn: LambdaFunction } | undefined
  /** Events that went to what is not followed here, by ARN. */
  readonly elsewhere: string[]
}

/** Starts the schedules that the template has, from now on. */
export function startSchedules(targets: Targets): void {
  const { stack } = targets
  for (const name of stack.ofType('AWS::Scheduler::Schedule')) {
    const {
      ScheduleExpression,
      ScheduleExpressionTimezone: zone = 'UTC',
      State: state,
      Target,
    } = stack.properties(name)
    if (state === 'DISABLED') continue
    const target = isObject(Target ?? null) ? (Target as JsonObject) : {}
    const arn = String(stack.resolve({ 'Fn::GetAtt': [name, 'Arn'] }, name))
    const input = (scheduledMs: number) => scheduleInput(target['Input'], { arn, scheduledMs })
    repeat(String(ScheduleExpression), { timeZone: String(zone), agenda: targets.agenda }, (scheduledMs) =>
      deliver({ target, input: input(scheduledMs), by: 'scheduler.amazonaws.com' }, targets),
    )
  }
  for (const name of stack.ofType('AWS::Events::Rule')) {
    const rule = stack.properties(name)
    if (rule['ScheduleExpression'] === undefined || rule['State'] === 'DISABLED') continue
    repeat(String(rule['ScheduleExpression']), { timeZone: 'UTC', agenda: targets.agenda }, (scheduledMs) => {
      const time = new Date(scheduledMs).toISOString()
      const event = { 'detail-type': 'Scheduled Event', source: 'aws.events', time, detail: {} }
      for (const target of targetsOf(rule))
        deliver({ target, input: inputOf(target, event), by: 'events.amazonaws.com' }, targets)
    })
  }
}

function repeat(
  expression: string,
  { timeZone, agenda }: { readonly timeZone: string; readonly agenda: Agenda },
  work: (scheduledMs: number) => void,
): void {
  const startMs = agenda.nowMs()
  const plan = (afterMs: number): void => {
    const next = nextTime(expression, { afterMs, startMs, timeZone })
    if (next === null) return
    agenda.at(next, async () => {
      plan(Math.max(next, agenda.nowMs() - 1))
      work(next)
    })
  }
  plan(startMs)
}

/**
 * Puts an event on a bus.
 * @param bus its name; the rules of the default one name none
 * @returns how many targets it went to
 */
export function putEvent(event: JsonObject, bus: string, targets: Targets): number {
  let count = 0
  for (const name of targets.stack.ofType('AWS::Events::Rule')) {
    const rule = targets.stack.properties(name)
    const { EventPattern: pattern, EventBusName: own = 'default', State: state } = rule
    const ownName = String(own).replace(/^.*event-bus\//, '')
    if (pattern === undefined || !isObject(pattern) || ownName !== bus || state === 'DISABLED' || !fits(event, pattern))
      continue
    for (const target of targetsOf(rule)) {
      deliver({ target, input: inputOf(target, event), by: 'events.amazonaws.com' }, targets)
      count++
    }
  }
  return count
}

function targetsOf(rule: JsonObject): readonly JsonObject[] {
  const list = rule['Targets'] ?? []
  return isList(list) ? list.filter(isObject) : []
}

type Delivery = { readonly target: JsonObject; readonly input: Json; readonly by: string }

function deliver({ target, input, by }: Delivery, targets: Targets): void {
  const arn = String(target['Arn'])
  const found = targets.functionByArn(arn)
  if (found !== undefined) {
    // The scheduler invokes by the role that it is given, EventBridge by the function's own policy.
    if (by === 'events.amazonaws.com' && !mayInvoke(found.logicalName, by, targets.stack)) {
      const dead = pathOf(target, ['DeadLetterConfig', 'Arn'])
      const queue = typeof dead === 'string' ? targets.queues.byArn(dead) : undefined
      if (queue === undefined) throw new Error(`"${by}" may not invoke "${found.logicalName}": it has no permission`)
      targets.queues.send(queue, JSON.stringify(input))
      return
    }
    targets.invoker.invoke(found.fn, input, { logicalName: found.logicalName })
    return
  }
  const queue = targets.queues.byArn(arn)
  if (queue !== undefined) targets.queues.send(queue, JSON.stringify(input))
  else targets.elsewhere.push(arn)
}

export function mayInvoke(logicalName: string, principal: string, stack: Stack): boolean {
  const names = [{ Ref: logicalName }, { 'Fn::GetAtt': [logicalName, 'Arn'] }].map((one) =>
    stack.resolve(one, logicalName),
  )
  return stack
    .ofType('AWS::Lambda::Permission')
    .map((name) => stack.properties(name))
    .some(({ FunctionName, Principal }) => Principal === principal && names.includes(FunctionName ?? null))
}
