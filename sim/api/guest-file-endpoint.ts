// /guestFile?id=&token=: the bytes of a file on their way into a guest (PUT) or out of it (GET). The token is all that is asked
// for: a host that serves it knows no session of the vCenter.

import { closeSync, createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { SimFault, type SimMishap } from '../machine/types.ts'
import type { Front } from './front.ts'
import type { GuestTransfer } from './guest-transfers.ts'
import { answer, answerStatus, chunksOf, type Exchange } from './http.ts'
import { meetMishap } from './mishaps.ts'

export async function guestFileEndpoint(front: Front, exchange: Exchange): Promise<void> {
  try {
    const mishap = await meetMishap(front, { call: '/guestFile', exchange, session: null })
    if (mishap === 'answered') return
    const taken = front.transfers.take(exchange.url.searchParams)
    if (taken === null) return void refuse(exchange, 404)
    let done = false
    try {
      done = await transferOne(exchange, { transfer: taken.transfer, mishap })
    } finally {
      if (!done) taken.giveBack()
    }
  } catch (error) {
    if (exchange.signal.aborted && !(error instanceof SimFault)) return
    if (exchange.response.headersSent) return void exchange.response.destroy()
    if (!(error instanceof SimFault)) throw error
    answer(exchange, { status: 500, type: 'text/plain', body: `${error.fault}: ${error.message}\n` })
  }
}

/** @returns whether the URL has done its work */
async function transferOne(
  exchange: Exchange,
  { transfer, mishap }: { readonly transfer: GuestTransfer; readonly mishap: SimMishap | null },
): Promise<boolean> {
  const method = transfer.kind === 'to-guest' ? 'PUT' : 'GET'
  if (exchange.request.method !== method) return refuse(exchange, 405)
  return transfer.kind === 'to-guest' ? receive(exchange, transfer) : send(exchange, { transfer, mishap })
}

/** The length must be said, and be that of InitiateFileTransferToGuest; anything else leaves the guest as it was. */
async function receive(
  exchange: Exchange,
  { sizeBytes, open }: Extract<GuestTransfer, { readonly kind: 'to-guest' }>,
): Promise<boolean> {
  const { request, signal } = exchange
  const said = request.headers['content-length']
  if (said === undefined) return refuse(exchange, 411)
  if (Number(said) !== sizeBytes) return refuse(exchange, 400)
  const upload = open()
  try {
    let gotBytes = 0
    for await (const chunk of chunksOf(request)) {
      signal.throwIfAborted()
      upload.write(chunk)
      gotBytes += chunk.byteLength
    }
    if (gotBytes !== sizeBytes) return refuse(exchange, 400)
    upload.finish()
  } finally {
    upload.abandon()
  }
  answerStatus(exchange, 200)
  return true
}

async function send(
  { response }: Exchange,
  options: {
    readonly transfer: Extract<GuestTransfer, { readonly kind: 'from-guest' }>
    readonly mishap: SimMishap | null
  },
): Promise<boolean> {
  const { fd, entry } = options.transfer.open()
  const sentBytes = options.mishap?.kind === 'short-body' ? Math.floor(entry.sizeBytes / 2) : entry.sizeBytes
  response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': sentBytes })
  if (sentBytes === 0) {
    closeSync(fd)
    response.end()
    return true
  }
  try {
    // Without the exchange's signal: it is aborted also when the response has been sent as a whole.
    await pipeline(createReadStream('', { fd, start: 0, end: sentBytes - 1 }), response)
    return true
  } catch (error) {
    if (response.destroyed) return false
    throw error
  }
}

function refuse(exchange: Exchange, status: number): false {
  exchange.request.resume()
  answerStatus(exchange, status)
  return false
}
