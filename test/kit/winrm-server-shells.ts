// Shells and commands of the test server (MS-WSMV 3.1.4.5, 3.1.4.9 to 3.1.4.14).

import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { killTree, startPowershell, type TestGuest } from './winrm-server-guest.ts'
import { elementsOf, escaped, faults, is, NS, only, type WsmanRequest } from './winrm-server-soap.ts'

export type Shells = {
  /** @returns the action and body of the reply. @throws WsmanError */
  handle(request: WsmanRequest): Promise<{ readonly action: string; readonly body: string }>
  readonly ids: () => readonly string[]
  /** As after a restart of WinRM: they are gone, with their processes. */
  lose(): void
}

type Command = {
  readonly id: string
  readonly output: { readonly stdout: Buffer[]; readonly stderr: Buffer[] }
  /** Null while it runs. */
  exitCode: number | null
  takesInput: boolean
  input(bytes: Buffer, end: boolean): void
  kill(): void
  /** Called when there is output, or the end. */
  wake: () => void
}

type Shell = { readonly id: string; readonly commands: Map<string, Command> }

const CREATE_OPTIONS = ['WINRS_NOPROFILE', 'WINRS_CODEPAGE']
const COMMAND_OPTIONS = ['WINRS_CONSOLEMODE_STDIN', 'WINRS_SKIP_CMD_SHELL']
const RAW_BYTES_MAX = 32_768
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/

export function testShells(options: {
  readonly guest: TestGuest
  readonly shellsMax: number
  /** MaxTimeoutms: the most that an OperationTimeout may be. */
  readonly operationTimeoutMsMax: number
}): Shells {
  const shells = new Map<string, Shell>()
  const shellOf = ({ shellId }: WsmanRequest): Shell => {
    const shell = shellId === null ? undefined : shells.get(shellId)
    if (shell === undefined) throw faults.shellLost(shellId ?? '')
    return shell
  }
  const end = (shell: Shell) => {
    shells.delete(shell.id)
    for (const command of shell.commands.values()) {
      command.kill()
      command.wake()
    }
  }
  return {
    ids: () => [...shells.keys()],
    lose: () => {
      for (const shell of [...shells.values()]) end(shell)
    },
    handle: async (request) => {
      const { action, body } = request
      switch (action) {
        case `${NS.x}/Create`: {
          checkOptions(request, CREATE_OPTIONS)
          checkStreams(only(body, [NS.rsp, 'Shell']))
          if (shells.size >= options.shellsMax) throw faults.shells(options.shellsMax)
          const id = randomUUID().toUpperCase()
          shells.set(id, { id, commands: new Map() })
          return { action: `${action}Response`, body: createdBody(id) }
        }
        case `${NS.x}/Delete`:
          end(shellOf(request))
          return { action: `${action}Response`, body: '' }
        case `${NS.rsp}/Command`: {
          checkOptions(request, COMMAND_OPTIONS)
          const command = startCommand(commandLineIn(request), options.guest)
          shellOf(request).commands.set(command.id, command)
          return {
            action: `${action}Response`,
            body: `<rsp:CommandResponse><rsp:CommandId>${command.id}</rsp:CommandId></rsp:CommandResponse>`,
          }
        }
        case `${NS.rsp}/Send`:
          send(request, shellOf(request))
          return { action: `${action}Response`, body: '<rsp:SendResponse/>' }
        case `${NS.rsp}/Receive`: {
          const timeoutMs = Math.min(request.operationTimeoutMs, options.operationTimeoutMsMax)
          const shell = shellOf(request)
          const received = await receive(request, { shell, timeoutMs })
          if (!shells.has(shell.id)) throw faults.shellLost(shell.id)
          return { action: `${action}Response`, body: received }
        }
        case `${NS.rsp}/Signal`:
          signal(request, shellOf(request))
          return { action: `${action}Response`, body: '<rsp:SignalResponse/>' }
        default:
          throw faults.action(action)
      }
    },
  }
}

function createdBody(id: string): string {
  const selector = `<w:SelectorSet><w:Selector Name="ShellId">${id}</w:Selector></w:SelectorSet>`
  const parameters = `<a:ReferenceParameters><w:ResourceURI>${NS.rsp}/cmd</w:ResourceURI>${selector}</a:ReferenceParameters>`
  const created = `<x:ResourceCreated><a:Address>https://wintest.example/wsman</a:Address>${parameters}</x:ResourceCreated>`
  return `${created}<rsp:Shell><rsp:ShellId>${id}</rsp:ShellId></rsp:Shell>`
}

function checkOptions({ options }: WsmanRequest, known: readonly string[]): void {
  for (const name of options.keys()) if (!known.includes(name)) throw faults.option(name)
}

function checkStreams(shell: Parameters<typeof only>[0]): void {
  const textOf = (name: string) => (only(shell, [NS.rsp, name]).textContent ?? '').trim()
  if (textOf('InputStreams') !== 'stdin') throw faults.invalid('InputStreams must be stdin')
  if (textOf('OutputStreams') !== 'stdout stderr') throw faults.invalid('OutputStreams must be stdout stderr')
  const idle = elementsOf(shell).find((each) => is(each, [NS.rsp, 'IdleTimeOut']))?.textContent
  if (idle !== undefined && !/^PT[0-9]+(\.[0-9]+)?S$/.test(idle ?? '')) throw faults.invalid('IdleTimeOut')
}

function commandLineIn({ body }: WsmanRequest): string {
  const line = only(body, [NS.rsp, 'CommandLine'])
  const args = elementsOf(line).filter((each) => is(each, [NS.rsp, 'Arguments']))
  return [only(line, [NS.rsp, 'Command']), ...args].map(({ textContent }) => textContent ?? '').join(' ')
}

function commandOf(shell: Shell, id: string | null): Command {
  const command = shell.commands.get(id ?? '')
  if (command === undefined) throw faults.commandLost(id ?? '')
  return command
}

function send({ body }: WsmanRequest, shell: Shell): void {
  const stream = only(only(body, [NS.rsp, 'Send']), [NS.rsp, 'Stream'])
  if (stream.getAttribute('Name') !== 'stdin') throw faults.invalid('the one input stream is stdin')
  const command = commandOf(shell, stream.getAttribute('CommandId'))
  const text = (stream.textContent ?? '').trim()
  if (!BASE64.test(text) || text.length % 4 !== 0) throw faults.invalid('a stream must be base64')
  const last = stream.getAttribute('End') ?? ''
  if (!['', 'true', 'false', '1', '0'].includes(last.toLowerCase())) throw faults.invalid('End must be a boolean')
  if (!command.takesInput || command.exitCode !== null) throw faults.inputClosed()
  command.input(Buffer.from(text, 'base64'), ['true', '1'].includes(last.toLowerCase()))
}

async function receive(
  { body, replyBytesMax }: WsmanRequest,
  { shell, timeoutMs }: { readonly shell: Shell; readonly timeoutMs: number },
): Promise<string> {
  const desired = only(only(body, [NS.rsp, 'Receive']), [NS.rsp, 'DesiredStream'])
  if ((desired.textContent ?? '').trim() !== 'stdout stderr')
    throw faults.invalid('DesiredStream must be stdout stderr')
  const command = commandOf(shell, desired.getAttribute('CommandId'))
  const { output } = command
  if (output.stdout.length === 0 && output.stderr.length === 0 && command.exitCode === null) {
    const timedOut = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(true), timeoutMs)
      command.wake = () => {
        clearTimeout(timer)
        resolve(false)
      }
    })
    if (timedOut) throw faults.timedOut()
  }
  const most = Math.min(RAW_BYTES_MAX, Math.floor((replyBytesMax - 4096) / 4))
  const streams = (['stdout', 'stderr'] as const).map((name) => {
    const bytes = take(output[name], most)
    const done = command.exitCode !== null && output[name].length === 0
    const base64 = bytes.toString('base64')
    return bytes.byteLength === 0 && !done
      ? ''
      : `<rsp:Stream Name="${name}" CommandId="${command.id}"${done ? ' End="true"' : ''}>${base64}</rsp:Stream>`
  })
  const ended = command.exitCode !== null && output.stdout.length === 0 && output.stderr.length === 0
  const exit = ended ? `<rsp:ExitCode>${command.exitCode}</rsp:ExitCode>` : ''
  const state = `<rsp:CommandState CommandId="${command.id}" State="${NS.rsp}/CommandState/${ended ? 'Done' : 'Running'}">${exit}</rsp:CommandState>`
  return `<rsp:ReceiveResponse>${streams.join('')}${state}</rsp:ReceiveResponse>`
}

function signal({ body }: WsmanRequest, shell: Shell): void {
  const element = only(body, [NS.rsp, 'Signal'])
  const code = (only(element, [NS.rsp, 'Code']).textContent ?? '').trim()
  const known = ['terminate', 'ctrl_c', 'ctrl_break', 'Terminate'].map((name) => `${NS.rsp}/signal/${name}`)
  if (!known.includes(code)) throw faults.invalid(`no signal ${escaped(code)}`)
  const command = commandOf(shell, element.getAttribute('CommandId'))
  command.kill()
  command.wake()
  shell.commands.delete(command.id)
}

function take(parts: Buffer[], bytesMax: number): Buffer {
  const taken: Buffer[] = []
  for (let left = bytesMax; left > 0; ) {
    const part = parts.shift()
    if (part === undefined) break
    if (part.byteLength > left) parts.unshift(part.subarray(left))
    taken.push(part.subarray(0, left))
    left -= Math.min(left, part.byteLength)
  }
  return Buffer.concat(taken)
}

/** The client's scripts, or a real program with arguments that have no blanks. */
function startCommand(line: string, guest: TestGuest): Command {
  const script = startPowershell(line, guest)
  const [program = '', ...args] = line.split(' ').filter((word) => word !== '')
  const command: Command = {
    id: randomUUID().toUpperCase(),
    output: { stdout: [], stderr: [] },
    exitCode: null,
    takesInput: true,
    input: () => undefined,
    kill: () => undefined,
    wake: () => undefined,
  }
  const end = (exitCode: number) => {
    command.exitCode = exitCode
    command.wake()
  }
  if (script !== null) {
    if (script.refusal !== null) {
      command.output.stderr.push(Buffer.from(`${script.refusal}\r\n`))
      end(1)
      return command
    }
    const stdin: Buffer[] = []
    command.kill = script.kill
    command.input = (bytes, last) => {
      stdin.push(bytes)
      if (!last) return
      command.takesInput = false
      void script.finish(Buffer.concat(stdin)).then(({ exitCode, stdout, stderr }) => {
        command.output.stdout.push(stdout)
        command.output.stderr.push(stderr)
        end(exitCode)
      })
    }
    return command
  }
  const child = spawn(program, args, { detached: true, stdio: 'pipe' })
  child.stdin.on('error', () => undefined)
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].on('data', (part: Buffer) => {
      command.output[name].push(part)
      command.wake()
    })
  }
  command.kill = () => killTree(child)
  command.input = (bytes, last) => {
    child.stdin.write(bytes)
    if (last) child.stdin.end()
    command.takesInput = !last
  }
  child.once('error', () => {
    command.output.stderr.push(Buffer.from(`'${program}' is not recognized\r\n`))
    end(1)
  })
  child.once('close', (code) => end(code ?? 1))
  return command
}
