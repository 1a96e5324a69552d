// GuestAuthManager and GuestProcessManager: who may, and programs in a guest.

import type { GuestProcess } from '../../guest/types.ts'
import { type Data, data, dataAt, isList, numberAt, optionalTextAt, textAt, textsAt } from '../../soap/value.ts'
import type { Call, Handler } from '../front.ts'
import { enterGuest, programsOf } from './enter-guest.ts'

export const guestProgramMethods: Readonly<Record<string, Handler>> = {
  ValidateCredentialsInGuest: (call) => {
    enterGuest(call, 'Query')
    return null
  },
  StartProgramInGuest: (call) => {
    const guest = enterGuest(call, 'Execute')
    const spec = dataAt(call.args, 'spec')
    return programsOf(guest).start(guest.account, {
      programPath: textAt(spec, 'programPath'),
      arguments: textAt(spec, 'arguments'),
      workingDirectory: optionalTextAt(spec, 'workingDirectory') || null,
      environment: textsAt(spec, 'envVariables'),
    })
  },
  ListProcessesInGuest: (call) => {
    const guest = enterGuest(call, 'Query')
    return (guest.system.programs?.list(pidsOf(call)) ?? []).map(processOf)
  },
  TerminateProcessInGuest: async (call) => {
    const guest = enterGuest(call, 'Execute')
    await programsOf(guest).terminate(guest.account, numberAt(call.args, 'pid'))
    return null
  },
  ReadEnvironmentVariableInGuest: (call) => {
    const guest = enterGuest(call, 'Query')
    const names = textsAt(call.args, 'names')
    const environment = guest.system.programs?.environmentOf(guest.account) ?? ['TEMP=C:\\Windows\\Temp']
    return environment.filter((pair) => names.length === 0 || names.includes(pair.slice(0, pair.indexOf('='))))
  },
}

/** Null: all of them. */
function pidsOf({ args }: Call): readonly number[] | null {
  const pids = args.fields['pids'] ?? []
  return isList(pids) && pids.length > 0 ? pids.filter((pid) => typeof pid === 'number') : null
}

function processOf(process: GuestProcess): Data {
  const { name, pid, owner, commandLine, startedMs, endedMs, exitCode } = process
  return data('GuestProcessInfo', {
    ...{ name, pid, owner, cmdLine: commandLine, exitCode },
    startTime: new Date(startedMs),
    endTime: endedMs === null ? null : new Date(endedMs),
  })
}
