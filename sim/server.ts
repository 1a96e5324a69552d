// The simulated vCenter as an HTTPS server on loopback, over any estate.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { Clock } from '../lib/base/clock.ts'
import { BackupError } from '../lib/base/errors.ts'
import type { Random } from '../lib/base/random.ts'
import { folderEndpoint } from './api/folder-endpoint.ts'
import type { Front, FrontSettings } from './api/front.ts'
import { guestFileEndpoint } from './api/guest-file-endpoint.ts'
import { openTransfers } from './api/guest-transfers.ts'
import { answer, answerStatus, type Exchange } from './api/http.ts'
import { openLeases } from './api/leases.ts'
import { nfcEndpoint } from './api/nfc-endpoint.ts'
import { uuidOf } from './api/objects/compute.ts'
import { PRODUCT } from './api/objects/singletons.ts'
import { type Credentials, openSessions } from './api/sessions.ts'
import { soapEndpoint } from './api/soap-endpoint.ts'
import { taggingEndpoint } from './api/tagging-endpoint.ts'
import { openTasks } from './api/tasks.ts'
import { openWorld } from './api/world.ts'
import type { SimEstate, SimForeignTasks, SimScenario } from './machine/types.ts'
import { type ServerIdentity, selfSigned, thumbprints } from './tls.ts'

export type ServerOptions = {
  readonly estate: SimEstate
  readonly scenario: SimScenario
  readonly users: readonly Credentials[]
  readonly clock: Clock
  readonly random: Random
  /** 0: any free port. */
  readonly port: number
  /** Null: a new self-signed one. */
  readonly identity: ServerIdentity | null
  /** How long a session lives without a call; vCenter's own limit is 30 minutes. */
  readonly sessionIdleMs: number
  /** How long an ended task can still be read; vCenter's own limit is about ten minutes. */
  readonly taskKeepMs: number
  readonly snapshotMs: number
  readonly taskMs: number
  readonly deniedPrivileges: readonly string[]
  readonly clockOffsetMs: number
  readonly hostsInMaintenance: readonly string[]
  readonly hostsAway: readonly string[]
  readonly guestFileHost: '*' | 'own' | 'localhost'
  /** How long a URL of a file in a guest works. */
  readonly guestFileMs: number
  /** How long a lease on disks lasts without a report of progress; servers say 300 s. */
  readonly leaseTimeoutMs: number
}

/** Settings of a server that nobody wants to be special. */
export const plainServer = {
  port: 0,
  identity: null,
  sessionIdleMs: 30 * 60_000,
  taskKeepMs: 10 * 60_000,
  snapshotMs: 100,
  taskMs: 20,
  deniedPrivileges: [],
  clockOffsetMs: 0,
  hostsInMaintenance: [],
  hostsAway: [],
  guestFileHost: '*',
  guestFileMs: 10 * 60_000,
  leaseTimeoutMs: 5 * 60_000,
} as const satisfies Partial<ServerOptions>

export interface RunningServer extends AsyncDisposable {
  /** "https://127.0.0.1:PORT" */
  readonly url: string
  readonly port: number
  /** PEM. */
  readonly certificate: string
  readonly thumbprintSha256: string
  readonly thumbprintSha1: string
}

/** Starts the server; disposing it ends its connections and tasks, not the estate. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { clock, random, estate } = options
  const identity = options.identity ?? selfSigned({ nowMs: clock.nowMs(), random })
  const { sha256, sha1 } = thumbprints(identity.certificate)
  const settings: FrontSettings = {
    snapshotMs: options.snapshotMs,
    taskMs: options.taskMs,
    deniedPrivileges: options.deniedPrivileges,
    clockOffsetMs: options.clockOffsetMs,
    hostsInMaintenance: options.hostsInMaintenance,
    hostsAway: options.hostsAway,
    guestFileHost: options.guestFileHost,
    thumbprintSha1: sha1,
    instanceUuid: uuidOf(`vcenter ${estate.seed}`),
  }
  const tasks = openTasks({ clock, keepMs: options.taskKeepMs })
  const front: Front = {
    world: openWorld(estate, clock),
    tasks,
    sessions: openSessions({ users: options.users, idleMs: options.sessionIdleMs, clock, random }),
    transfers: openTransfers({ clock, random, keepMs: options.guestFileMs }),
    leases: openLeases({ clock, random, timeoutMs: options.leaseTimeoutMs }),
    scenario: options.scenario,
    clock,
    random,
    settings,
  }
  estate.onForeignTasks(foreignTasks(front))
  const server = createServer({ key: identity.key, cert: identity.certificate }, (request, response) => {
    void respond(front, { request, response })
  })
  server.keepAliveTimeout = 60_000
  const port = await listen(server, options.port)
  return {
    url: `https://127.0.0.1:${port}`,
    port,
    certificate: identity.certificate,
    thumbprintSha256: sha256,
    thumbprintSha1: sha1,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
      await tasks.close()
    },
  }
}

function foreignTasks({ world, tasks }: Front): SimForeignTasks {
  return {
    start: ({ machine, name, durationMs }) => {
      const entity = world.entityOf(machine)
      if (entity === null) return
      tasks.start({
        name,
        descriptionId: name,
        entity: entity.ref,
        entityName: entity.name,
        userName: 'another-product@vsphere.local',
        durationMs,
        mishap: null,
        work: () => null,
      })
    },
    end: (machine) => {
      const entity = world.entityOf(machine)
      if (entity !== null) for (const { id } of tasks.recentOf(entity.ref)) tasks.end(id)
    },
  }
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      if (address === null || typeof address === 'string') {
        return reject(new BackupError('Cannot listen: the server has no port', { code: 'simulator-address' }))
      }
      resolve(address.port)
    })
  })
}

async function respond(
  front: Front,
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort(new DOMException('The caller hung up', 'AbortError')))
  const exchange = { request, response, signal: gone.signal }
  try {
    await route(front, { ...exchange, url: new URL(request.url ?? '/', 'https://127.0.0.1') })
  } catch (error) {
    if (response.headersSent) return void response.destroy()
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    answer({ response }, { status: 500, type: 'text/plain', body: `${text}\n` })
  }
}

async function route(front: Front, exchange: Exchange): Promise<void> {
  const { pathname } = exchange.url
  const { method } = exchange.request
  if (pathname === '/sdk' || pathname === '/sdk/' || pathname === '/sdk/vimService') {
    return method === 'POST' ? await soapEndpoint(front, exchange) : answerStatus(exchange, 405)
  }
  if (pathname === '/sdk/vimServiceVersions.xml') {
    return answer(exchange, { status: 200, type: 'text/xml', body: versionsDocument() })
  }
  if (pathname === '/guestFile') return await guestFileEndpoint(front, exchange)
  if (pathname.startsWith('/nfc/')) return await nfcEndpoint(front, exchange)
  if (pathname.startsWith('/folder/')) return await folderEndpoint(front, exchange)
  if (pathname.startsWith('/api/') || pathname.startsWith('/rest/')) return await taggingEndpoint(front, exchange)
  answerStatus(exchange, 404)
}

/** Newest first; clients take the newest that they know. */
function versionsDocument(): string {
  const [newest, ...prior] = [
    PRODUCT.apiVersion,
    '8.0.2.0',
    '8.0.1.0',
    '8.0.0.1',
    '7.0.3.0',
    '7.0',
    '6.7.3',
    '6.7.1',
    '6.7',
    '6.5',
    '6.0',
    '5.5',
  ]
  const versions = prior.map((version) => `<version>${version}</version>`).join('')
  return (
    '<?xml version="1.0" encoding="UTF-8" ?>\n<namespaces version="1.0"><namespace><name>urn:vim25</name>' +
    `<version>${newest}</version><priorVersions>${versions}</priorVersions></namespace></namespaces>\n`
  )
}
