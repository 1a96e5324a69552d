// The simulator as a program: an estate, the vCenter in front of it, and the control port.
// Prints one JSON line {v, url, sdkUrl, controlUrl, user, password, thumbprintSha256, thumbprintSha1, certificate} and
// runs until SIGTERM, SIGINT, or, with --exit-with-parent, until its standard input ends.

import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { systemClock } from '../lib/base/clock.ts'
import { BackupError, exitCodeOf, messageOf } from '../lib/base/errors.ts'
import { systemRandom } from '../lib/base/random.ts'
import { openControl } from './control.ts'
import { actOn } from './estate/act.ts'
import { demoEstate, smallEstate } from './estate/demo.ts'
import { Estate } from './estate/estate.ts'
import { readEstateFile } from './estate/parse.ts'
import { calm, parseScenario, Scenario } from './scenario.ts'
import { plainServer, startServer } from './server.ts'

const USAGE = `Usage: node sim/main.ts [options]
  --port N                 port of the vCenter on 127.0.0.1 (default: any free)
  --control-port N         port of the control interface (default: any free)
  --estate FILE|demo|small what is simulated (default: demo)
  --seed N                 seed of contents and faults (default: 1)
  --directory DIR          keep the disks in DIR (made if missing) instead of in memory
  --user NAME              default: administrator@vsphere.local
  --password TEXT          default: a random one, printed in the JSON line only
  --scenario FILE          faults by call and by chance
  --session-idle-ms N      idle limit of sessions (default: 1800000)
  --task-keep-ms N         how long ended tasks can be read (default: 600000)
  --snapshot-ms N          how long a snapshot task takes (default: 100)
  --guest-write-every-ms N running guests write a record that often (default: never)
  --guest-programs DIR     the guests' insides: accounts, files and programs, which are real programs of THIS machine, run in
                           DIR (made, or empty; best in memory, below /dev/shm; emptied at the end). Run by root, those of
                           plain accounts run as nobody. Default: guest operations are unavailable
  --guest-exit-keep-ms N   how long a guest tells of an ended program (default: 300000)
  --guest-file-host own|*  the host in URLs of files in guests (default: *, the one that was called)
  --change-tracking        small estate: changed block tracking is on from the start
  --deny PRIVILEGE[@NAME]  the user lacks it, or lacks it on the objects of that name and below (repeatable)
  --clock-offset-ms N      how far the clock that the server tells is ahead (default: 0; may be negative)
  --host-maintenance NAME  an ESXi host in maintenance mode (repeatable)
  --host-away NAME         an ESXi host that does not answer vCenter (repeatable)
  --certificate FILE       PEM certificate, with --key FILE (default: a new self-signed one)
  --certificate-out FILE   also write the certificate there
  --exit-with-parent       end when standard input ends
`

type Settings = ReturnType<typeof readArguments>

function readArguments() {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '0' },
      'control-port': { type: 'string', default: '0' },
      estate: { type: 'string', default: 'demo' },
      seed: { type: 'string', default: '1' },
      directory: { type: 'string' },
      user: { type: 'string', default: 'administrator@vsphere.local' },
      password: { type: 'string' },
      scenario: { type: 'string' },
      'session-idle-ms': { type: 'string', default: String(plainServer.sessionIdleMs) },
      'task-keep-ms': { type: 'string', default: String(plainServer.taskKeepMs) },
      'snapshot-ms': { type: 'string', default: String(plainServer.snapshotMs) },
      'guest-write-every-ms': { type: 'string' },
      'guest-programs': { type: 'string' },
      'guest-exit-keep-ms': { type: 'string', default: '300000' },
      'guest-file-host': { type: 'string', default: plainServer.guestFileHost },
      'change-tracking': { type: 'boolean', default: false },
      deny: { type: 'string', multiple: true, default: [] },
      'clock-offset-ms': { type: 'string', default: '0' },
      'host-maintenance': { type: 'string', multiple: true, default: [] },
      'host-away': { type: 'string', multiple: true, default: [] },
      certificate: { type: 'string' },
      key: { type: 'string' },
      'certificate-out': { type: 'string' },
      'exit-with-parent': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  return values
}

if (import.meta.main) {
  try {
    await main()
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`)
    process.exitCode = error instanceof BackupError ? exitCodeOf(error.kind) : error instanceof TypeError ? 2 : 1
  }
}

async function main(): Promise<void> {
  const settings = readArguments()
  if (settings.help) return void process.stdout.write(USAGE)
  using estate = makeEstate(settings)
  const scenario = new Scenario(readScenario(settings), (wish) => void actOn(estate, wish))
  const password = settings.password ?? Buffer.from(systemRandom.bytes(12)).toString('base64url')
  await using control = await openControl({
    estate,
    scenario,
    clock: systemClock,
    port: numberOf(settings, 'control-port'),
  })
  await using server = await startServer({
    ...plainServer,
    estate,
    scenario,
    users: [{ userName: settings.user, password }],
    clock: systemClock,
    random: systemRandom,
    port: numberOf(settings, 'port'),
    identity: readIdentity(settings),
    sessionIdleMs: numberOf(settings, 'session-idle-ms'),
    taskKeepMs: numberOf(settings, 'task-keep-ms'),
    snapshotMs: numberOf(settings, 'snapshot-ms'),
    deniedPrivileges: settings.deny,
    clockOffsetMs: numberOf(settings, 'clock-offset-ms'),
    hostsInMaintenance: settings['host-maintenance'],
    hostsAway: settings['host-away'],
    guestFileHost: settings['guest-file-host'] === 'own' ? 'own' : '*',
  })

  if (settings['guest-write-every-ms'] !== undefined) {
    await control.guests.run({ everyMs: numberOf(settings, 'guest-write-every-ms'), records: 1 })
  }
  if (settings['certificate-out'] !== undefined) writeFileSync(settings['certificate-out'], server.certificate)
  const line = {
    v: 1,
    url: server.url,
    sdkUrl: `${server.url}/sdk`,
    controlUrl: control.url,
    user: settings.user,
    password,
    thumbprintSha256: server.thumbprintSha256,
    thumbprintSha1: server.thumbprintSha1,
    certificate: server.certificate,
  }
  process.stdout.write(`${JSON.stringify(line)}\n`)
  await toldToStop({ withParent: settings['exit-with-parent'] })
}

function makeEstate(settings: Settings): Estate {
  if (settings.directory !== undefined) mkdirSync(settings.directory, { recursive: true })
  const guests =
    settings['guest-programs'] === undefined
      ? null
      : { directory: settings['guest-programs'], exitKeepMs: numberOf(settings, 'guest-exit-keep-ms') }
  const world = { directory: settings.directory ?? null, clock: systemClock, guests }
  const seed = numberOf(settings, 'seed')
  switch (settings.estate) {
    case 'demo':
      return demoEstate({ ...world, seed })
    case 'small':
      return smallEstate({ ...world, seed, changeTracking: settings['change-tracking'] })
    default:
      return new Estate(readEstateFile(settings.estate), world)
  }
}

function readScenario({ scenario }: Settings) {
  return scenario === undefined ? calm : parseScenario(readFileSync(scenario, 'utf8'), { name: scenario })
}

function readIdentity({ certificate, key }: Settings) {
  if (certificate === undefined && key === undefined) return null
  if (certificate === undefined || key === undefined) {
    throw new BackupError('Cannot start: --certificate and --key belong together', { code: 'usage', kind: 'usage' })
  }
  return { certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') }
}

function numberOf(
  settings: Settings,
  name:
    | 'port'
    | 'control-port'
    | 'seed'
    | 'session-idle-ms'
    | 'task-keep-ms'
    | 'snapshot-ms'
    | 'guest-write-every-ms'
    | 'guest-exit-keep-ms'
    | 'clock-offset-ms',
): number {
  const text = settings[name] ?? ''
  const value = Number(text)
  const form = name === 'clock-offset-ms' ? /^-?[0-9]+$/ : /^[0-9]+$/
  if (form.test(text) && Number.isSafeInteger(value)) return value
  throw new BackupError(`Cannot start: --${name} is "${text}", a whole number is needed`, {
    code: 'usage',
    kind: 'usage',
  })
}

async function toldToStop({ withParent }: { readonly withParent: boolean }): Promise<void> {
  const reasons = [once(process, 'SIGTERM'), once(process, 'SIGINT')]
  if (withParent) {
    process.stdin.resume()
    reasons.push(once(process.stdin, 'close'), once(process.stdin, 'end'))
  }
  await Promise.race(reasons)
  process.stdin.destroy()
}
