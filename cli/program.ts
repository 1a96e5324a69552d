// The commands, their options and their help texts. What they do is in a file each, loaded when it is asked for.

import { spawnSync } from 'node:child_process'
import { Command, InvalidArgumentError } from 'commander'
import { programPath } from '../lib/compose/programs.ts'
import type { Answer } from './answer.ts'
import type { JobsOptions } from './jobs.ts'
import type { World } from './world.ts'

const settingsHelp = `
Settings come from the environment, or from coldframe.yaml in the working folder:
  COLDFRAME_VCENTER             https://host[:port]
  COLDFRAME_VCENTER_USER        and COLDFRAME_VCENTER_PASSWORD or ..._PASSWORD_FILE
  COLDFRAME_VCENTER_THUMBPRINT  SHA-256 of its certificate, or COLDFRAME_VCENTER_CA_FILE
  COLDFRAME_REPOSITORY          file:DIR
  COLDFRAME_PASSPHRASE          or ..._FILE; without it nothing can be restored
  COLDFRAME_HOME                state and logs (default: .coldframe)
  COLDFRAME_SECRETS             folder of secrets that policies name, a file each; or COLDFRAME_SECRET_NAME

Exit codes: 0 success or warning, 1 failed, 2 usage or settings, 3 not found or ambiguous, 4 refused, 5 damaged data,
130 interrupted. No vCenter at hand? "npm start" shows everything with a simulated one.
`

const pointHelp = `
POINT is one of
  NAME@latest   the newest restore point of the VM of this name (or instance uuid)
  NAME@3        its point number 3
  4f1c09        the beginning of a point's id, 4 digits or more
"coldframe points" lists them.
`

const backupHelp = `
Without --vm, what the policy selects is backed up. A name that several VMs have is refused: name one by its reference
or instance uuid. Without --policy, quiescing is tried and a crash-consistent point accepted, nothing is run in guests, and
disks are read by transport "datastore".

Ctrl-C ends the command, not the job: "coldframe resume", or the next backup, goes on with it.
`

const doctorHelp = `
Makes no snapshot and writes nothing in vCenter, in guests or in the repository. For each VM it predicts grade, transport and time.
Exit code 0: nothing failed (warnings may be told); 1: something did; 3: no such VM; 4: vCenter refuses the login, or is not
the one that is trusted.
`

const restoreHelp = `${pointHelp}
PATH: for one disk the file to write. If PATH is a folder that exists, ends in "/", or several disks are restored, it is a
folder (made when missing) and the files in it are named VM-NUMBER-diskKEY.raw. Files are raw and sparse, and have their
name only when every chunk was verified and written.
`

export type CommandEnds = {
  /** What was found out, and what was asked for. */
  readonly finish: (answer: Answer, options: { readonly json: boolean }) => void
  readonly world: World
}

/** As commander gives them: what was not given is missing. */
type Json = { readonly json?: true }
type BackupFlags = {
  readonly vm?: readonly string[]
  readonly policy?: string
  readonly full?: true
  readonly key?: string
}
type PrivilegesFlags = {
  readonly transport?: string
  readonly guest?: string
  readonly policy?: string
  readonly encrypted?: true
  readonly restore?: true
  readonly alarms?: true
  readonly format: string
}
type AddCommand = (name: string, description: string) => Command
type DoctorFlags = { readonly vm?: readonly string[]; readonly policy?: string; readonly guest?: true }
type RestoreFlags = { readonly disk?: readonly number[]; readonly to: string; readonly overwrite?: true }

/** @throws CommanderError from parsing, and what the commands throw */
export function coldframeProgram({ finish, world }: CommandEnds): Command {
  const program = new Command('coldframe')
    .description('Backs up VMware vSphere VMs, and restores them byte for byte')
    .version(world.version)
    .enablePositionalOptions()
    .addHelpText('after', settingsHelp)
  const command = (name: string, description: string) =>
    program.command(name).description(description).option('--json', 'print one JSON document on stdout')

  command('backup', 'back VMs up and wait for the end')
    .option('--vm <name>', 'a VM by name, reference (vm-101) or instance uuid; repeatable', collect)
    .option('--policy <file>', 'how, and without --vm also what, to back up')
    .option('--full', 'read and store everything anew, for example after "verify" found damage')
    .option('--key <text>', 'the same key asks for the same run again instead of a new one')
    .addHelpText('after', backupHelp)
    .action(async ({ json, vm, ...options }: Json & BackupFlags) => {
      const { backup } = await import('./backup.ts')
      finish(await backup({ ...options, vm: vm ?? [] }, world), { json: json === true })
    })
  command('resume', 'go on with interrupted jobs until nothing is left to do').action(async ({ json }: Json) => {
    const { resume } = await import('./resume.ts')
    finish(await resume(world), { json: json === true })
  })
  command('jobs', 'what runs and what ran, and what it waits for')
    .option('--job <id>', 'everything about one job; the beginning of its id is enough')
    .option('--limit <count>', 'how many, newest first', wholeNumber, 20)
    .action(async ({ json, ...options }: Json & JobsOptions) => {
      const { jobs } = await import('./jobs.ts')
      finish(await jobs(options, world), { json: json === true })
    })
  command('points', 'list restore points with their grade')
    .option('--vm <name>', "only this VM's, by name or instance uuid")
    .option('--proof', 'also what each grade rests on: way into the guest, scripts, freeze, VSS writers')
    .action(async ({ json, ...options }: Json & { readonly vm?: string; readonly proof?: true }) => {
      const { points } = await import('./points.ts')
      finish(await points(options, world), { json: json === true })
    })
  command('restore', 'write disks of a restore point as raw files, every chunk verified')
    .argument('<point>', 'which restore point, see below')
    .option('--disk <key>', 'only this disk; repeatable (default: every disk)', collectKeys)
    .requiredOption('--to <path>', 'file or folder to write, see below')
    .option('--overwrite', 'replace files that exist')
    .addHelpText('after', restoreHelp)
    .action(async (point: string, { json, disk, to, overwrite }: Json & RestoreFlags) => {
      const options = { point, disk: disk ?? [], to, overwrite: overwrite === true }
      const { restore } = await import('./restore.ts')
      finish(await restore(options, world), { json: json === true })
    })
  command('verify', 'read and authenticate everything that restore points reach')
    .argument('[point]', 'which restore point, see below')
    .option('--all', 'every restore point of the repository')
    .addHelpText('after', pointHelp)
    .action(async (point: string | undefined, { json, all }: Json & { readonly all?: true }) => {
      const options = point === undefined ? { all: all === true } : { point, all: all === true }
      const { verify } = await import('./verify.ts')
      finish(await verify(options, world), { json: json === true })
    })
  addHunt(command, { finish, world })
  addDoctor(command, { finish, world })
  addPrivileges(command, { finish, world })
  addScriptAndSim(command, { finish, world })
  return program
}

function addHunt(command: AddCommand, { finish, world }: CommandEnds): void {
  command('hunt', 'remove snapshots of ours that nobody is at work with, and have disks consolidated')
    .option('--dry-run', 'only look')
    .option('--any-time', "also where the window of a VM's policy is closed now")
    .action(async ({ json, dryRun, anyTime }: Json & { readonly dryRun?: true; readonly anyTime?: true }) => {
      const { hunt } = await import('./hunt.ts')
      finish(await hunt({ dryRun: dryRun === true, anyTime: anyTime === true }, world), { json: json === true })
    })
  command('release', 'give back what jobs that are done left on one VM: snapshots, places, movers')
    .requiredOption('--vm <name>', 'the VM by name, reference (vm-101) or instance uuid')
    .option('--dry-run', 'only look')
    .action(async ({ json, vm, dryRun }: Json & { readonly vm: string; readonly dryRun?: true }) => {
      const { release } = await import('./release.ts')
      finish(await release({ vm, dryRun: dryRun === true }, world), { json: json === true })
    })
}

function addDoctor(command: AddCommand, { finish, world }: CommandEnds): void {
  command('doctor', 'look whether backups will work, what is missing and what to do; changes nothing')
    .option('--vm <name>', 'a VM by name, reference (vm-101) or instance uuid; repeatable', collect)
    .option('--policy <file>', 'the policy to judge by, and without --vm also the VMs')
    .option('--guest', 'also log in to the guests that the policy would enter')
    .addHelpText('after', doctorHelp)
    .action(async ({ json, vm, guest, ...options }: Json & DoctorFlags) => {
      const { doctor } = await import('./doctor.ts')
      finish(await doctor({ ...options, vm: vm ?? [], guest: guest === true }, world), { json: json === true })
    })
}

function addPrivileges(command: AddCommand, { finish }: CommandEnds): void {
  command('privileges', 'which vSphere privileges are needed for what, and commands that create the least roles')
    .option('--transport <names>', 'transports between commas (default: those of the policy)')
    .option('--guest <way>', '"vix" for guests through VMware Tools, or "network" (default: as the policy says)')
    .option('--policy <file>', 'what the policy needs (without it: what is needed by default)')
    .option('--encrypted', 'also what reading encrypted disks needs')
    .option('--restore', 'also what restoring into vCenter will need')
    .option('--alarms', 'also what installing alarms needs')
    .option('--format <form>', 'table, govc, powercli or json', 'table')
    .action(async ({ json, encrypted, restore, alarms, ...options }: Json & PrivilegesFlags) => {
      const { privileges } = await import('./privileges.ts')
      const also = { encrypted: encrypted === true, restore: restore === true, alarms: alarms === true }
      const answer = await privileges({ ...options, ...also })
      finish(answer, { json: json === true })
    })
}

function addScriptAndSim(command: AddCommand, { finish, world }: CommandEnds): void {
  command('script', 'store a script bundle for guests beside the repository')
    .argument('<file>', 'a .tgz, a .zip or a single script')
    .option('--as <key>', 'its key below "scripts/" (default: the name of the file)')
    .addHelpText(
      'after',
      '\nPrints the SHA-256 by which a policy pins it. Stored bundles are never overwritten: give a new version a new key.',
    )
    .action(async (file: string, { json, ...options }: Json & { readonly as?: string }) => {
      const { script } = await import('./script.ts')
      finish(await script({ ...options, file }, world), { json: json === true })
    })
  command('sim', 'run a simulated vCenter until Ctrl-C')
    .argument('[options...]', 'options of the simulator, see below')
    .allowUnknownOption()
    .addHelpText('after', () => `\n${simulatorUsage()}`)
    .action(async (passed: readonly string[], { json }: Json) => {
      const { sim } = await import('./sim.ts')
      await sim(passed, (started) => finish(started, { json: json === true }), world)
    })
}

function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value]
}

function collectKeys(value: string, earlier: readonly number[] = []): readonly number[] {
  return [...earlier, wholeNumber(value)]
}

function wholeNumber(value: string): number {
  const number = Number(value)
  if (/^[0-9]+$/.test(value) && Number.isSafeInteger(number) && number > 0) return number
  throw new InvalidArgumentError('A whole number is needed.')
}

function simulatorUsage(): string {
  return spawnSync(process.execPath, [programPath('sim'), '--help'], { encoding: 'utf8' }).stdout
}
