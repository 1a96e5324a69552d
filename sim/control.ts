// The simulator's control port: plain HTTP on loopback for demos and tests. The engine never reads it.

import { createServer, type IncomingMessage, type Server } from 'node:http'
import { setImmediate } from 'node:timers/promises'
import { utf8Decode } from '../lib/base/bytes.ts'
import type { Clock } from '../lib/base/clock.ts'
import { BackupError, malformed, messageOf } from '../lib/base/errors.ts'
import { isAbort } from '../lib/base/time-limit.ts'
import { machineNamed } from './estate/act.ts'
import { changeMachine, describeMachine, MACHINE_ACTIONS } from './estate/actions.ts'
import type { Estate } from './estate/estate.ts'
import { JsonObject, readJson } from './estate/json.ts'
import { type GuestRunner, guestRunner } from './estate/run-guests.ts'
import type { Machine } from './machine/machine.ts'
import { SimFault } from './machine/types.ts'
import { readFaultRule, type Scenario } from './scenario.ts'

const BODY_BYTES_MAX = 1024 * 1024
const HASH_STEP_BYTES = 2 * 1024 * 1024
const HASH_PAUSE_MS = 50

export interface Control extends AsyncDisposable {
  /** "http://127.0.0.1:PORT" */
  readonly url: string
  readonly port: number
  readonly guests: GuestRunner
}

export type ControlOptions = {
  readonly estate: Estate
  readonly scenario: Scenario
  readonly clock: Clock
  /** 0 for any free one. */
  readonly port: number
}

type Ask = { readonly method: string; readonly url: URL; readonly body: string }
type World = Pick<ControlOptions, 'estate' | 'scenario'> & { readonly guests: GuestRunner }

/**
 * Opens the port and hashes frozen disks in the background. Answers are JSON; an error is `{"error": {"message"}}` with
 * 400 (bad request), 404 (no such thing) or 409 (ambiguous name, or a vSphere fault, then with `fault`).
 *
 * GET /machines, /frozen, /calls, /limits (see Peaks), /digest?vm=NAME&disk=KEY, /failures (actions of rules that could not be carried out)
 * POST /guests/write {vm?, bytes}, /guests/step {vm?, records}, /guests/run {everyMs?, records?}, /guests/stop
 * POST /fault (a rule of a scenario file), DELETE /faults
 * POST /machines/NAME/ACTION, where NAME is a name or an instance uuid; actions and bodies: see changeMachine()
 */
export async function openControl(options: ControlOptions): Promise<Control> {
  const guests = guestRunner(options.estate, { clock: options.clock })
  const server = createServer((request, response) => {
    const reply = (status: number, value: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(`${JSON.stringify(value, null, 1)}\n`)
    }
    answerTo(request, { ...options, guests }).then(
      (value) => reply(200, value),
      (error: unknown) => reply(statusOf(error), { error: describeError(error) }),
    )
  })
  const port = await listen(server, options.port)
  const stop = new AbortController()
  const hashing = hashAlong(options, { signal: stop.signal })
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    guests,
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await guests.stop()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await hashing
    },
  }
}

async function answerTo(request: IncomingMessage, world: World): Promise<unknown> {
  const ask: Ask = {
    method: request.method ?? 'GET',
    url: new URL(request.url ?? '/', 'http://127.0.0.1'),
    body: await bodyOf(request),
  }
  const [first, second, third] = ask.url.pathname.slice(1).split('/').map(decodeURIComponent)
  if (ask.method === 'GET') return look(first ?? '', ask, world)
  if (ask.method === 'DELETE' && first === 'faults') return disarm(world)
  if (ask.method !== 'POST') throw notFound(`answer to "${ask.method} ${ask.url.pathname}"`)
  if (first === 'fault') return arm(ask, world)
  if (first === 'guests') return moveGuests(second ?? '', ask, world)
  if (first !== 'machines' || third === undefined) throw notFound(`answer to "POST ${ask.url.pathname}"`)
  const machine = machineNamed(world.estate, second ?? '')
  const action = MACHINE_ACTIONS.find((one) => one === third)
  if (action === undefined) throw notFound(`action "${third}"`)
  return read(ask, (root) => changeMachine(machine, { action, root, estate: world.estate }))
}

async function look(what: string, ask: Ask, { estate, scenario }: World): Promise<unknown> {
  switch (what) {
    case 'machines':
      return estate.machines().map(describeMachine)
    case 'calls':
      return scenario.calls()
    case 'limits':
      return estate.peaks.report()
    case 'failures':
      return scenario.failures()
    case 'frozen':
      while (estate.ledger.advance(HASH_STEP_BYTES)) await setImmediate()
      return estate.ledger.reports()
    case 'digest': {
      const deviceKey = Number(ask.url.searchParams.get('disk'))
      const machine = machineNamed(estate, ask.url.searchParams.get('vm') ?? '')
      const sha256 = machine.digestNow(deviceKey)
      if (sha256 === null) throw notFound(`disk ${deviceKey} of "${machine.config.name}"`)
      return { vm: machine.config.name, deviceKey, sha256 }
    }
    default:
      throw notFound(`answer to "GET ${ask.url.pathname}"`)
  }
}

function arm(ask: Ask, { scenario }: World): unknown {
  const rule = read(ask, readFaultRule)
  scenario.arm(rule)
  return rule
}

function disarm({ scenario }: World): unknown {
  scenario.disarm()
  return {}
}

async function moveGuests(what: string, ask: Ask, world: World): Promise<unknown> {
  const most = 2 ** 40
  const wish = read(ask, (root) => {
    const object = new JsonObject(root, { keys: ['vm', 'bytes', 'records', 'everyMs'] })
    return {
      vm: object.textOrNull('vm'),
      bytes: what === 'write' ? object.wholeNumber('bytes', { low: 0, high: most }) : 0,
      records: object.wholeNumber('records', { low: 0, high: most, fallback: 4 }),
      everyMs: object.number('everyMs', { low: 1, high: 3_600_000, fallback: 100 }),
    }
  })
  const machines = () => (wish.vm === null ? running(world) : [machineNamed(world.estate, wish.vm)])
  switch (what) {
    case 'write':
      return machines().map((machine) => wrote(machine, () => machine.guest.burst(wish.bytes)))
    case 'step':
      return machines().map((machine) => wrote(machine, () => machine.guest.step(wish.records)))
    case 'run':
      await world.guests.run(wish)
      return { running: true }
    case 'stop':
      await world.guests.stop()
      return { running: false }
    default:
      throw notFound(`answer to "POST ${ask.url.pathname}"`)
  }
}

function running({ estate }: Pick<World, 'estate'>): readonly Machine[] {
  return estate.machines().flatMap(({ machine }) => (machine.powerState === 'poweredOn' ? [machine] : []))
}

/** `held`: the guest's writes are held, and nothing was written. */
function wrote(machine: Machine, write: () => void): { readonly vm: string; readonly held: boolean } {
  if (machine.powerState !== 'poweredOn') throw new SimFault('InvalidPowerState', 'The guest is not running')
  write()
  return { vm: machine.config.name, held: machine.guest.held }
}

function read<Result>(ask: Ask, reader: Parameters<typeof readJson<Result>>[1]): Result {
  return readJson({ text: ask.body.trim() === '' ? '{}' : ask.body, what: `the body of ${ask.url.pathname}` }, reader)
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of request) {
    if (!(part instanceof Uint8Array)) continue
    bytes += part.byteLength
    if (bytes > BODY_BYTES_MAX) throw malformed('the request body', `${bytes} bytes`, `at most ${BODY_BYTES_MAX} bytes`)
    parts.push(part)
  }
  return utf8Decode(Buffer.concat(parts))
}

/** Digests are made while nobody waits for them, so that removing a snapshot need not. */
async function hashAlong(
  { estate, clock }: ControlOptions,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  try {
    for (;;) {
      signal.throwIfAborted()
      if (estate.ledger.advance(HASH_STEP_BYTES)) await setImmediate()
      else await clock.sleep(HASH_PAUSE_MS, { signal })
    }
  } catch (error) {
    if (!isAbort(error)) throw error
  }
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}

function notFound(what: string): BackupError {
  return new BackupError(`There is no ${what}`, { code: 'not-found', kind: 'not-found' })
}

function statusOf(error: unknown): number {
  if (error instanceof SimFault) return 409
  if (error instanceof BackupError) return error.kind === 'not-found' ? 404 : 400
  return 500
}

function describeError(error: unknown): { readonly message: string; readonly fault?: string } {
  const message = messageOf(error)
  return error instanceof SimFault ? { message, fault: error.fault } : { message }
}
