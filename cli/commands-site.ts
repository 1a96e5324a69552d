// Commands about the site: its repository, what is left behind, whether backups will work, what they may do, scripts for guests, the simulator.

import { spawnSync } from 'node:child_process'
import { programPath } from '../lib/compose/programs.ts'
import { type AddCommand, type CommandEnds, collect, type Json } from './option-values.ts'

const initHelp = `
The first backup does the same for a repository without a key of KMS. A repository always opens by its passphrase: one that only a
key service could open would be lost with it. Nothing that is there is changed; a key is added beside the others.
`

const doctorHelp = `
Makes no snapshot and writes nothing in vCenter, in guests or in the repository. For each VM it predicts grade, transport and time.
Exit code 0: nothing failed (warnings may be told); 1: something did; 3: no such VM; 4: vCenter refuses the login, or is not
the one that is trusted.
`

type PrivilegesFlags = {
  readonly transport?: string
  readonly guest?: string
  readonly policy?: string
  readonly encrypted?: true
  readonly restore?: true
  readonly alarms?: true
  readonly format: string
}
type DoctorFlags = { readonly vm?: readonly string[]; readonly policy?: string; readonly guest?: true }

export function addSiteCommands(command: AddCommand, ends: CommandEnds): void {
  addInit(command, ends)
  addHunt(command, ends)
  addDoctor(command, ends)
  addPrivileges(command, ends)
  addScriptAndSim(command, ends)
}

function addInit(command: AddCommand, { finish, world }: CommandEnds): void {
  command('init', 'create the repository, prove that it opens, and look at how its bucket is set up')
    .option('--kms-key <arn>', 'a key of AWS KMS that opens it, too; also for a repository that is there')
    .addHelpText('after', initHelp)
    .action(async ({ json, ...options }: Json & { readonly kmsKey?: string }) => {
      const { init } = await import('./init.ts')
      finish(await init(options, world), { json: json === true })
    })
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
    .option('--policy <name>', 'the policy to judge by, and without --vm also the VMs: one that was applied, or a file')
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

function simulatorUsage(): string {
  return spawnSync(process.execPath, [programPath('sim'), '--help'], { encoding: 'utf8' }).stdout
}
