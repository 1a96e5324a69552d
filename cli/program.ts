// The commands of the program, in groups. What they do is in a file each, loaded when it is asked for.

import { Command } from 'commander'
import { addAlarmCommands } from './commands-alarms.ts'
import { addPointCommands } from './commands-points.ts'
import { addPolicyCommands } from './commands-policies.ts'
import { addRunCommands } from './commands-runs.ts'
import { addSiteCommands } from './commands-site.ts'
import type { CommandEnds } from './option-values.ts'

const settingsHelp = `
Settings come from the environment, or from coldframe.yaml in the working folder:
  COLDFRAME_VCENTER             https://host[:port]
  COLDFRAME_VCENTER_USER        and COLDFRAME_VCENTER_PASSWORD or ..._PASSWORD_FILE
  COLDFRAME_VCENTER_THUMBPRINT  SHA-256 of its certificate, or COLDFRAME_VCENTER_CA_FILE
  COLDFRAME_REPOSITORY          file:DIR, or s3:BUCKET[/PREFIX] with AWS_REGION and AWS credentials
  COLDFRAME_PASSPHRASE          or ..._FILE; without it nothing can be restored
  COLDFRAME_HOME                state and logs (default: .coldframe)
  COLDFRAME_ENGINE              local (default), or aws:STACK with COLDFRAME_API_URL and COLDFRAME_API_TOKEN(_FILE) or AWS credentials
  COLDFRAME_SECRETS             folder of secrets that policies name, a file each; or COLDFRAME_SECRET_NAME

Exit codes: 0 success or warning, 1 failed, 2 usage or settings, 3 not found or ambiguous, 4 refused, 5 damaged data,
130 interrupted. No vCenter at hand? "npm start" shows everything with a simulated one.
`

/** @throws CommanderError from parsing, and what the commands throw */
export function coldframeProgram(ends: CommandEnds): Command {
  const program = new Command('coldframe')
    .description('Backs up VMware vSphere VMs, and restores them byte for byte')
    .version(ends.world.version)
    .enablePositionalOptions()
    .addHelpText('after', settingsHelp)
  const command = (name: string, description: string) =>
    program.command(name).description(description).option('--json', 'print one JSON document on stdout')
  addRunCommands(command, ends)
  addPointCommands(command, ends)
  addSiteCommands(command, ends)
  addPolicyCommands(command, ends)
  addAlarmCommands(command, ends)
  return program
}
