// Tasks of the stack's cluster as child processes: the bundled entry point with the environment of its task definition, told to stop and
// killed as the container agent does it.

import { appendFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { EcsOptions } from '../kit/aws/ecs.ts'
import { runProcess } from '../kit/aws/run-process.ts'
import type { CallProxy } from './call-proxy.ts'
import { isList, isObject, type Stack } from './resolve.ts'
import type { JsonObject } from './template.ts'
import type { VirtualTime } from './virtual-time.ts'

export type TaskDefinition = {
  readonly arn: string
  /** "family:revision" */
  readonly id: string
  readonly container: string
  readonly environment: Readonly<Record<string, string>>
  readonly stopMs: number
}

export type TaskCounts = { started: number; failed: number; killed: number }

export function taskDefinitions(stack: Stack): readonly TaskDefinition[] {
  return stack.ofType('AWS::ECS::TaskDefinition').map((name) => {
    const { ContainerDefinitions: containers } = stack.properties(name)
    const list = containers !== undefined && isList(containers) ? containers.filter(isObject) : []
    const [container] = list
    if (container === undefined || list.length !== 1)
      throw new Error(`"${name}" has ${list.length} containers, one is known here`)
    const arn = String(stack.resolve({ Ref: name }, name))
    return {
      ...{ arn, id: arn.slice(arn.indexOf('/') + 1), container: String(container['Name']) },
      environment: variablesOf(container, name),
      stopMs: Number(container['StopTimeout'] ?? 30) * 1000,
    }
  })
}

function variablesOf(container: JsonObject, name: string): Readonly<Record<string, string>> {
  const list = container['Environment'] ?? []
  const pairs = (isList(list) ? list.filter(isObject) : []).map(({ Name, Value }) => {
    if (typeof Name !== 'string' || Value === undefined || isObject(Value) || isList(Value))
      throw new Error(`"${name}" has an odd variable: ${JSON.stringify({ Name, Value: Value ?? null })}`)
    return [Name, String(Value)] as const
  })
  return Object.fromEntries(pairs)
}

export type TaskSurroundings = {
  readonly definitions: readonly TaskDefinition[]
  /** The bundled entry, build/task/main.mjs. */
  readonly entry: string
  readonly time: VirtualTime
  readonly logFolder: string
  readonly proxy: () => CallProxy
  /** Time is not put forward while it is held. */
  readonly hold: () => Disposable
  readonly counts: TaskCounts
}

/** What the ECS server runs for each task. */
export function taskRunner(around: TaskSurroundings): EcsOptions['run'] {
  const clock = pathToFileURL(join(import.meta.dirname, 'task-clock.ts')).href
  return async (task) => {
    const definition = around.definitions.find(({ arn }) => arn === task.taskDefinitionArn)
    if (definition === undefined) throw new Error(`There is no task definition "${task.taskDefinitionArn}"`)
    using _busy = around.hold()
    const killer = new AbortController()
    const way = await around.proxy().open({ name: 'task', kill: () => killer.abort() })
    around.counts.started++
    try {
      const own = Object.entries(definition.environment).map(([name, value]) => [name, way.rewrite(value)] as const)
      const run = runProcess({
        file: process.execPath,
        args: ['--enable-source-maps', `--import=${clock}`, around.entry],
        environment: {
          ...Object.fromEntries(own),
          ...way.variables,
          COLDFRAME_TEST_AHEAD_MS: String(around.time.aheadMs()),
          NODE_COMPILE_CACHE: join(dirname(around.entry), 'code'),
          PATH: '/usr/local/bin:/usr/bin:/bin',
        },
        stopMs: definition.stopMs,
        killed: killer.signal,
        onOutput: (text) => appendFileSync(join(around.logFolder, 'task.log'), text),
      })
      const code = await run(task)
      if (code !== 0) around.counts.failed++
      if (killer.signal.aborted) around.counts.killed++
      return code
    } finally {
      way.close()
    }
  }
}
