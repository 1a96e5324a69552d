// Asynchronous invocations, as EventBridge and its Scheduler make them: tried again twice, then sent to where the function's failures go.

import type { Agenda } from './agenda.ts'
import type { LambdaFunction } from './lambda-function.ts'
import type { Queues } from './queues.ts'
import { isObject, type Stack } from './resolve.ts'
import type { Json, JsonObject } from './template.ts'

export type AsyncCounts = {
  delivered: number
  retried: number
  deadLettered: number
  /** Failures of functions that say that they are not to be tried again: ticks, which the next one makes good. */
  dropped: number
  /** Failures that nobody would hear of. */
  lost: number
}

/** AWS Lambda guide, "Error handling for asynchronous invocations": one minute, then two. */
const PAUSES_MS = [60_000, 120_000]

export class AsyncInvoker {
  readonly counts: AsyncCounts = { delivered: 0, retried: 0, deadLettered: 0, dropped: 0, lost: 0 }
  readonly #stack: Stack
  readonly #queues: Queues
  readonly #agenda: Agenda

  constructor(around: { readonly stack: Stack; readonly queues: Queues; readonly agenda: Agenda }) {
    this.#stack = around.stack
    this.#queues = around.queues
    this.#agenda = around.agenda
  }

  /** @param options.logicalName the function's name in the template, for what becomes of its failures */
  invoke(fn: LambdaFunction, event: Json, options: { readonly logicalName: string }): void {
    const { retriesMax, target } = this.#failuresOf(options.logicalName)
    const attempt = async (tried: number): Promise<void> => {
      const result = await fn.invoke(event)
      if (result.kind === 'ok') {
        this.counts.delivered++
        return
      }
      if (tried < retriesMax) {
        this.counts.retried++
        this.#agenda.at(this.#agenda.nowMs() + (PAUSES_MS[tried] ?? 0), () => attempt(tried + 1))
        return
      }
      if (retriesMax === 0 && target === null) this.counts.dropped++
      else this.#bury(target, event)
    }
    this.#agenda.at(this.#agenda.nowMs(), () => attempt(0))
  }

  #bury(target: string | null, event: Json): void {
    const queue = target === null ? undefined : this.#queues.byArn(target)
    if (target !== null && queue === undefined) throw new Error(`Failures go to "${target}", which is no queue`)
    if (queue === undefined) {
      this.counts.lost++
      return
    }
    this.counts.deadLettered++
    this.#queues.send(queue, JSON.stringify(event))
  }

  #failuresOf(logicalName: string): { readonly retriesMax: number; readonly target: string | null } {
    const { DeadLetterConfig } = this.#stack.properties(logicalName)
    const arn = this.#stack.resolve({ Ref: logicalName }, logicalName)
    const config = this.#stack
      .ofType('AWS::Lambda::EventInvokeConfig')
      .map((name) => this.#stack.properties(name))
      .find(({ FunctionName }) => FunctionName === arn)
    const destination = pathOf(config, ['DestinationConfig', 'OnFailure', 'Destination'])
    const dead = pathOf(DeadLetterConfig, ['TargetArn'])
    const found = destination ?? dead
    return {
      retriesMax: Number(config?.['MaximumRetryAttempts'] ?? 2),
      target: typeof found === 'string' ? found : null,
    }
  }
}

/** What lies at the end of a path of keys; undefined where it breaks off. */
export function pathOf(value: Json | JsonObject | undefined, keys: readonly string[]): Json | undefined {
  return keys.reduce<Json | undefined>(
    (inner, key) => (inner !== undefined && isObject(inner) ? inner[key] : undefined),
    value as Json | undefined,
  )
}
