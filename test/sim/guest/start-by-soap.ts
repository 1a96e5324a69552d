// Starts a program in a guest of a simulator that runs as a process, over its SOAP endpoint.

import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { text } from 'node:stream/consumers'
import { call, loginCall } from '../api/raw-client.ts'
import type { SimProgram } from '../api/sim-program.ts'

const ENVELOPE = 'http://schemas.xmlsoap.org/soap/envelope/'
const XSI = 'http://www.w3.org/2001/XMLSchema-instance'

/** By the demo's account "backup". @returns the pid */
export async function startProgram(
  sim: SimProgram,
  program: { readonly vm: string; readonly path: string; readonly args: string },
): Promise<number> {
  const agent = new Agent({ ca: sim.certificate })
  const post = async (body: string, cookie: string) => {
    const sent = request(`${sim.url}/sdk`, { method: 'POST', agent, headers: { Cookie: cookie } })
    sent.end(`<e:Envelope xmlns:e="${ENVELOPE}" xmlns:xsi="${XSI}"><e:Body>${body}</e:Body></e:Envelope>`)
    const [response]: IncomingMessage[] = await once(sent, 'response')
    if (response === undefined) throw new Error('no response')
    return { text: await text(response), cookie: response.headers['set-cookie']?.[0]?.split(';')[0] ?? cookie }
  }
  const { cookie } = await post(loginCall(sim.user, sim.password), '')
  const auth =
    '<auth xsi:type="NamePasswordAuthentication"><interactiveSession>false</interactiveSession>' +
    '<username>backup</username><password>only-for-the-demo</password></auth>'
  const args =
    `<vm type="VirtualMachine">${program.vm}</vm>${auth}<spec><programPath>${program.path}</programPath>` +
    `<arguments>${program.args.replaceAll('&', '&amp;')}</arguments></spec>`
  const started = await post(
    call('StartProgramInGuest', { type: 'GuestProcessManager', id: 'guestOperationsProcessManager', args }),
    cookie,
  )
  agent.destroy()
  const pid = /<returnval>(\d+)<\/returnval>/.exec(started.text)?.[1]
  if (pid === undefined) throw new Error(started.text)
  return Number(pid)
}
