// The alarm doors, put together: every dialect with its parser, and with the keys that its secret holds now.

import type { Clock } from '../base/clock.ts'
import type { Cancel } from '../base/time-limit.ts'
import { doorGuard } from '../doors/alarm-auth.ts'
import { type AlarmDoorDeps, answerAlarm, type HttpAnswer, type HttpRequest } from '../doors/alarm-door.ts'
import type { JobStore } from '../ports/job-store.ts'
import type { Log, Metrics } from '../ports/log.ts'
import type { MessageSender } from '../ports/queue.ts'
import type { Secrets } from '../ports/secrets.ts'
import { alarmDialects } from '../wire/alarms/dialects.ts'
import { parseDoorSecret } from '../wire/alarms/door-secret.ts'

export type AlarmDoorParts = {
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly jobStore: JobStore
  readonly sender: MessageSender
  readonly secrets: Secrets
  /** The name of a door's secret, as `secrets` knows it. */
  readonly secretName: (dialect: string) => string
}

export type AlarmDoorsAnswer = (
  request: HttpRequest & { readonly dialect: string },
  cancel: Cancel,
) => Promise<HttpAnswer>

export function alarmDoors(parts: AlarmDoorParts): AlarmDoorsAnswer {
  const { clock, log, metrics, jobStore, sender, secrets, secretName } = parts
  const doors = Object.fromEntries(
    Object.entries(alarmDialects).map(([dialect, parse]) => {
      const name = secretName(dialect)
      const read = async (cancel: Cancel) => parseDoorSecret(await secrets.read(name, cancel), name)
      return [dialect, { guard: doorGuard(read, { clock }), parse }]
    }),
  )
  const deps: AlarmDoorDeps = { clock, log, metrics, jobStore, sender, doors }
  return (request, cancel) => answerAlarm(request, deps, cancel)
}
