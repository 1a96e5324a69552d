// The engine of a stack on AWS, as commands see it: asked and followed through its HTTP API. Ctrl-C ends the command, never the work.

import { readFile } from 'node:fs/promises'
import { apiClient } from '../lib/adapters/aws/api-client.ts'
import { s3Credentials } from '../lib/adapters/aws/s3-credentials.ts'
import { hexOf } from '../lib/base/bytes.ts'
import { BackupError, hasCode, messageOf, quote } from '../lib/base/errors.ts'
import { isPolicyName } from '../lib/model/ids.ts'
import {
  parseJob,
  parseJobPage,
  parseOperation,
  parsePointPage,
  parsePolicyPage,
  parsePolicyText,
  parseRun,
} from '../lib/wire/api/answers.ts'
import type { EngineChoice } from '../lib/wire/api/client-settings.ts'
import type {
  JobDocument,
  OperationDocument,
  PageDocument,
  PointDocument,
  RunDocument,
} from '../lib/wire/api/documents.ts'
import { targetText } from '../lib/wire/restore-targets.ts'
import { defaultPolicyNote } from './backup-note.ts'
import type { BackedUp, Cancelled, Engine, ShownJob, WantedBackup } from './engine.ts'
import { findByBeginning } from './find-by-beginning.ts'
import type { Progress } from './progress.ts'
import { jobTeller, operationTeller } from './tell-jobs.ts'
import type { World } from './world.ts'

/** The first wait between two looks; each is longer, up to what the API says. */
const firstLookMs = 250

/** Jobs that are looked through for the beginning of an id. */
const searchedMax = 1_000

type Choice = Extract<EngineChoice, { kind: 'aws' }>
type Api = {
  readonly get: (path: string, query?: Readonly<Record<string, string>>) => Promise<Looked>
  readonly post: (path: string, asked: { readonly body: unknown; readonly key?: string }) => Promise<unknown>
  readonly world: World
}
type Looked = { readonly answer: unknown; readonly retryAfterMs: number | null }

export function remoteEngine(choice: Choice, world: World): Engine {
  const api = openApi(choice, world)
  return {
    backUp: (wanted, progress) => told(choice, () => backUp(wanted, { api, progress })),
    recentJobs: async (limit) => (await listJobs(api, { limit })).map(shown),
    job: async (id) => {
      const whole = /^[0-9a-f]{32}$/i.test(id) ? id.toLowerCase() : await idOfJob(id, api)
      return shown(parseJob((await api.get(`/v1/jobs/${whole}`)).answer))
    },
    operate: ({ request, key }, progress) =>
      told(choice, async () => {
        const isRestore = request.kind === 'restore'
        const place = isRestore ? 'restores' : 'verifications'
        const body = isRestore
          ? { point: request.point, disks: request.disks, target: targetText(request.target) }
          : { point: request.point, deep: request.deep }
        const asked = parseOperation(await api.post(`/v1/${place}`, { body, key: key ?? newKey(world) }))
        return followOperation(`/v1/${place}/${asked.id}`, { api, progress })
      }),
    cancel: (id, progress) => told(choice, () => cancel(id, { api, progress })),
    points: async (vm) => {
      const isUuid = vm !== null && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(vm)
      const points = await listPoints(api, isUuid ? { vmId: vm } : {})
      return vm === null || isUuid ? points : points.filter((point) => point.vm === vm)
    },
    policies: async () => parsePolicyPage((await api.get('/v1/policies')).answer).items,
    policy: async (name) => parsePolicyText((await api.get(`/v1/policies/${plainWord(name)}`)).answer),
  }
}

function openApi({ url, proof }: Choice, world: World): Api {
  const { clock, random, environment } = world
  let client: ReturnType<typeof apiClient> | null = null
  const open = async () => {
    if (client !== null) return client
    const proven =
      proof.kind === 'iam'
        ? ({ kind: 'iam', region: proof.region, credentials: s3Credentials(environment) } as const)
        : ({ kind: 'token', token: await readToken(proof, world) } as const)
    client = apiClient({ url, proof: proven, clock, random })
    return client
  }
  return {
    get: async (path, query = {}) => (await open()).ask({ method: 'GET', path, query }, world),
    post: async (path, asked) => (await (await open()).ask({ method: 'POST', path, ...asked }, world)).answer,
    world,
  }
}

async function readToken({ from }: Extract<Choice['proof'], { kind: 'token' }>, world: World): Promise<string> {
  const given = world.environment[from] ?? ''
  if (from === 'COLDFRAME_API_TOKEN') return given.trim()
  try {
    return (await readFile(given, 'utf8')).trim()
  } catch (cause) {
    throw new BackupError(`Cannot read the token of ${from}: ${messageOf(cause)}`, {
      code: 'secret-missing',
      kind: 'usage',
      hint: 'Name a file that holds it',
      cause,
    })
  }
}

type Followed = { readonly api: Api; readonly progress: Progress }

async function backUp(wanted: WantedBackup, { api, progress }: Followed): Promise<BackedUp> {
  const { policy, vms, full } = wanted
  if (policy === null) progress.say(defaultPolicyNote)
  const named = policy === null ? null : policyName(policy)
  const body = { policy: named, vms, full }
  const { id } = parseRun(await api.post('/v1/runs', { body, key: wanted.key ?? newKey(api.world) }))
  const run = await followRun(id, { api, progress })
  return { id, policy: run.policy, refusal: run.refusal, jobs: await listJobs(api, { run: id }) }
}

/** What is applied is backed up by: a file would say something that the stack does not know. */
function policyName(words: string): string {
  if (isPolicyName(words)) return words
  throw new BackupError(`Cannot back up by the policy ${quote(words)}: it is not the name of one`, {
    code: 'usage',
    kind: 'usage',
    hint: 'The engine on AWS knows policies that were applied: "coldframe policy list" lists them',
  })
}

async function followRun(id: string, { api, progress }: Followed): Promise<RunDocument> {
  const tell = jobTeller(progress)
  return follow(
    async () => {
      const { answer, retryAfterMs } = await api.get(`/v1/runs/${id}`)
      const run = parseRun(answer)
      if (run.state !== 'requested') tell(await listJobs(api, { run: id }))
      return { value: run, retryAfterMs }
    },
    ({ state }) => state === 'done' || state === 'refused',
    api,
  )
}

async function followOperation(path: string, { api, progress }: Followed): Promise<OperationDocument> {
  const tell = operationTeller(progress)
  return follow(
    async () => {
      const { answer, retryAfterMs } = await api.get(path)
      const value = parseOperation(answer)
      tell(value)
      return { value, retryAfterMs }
    },
    ({ state }) => state === 'done',
    api,
  )
}

async function follow<Value>(
  look: () => Promise<{ readonly value: Value; readonly retryAfterMs: number | null }>,
  isOver: (value: Value) => boolean,
  { world }: Api,
): Promise<Value> {
  for (let waitMs = firstLookMs; ; waitMs *= 2) {
    const { value, retryAfterMs } = await look()
    if (isOver(value)) return value
    await world.clock.sleep(Math.min(waitMs, retryAfterMs ?? 5_000), world)
  }
}

async function listJobs(
  api: Api,
  { run, limit = searchedMax }: { readonly run?: string; readonly limit?: number },
): Promise<readonly JobDocument[]> {
  const own: Record<string, string> = run === undefined ? {} : { run }
  return listPages(api, { path: '/v1/jobs', own, parse: parseJobPage, limit })
}

/** Points that are looked through at most. */
const pointsMax = 10_000

async function listPoints(api: Api, own: Readonly<Record<string, string>>): Promise<readonly PointDocument[]> {
  return listPages(api, { path: '/v1/points', own, parse: parsePointPage, limit: pointsMax })
}

/** @param of.own what is asked for, beside the page */
async function listPages<Item>(
  api: Api,
  of: {
    readonly path: string
    readonly own: Readonly<Record<string, string>>
    readonly parse: (answer: unknown) => PageDocument<Item>
    readonly limit: number
  },
): Promise<readonly Item[]> {
  const { path, own, parse, limit } = of
  const found: Item[] = []
  let cursor: string | null = null
  do {
    const query: Record<string, string> = {
      ...own,
      limit: String(Math.min(100, limit - found.length)),
      ...(cursor === null ? {} : { cursor }),
    }
    const page: PageDocument<Item> = parse((await api.get(path, query)).answer)
    found.push(...page.items)
    cursor = page.next
  } while (cursor !== null && found.length < limit)
  return found
}

async function idOfJob(id: string, api: Api): Promise<string> {
  const jobs = await listJobs(api, {})
  return findByBeginning(jobs, { what: 'job', id, idOf: (job) => job.id }).id
}

/** The same id may be of anything: each list is asked for it. */
async function cancel(id: string, { api, progress }: Followed): Promise<Cancelled> {
  const word = plainWord(id)
  for (const place of ['restores', 'verifications']) {
    const path = `/v1/${place}/${word}`
    if (await isThere(() => api.post(`${path}/cancel`, { body: {} })))
      return { kind: 'operation', operation: await followOperation(path, { api, progress }) }
  }
  if (await isThere(() => api.post(`/v1/runs/${word}/cancel`, { body: {} }))) {
    await followRun(word, { api, progress })
    return { kind: 'jobs', jobs: await listJobs(api, { run: word }) }
  }
  const whole = /^[0-9a-f]{32}$/.test(word) ? word : await idOfJob(word, api)
  await api.post(`/v1/jobs/${whole}/cancel`, { body: {} })
  const tell = jobTeller(progress)
  const job = await follow(
    async () => {
      const { answer, retryAfterMs } = await api.get(`/v1/jobs/${whole}`)
      const value = parseJob(answer)
      tell([value])
      return { value, retryAfterMs }
    },
    ({ state }) => state === 'done',
    api,
  )
  return { kind: 'jobs', jobs: [job] }
}

async function isThere(ask: () => Promise<unknown>): Promise<boolean> {
  try {
    await ask()
    return true
  } catch (error) {
    if (error instanceof BackupError && error.kind === 'not-found') return false
    // Who may not cancel restores may still cancel backups.
    if (hasCode(error, 'scope-missing')) return false
    throw error
  }
}

/** Part of a path: anything else would be another path. */
function plainWord(word: string): string {
  if (/^[A-Za-z0-9_-]{1,128}$/.test(word)) return word.toLowerCase()
  throw new BackupError(`Cannot tell what ${quote(word)} is`, {
    code: 'usage',
    kind: 'usage',
    hint: 'Give the id, or the name, that a list shows',
  })
}

function shown(document: JobDocument): ShownJob {
  const lines = document.disks.map((disk) => [`disk ${disk.key}`, `${disk.label}, ${disk.transport}`] as const)
  return { document, more: { data: {}, lines, evidence: [] } }
}

function newKey({ random }: World): string {
  return hexOf(random.bytes(16))
}

/** Whoever stops waiting is told that the work goes on. */
async function told<Result>({ stack }: Choice, act: () => Promise<Result>): Promise<Result> {
  try {
    return await act()
  } catch (error) {
    if (!(error instanceof BackupError) || error.kind !== 'interrupted') throw error
    throw new BackupError('Interrupted; what was asked for goes on', {
      code: 'interrupted',
      kind: 'interrupted',
      hint: `The engine of stack "${stack}" does it: "coldframe jobs" shows how far it is, "coldframe cancel" ends it`,
      cause: error,
    })
  }
}
