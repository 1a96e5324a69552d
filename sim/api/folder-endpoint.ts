// /folder/<path>?dcPath=&dsName=: files of a datastore over HTTPS (Web Services SDK Programming Guide, "Datastore Access
// (/folder)"). HEAD, GET with one range, PUT of a whole file. No directory listings.

import { concatBytes, MiB } from '../../lib/base/bytes.ts'
import { isAbort } from '../../lib/base/time-limit.ts'
import { type SimDatastore, SimFault, type SimFile, type SimMishap } from '../machine/types.ts'
import type { Front } from './front.ts'
import { answer, answerStatus, basicOf, chunksOf, drained, type Exchange } from './http.ts'
import { meetMishap } from './mishaps.ts'
import { isGranted } from './rights.ts'
import { sessionOf } from './soap-endpoint.ts'

const PIECE_BYTES = MiB
/** New files are small ones: firmware settings, descriptors. */
const NEW_FILE_BYTES_MAX = 64 * MiB

export async function folderEndpoint(front: Front, exchange: Exchange): Promise<void> {
  const session = sessionOf(front, exchange)
  try {
    let mishap = await meetMishap(front, { call: '/folder', exchange, session })
    // A read of a part, so that a rule can count those alone.
    if (mishap === null && exchange.request.headers.range !== undefined) {
      mishap = await meetMishap(front, { call: '/folder range', exchange, session })
    }
    if (mishap === 'answered') return
    if (!isAllowed(front, exchange)) return refuse(exchange)
    await serve(front, { ...exchange, mishap })
  } catch (error) {
    if (isAbort(error) && exchange.signal.aborted) return
    if (exchange.response.headersSent) return void exchange.response.destroy()
    if (!(error instanceof SimFault)) throw error
    // The documents name no status for a file that is locked; a host agent's failure is a 500.
    answer(exchange, { status: 500, type: 'text/plain', body: `${error.fault}: ${error.message}\n` })
  }
}

type FileExchange = Exchange & { readonly mishap: SimMishap | null }

async function serve(front: Front, exchange: FileExchange): Promise<void> {
  const place = placeOf(front, exchange.url)
  if (place === null) return answerStatus(exchange, 404)
  if (!isReadable(front, place.datastore)) return answerStatus(exchange, 403)
  const file = place.datastore.file(place.path)
  switch (exchange.request.method) {
    case 'HEAD':
    case 'GET':
      return file === null
        ? answerStatus(exchange, 404)
        : await send(file, { ...exchange, host: hostOf(front, place), peaks: front.world.estate.peaks })
    case 'PUT':
      return await receive(exchange, { ...place, file })
    default:
      return answerStatus(exchange, 405)
  }
}

/** The cookie of a session, expired or not, comes first; then Basic. */
function isAllowed(front: Front, exchange: Exchange): boolean {
  if (sessionOf(front, exchange) !== null) return true
  const credentials = basicOf(exchange.request)
  return credentials !== null && front.sessions.checks(credentials)
}

function refuse(exchange: Exchange): void {
  answer(exchange, {
    status: 401,
    type: 'text/plain',
    body: '401\n',
    headers: { 'WWW-Authenticate': 'Basic realm="VMware HTTP server"' },
  })
}

/** Browsing and low-level file operations, both on the datastore. */
function isReadable(front: Front, { name }: SimDatastore): boolean {
  const entity = front.world.entities().find((each) => each.kind === 'datastore' && each.name === name) ?? null
  return ['Datastore.Browse', 'Datastore.FileManagement'].every((privilege) => isGranted(front, privilege, entity))
}

/** Some tools encode dcPath and dsName twice: what still holds "%xx" is decoded again. */
function placeOf(front: Front, url: URL): { readonly datastore: SimDatastore; readonly path: string } | null {
  const path = decoded(url.pathname.slice('/folder/'.length))
  const [datacenter, name] = ['dcPath', 'dsName'].map((key) => decoded(url.searchParams.get(key) ?? ''))
  if (path === null || path === '' || path.split('/').includes('..')) return null
  if (!front.world.estate.datacenters.some((each) => each.name === datacenter)) return null
  const datastore = front.world.estate.datastores.find((each) => each.name === name)
  return datastore === undefined ? null : { datastore, path }
}

function decoded(text: string): string | null {
  try {
    return /%[0-9A-Fa-f]{2}/.test(text) ? decodeURIComponent(text) : text
  } catch {
    return null
  }
}

type Span = { readonly startBytes: number; readonly endBytes: number }

/** Of the first machine that has a disk on this datastore in this directory. */
function hostOf(
  { world }: Front,
  { datastore, path }: { readonly datastore: SimDatastore; readonly path: string },
): string {
  const directory = `[${datastore.name}] ${path.split('/')[0]}/`
  const owner = world.estate.machines().find(({ machine }) => machine.config.vmPathName.startsWith(directory))
  return owner?.place.host ?? 'unknown'
}

type Sending = FileExchange & { readonly host: string; readonly peaks: Front['world']['estate']['peaks'] }

async function send(file: SimFile, exchange: Sending): Promise<void> {
  const { request, response, mishap, host, peaks } = exchange
  const { sizeBytes } = file
  // A lock shows before the first byte: one is read before the head is sent.
  if (sizeBytes > 0) file.read({ offsetBytes: 0, target: new Uint8Array(1) })
  const span = spanOf(request.headers.range, sizeBytes)
  if (span === 'unsatisfiable') {
    const headers = { 'Content-Range': `bytes */${sizeBytes}` }
    return answer(exchange, { status: 416, type: 'text/plain', body: '416\n', headers })
  }
  const whole = { startBytes: 0, endBytes: sizeBytes }
  const wanted = span ?? whole
  const shift = mishap?.kind === 'wrong-range' && wanted.startBytes >= 512 ? 512 : 0
  const said = mishap?.kind === 'wrong-range' && shift === 0 ? 1 : -shift
  const lengthBytes = wanted.endBytes - wanted.startBytes
  // A body can be cut short; an answer to HEAD has none.
  const isCut = mishap?.kind === 'short-body' && request.method !== 'HEAD'
  const sentBytes = isCut ? Math.floor(lengthBytes / 2) : lengthBytes
  // A refusal comes before the head. A whole file is streamed in pieces, a range is read at once.
  const heldBytes = span === null ? Math.min(lengthBytes, PIECE_BYTES) : lengthBytes
  using _read = request.method === 'HEAD' ? null : peaks.read({ host, lengthBytes: heldBytes })

  response.writeHead(span === null ? 200 : 206, {
    'Content-Type': 'application/octet-stream',
    'Content-Length': sentBytes,
    'Accept-Ranges': 'bytes',
    ...(span === null
      ? {}
      : { 'Content-Range': `bytes ${wanted.startBytes + said}-${wanted.endBytes - 1 + said}/${sizeBytes}` }),
  })
  if (request.method === 'HEAD') return void response.end()
  const from = mishap?.kind === 'other-bytes' ? elsewhere(wanted, sizeBytes) : wanted.startBytes - shift
  await pour(file, { ...exchange, span: { startBytes: from, endBytes: from + sentBytes } })
}

/** Where bytes are taken from instead: half a file further on, and from its start where that reaches beyond its end. */
function elsewhere({ startBytes, endBytes }: Span, sizeBytes: number): number {
  const from = startBytes + Math.floor(sizeBytes / 2)
  return from + (endBytes - startBytes) <= sizeBytes ? from : 0
}

async function pour(file: SimFile, { response, signal, span }: FileExchange & { readonly span: Span }): Promise<void> {
  for (let at = span.startBytes; at < span.endBytes; at += PIECE_BYTES) {
    signal.throwIfAborted()
    const target = new Uint8Array(Math.min(PIECE_BYTES, span.endBytes - at))
    file.read({ offsetBytes: at, target })
    if (!response.write(target)) await drained(response)
  }
  await new Promise<void>((resolve) => {
    response.once('close', resolve)
    response.end(resolve)
  })
}

/** One range; several, or another unit, count as none, as a server may choose (RFC 9110, 14.2). */
function spanOf(header: string | undefined, sizeBytes: number): Span | null | 'unsatisfiable' {
  const match = /^bytes=(\d*)-(\d*)$/.exec((header ?? '').replaceAll(' ', ''))
  if (match === null) return null
  const [, first = '', last = ''] = match
  if (first === '' && last === '') return null
  if (first === '') {
    const length = Math.min(Number(last), sizeBytes)
    return length === 0 ? 'unsatisfiable' : { startBytes: sizeBytes - length, endBytes: sizeBytes }
  }
  const startBytes = Number(first)
  const endBytes = last === '' ? sizeBytes : Math.min(Number(last) + 1, sizeBytes)
  if (startBytes >= sizeBytes) return 'unsatisfiable'
  return startBytes < endBytes ? { startBytes, endBytes } : null
}

type Target = { readonly datastore: SimDatastore; readonly path: string; readonly file: SimFile | null }

async function receive(exchange: FileExchange, { datastore, path, file }: Target): Promise<void> {
  if (file?.writable === true) {
    await overwrite(exchange, file)
    return answerStatus(exchange, 200)
  }
  if (file !== null && path.endsWith('.vmdk')) {
    throw new SimFault('FileLocked', 'The disk is in use, or snapshots rest on it', { file: path })
  }
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of chunksOf(exchange.request)) {
    bytes += part.byteLength
    if (bytes > NEW_FILE_BYTES_MAX) return answerStatus(exchange, 413)
    parts.push(part)
  }
  datastore.store(path, concatBytes(parts))
  answerStatus(exchange, file === null ? 201 : 200)
}

/** A disk's extent of a machine that is off: written from its start, and never longer than it is. */
async function overwrite(exchange: FileExchange, file: SimFile): Promise<void> {
  let offsetBytes = 0
  for await (const bytes of chunksOf(exchange.request)) {
    if (offsetBytes + bytes.byteLength > file.sizeBytes) {
      throw new SimFault('FileFault', `The body is longer than the file's ${file.sizeBytes} bytes`, {
        file: exchange.url.pathname,
      })
    }
    file.write({ offsetBytes, bytes })
    offsetBytes += bytes.byteLength
  }
}
