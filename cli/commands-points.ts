// Commands about restore points: list, restore, verify.

import { type AddCommand, type CommandEnds, collectKeys, type Json } from './option-values.ts'

const pointHelp = `
POINT is one of
  NAME@latest   the newest restore point of the VM of this name (or instance uuid)
  NAME@3        its point number 3
  4f1c09        the beginning of a point's id, 4 digits or more
"coldframe points" lists them.
`

const restoreHelp = `${pointHelp}
PATH: for one disk the file to write. If PATH is a folder that exists, ends in "/", or several disks are restored, it is a
folder (made when missing) and the files in it are named VM-NUMBER-diskKEY.raw. Files are raw and sparse, and have their
name only when every chunk was verified and written. s3://BUCKET/PREFIX/ is written by a task of the engine, below the places that
COLDFRAME_RESTORE_TARGETS allows.
`

type RestoreFlags = { readonly disk?: readonly number[]; readonly to: string; readonly overwrite?: true }

export function addPointCommands(command: AddCommand, { finish, world }: CommandEnds): void {
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
}
