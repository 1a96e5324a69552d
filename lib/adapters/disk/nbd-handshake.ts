// The negotiation of NBD: from the server's greeting to an open export. Fixed newstyle only.
//
// Source: "The NBD protocol", sections "Fixed newstyle negotiation", "Option types", "Option reply types".

import { BackupError } from '../../base/errors.ts'
import type { Cancel } from '../../base/time-limit.ts'
import {
  ANSWER,
  ANSWER_ERROR_BIT,
  ANSWER_TLS_REQUIRED,
  ANSWER_UNKNOWN_EXPORT,
  answerErrorName,
  EXPORT_FACT,
  encodeGo,
  encodeMetaContext,
  encodeOption,
  GREETING,
  NBD_MAGIC,
  OLDSTYLE_MAGIC,
  OPTION,
  OPTION_MAGIC,
  OPTION_REPLY_MAGIC,
  PAYLOAD_BYTES_DEFAULT,
  protocolError,
  readSafe64,
  TRANSMISSION,
} from './nbd-protocol.ts'
import type { NbdTls } from './nbd-tls.ts'
import type { Wire } from './nbd-wire.ts'

/** What the server said of the export, and what was agreed on. */
export type NbdExport = {
  readonly sizeBytes: number
  /** Whether several connections see the same bytes. */
  readonly canMultiConn: boolean
  readonly structured: boolean
  /** The id of base:allocation, or null when the server does not know it. */
  readonly allocationContext: number | null
  /** Offsets and lengths are multiples of this. */
  readonly blockBytesMin: number
  readonly payloadBytesMax: number
}

export type NegotiateOptions = {
  readonly exportName: string
  readonly tls: NbdTls | undefined
  /** For messages. */
  readonly address: string
}

type Answer = { readonly type: number; readonly data: Buffer }
type Talk = { readonly wire: Wire; readonly inbox: Inbox; readonly cancel: Cancel; readonly address: string }

/** The longest answer we take: an export's name and description, or an error message. */
const ANSWER_BYTES_MAX = 64 * 1024
/** A server that answers one option with more messages than this is not negotiating. */
const ANSWERS_MAX = 64
const WAITING_BYTES_MAX = 1024 * 1024

/**
 * @throws BackupError `nbd-protocol`, `nbd-connect-failed`, `nbd-tls-failed`, `nbd-tls-required`,
 *   `nbd-export-unknown` or `nbd-refused`; the caller then closes the wire
 */
export async function negotiate(wire: Wire, options: NegotiateOptions, cancel: Cancel): Promise<NbdExport> {
  const talk = { wire, cancel, address: options.address, inbox: inboxOf(wire, options.address) }
  await greet(talk)
  if (options.tls !== undefined) await raiseToTls(talk, options.tls)
  const structured = await offerStructured(talk)
  const allocationContext = structured ? await chooseAllocation(talk, options.exportName) : null
  const described = await go(talk, options.exportName)
  // The server speaks next only when asked: bytes that are here already would be read as a reply.
  if (talk.inbox.waitingBytes() > 0) throw protocolError('it sent bytes before the first request')
  return { ...described, structured, allocationContext }
}

async function greet({ wire, inbox, cancel }: Talk): Promise<void> {
  const magic = await inbox.take(16, cancel)
  if (!magic.subarray(0, 8).equals(NBD_MAGIC)) throw protocolError('its greeting is not that of an NBD server')
  if (magic.subarray(8).equals(OLDSTYLE_MAGIC)) throw protocolError('it speaks only the oldstyle negotiation')
  if (!magic.subarray(8).equals(OPTION_MAGIC)) throw protocolError('its greeting has an unknown second magic number')
  const flags = (await inbox.take(2, cancel)).readUInt16BE(0)
  if ((flags & GREETING.fixedNewstyle) === 0) throw protocolError('it does not speak the fixed newstyle negotiation')
  const answer = Buffer.alloc(4)
  answer.writeUInt32BE(flags & (GREETING.fixedNewstyle | GREETING.noZeroes), 0)
  wire.write(answer)
}

async function raiseToTls(talk: Talk, tls: NbdTls): Promise<void> {
  const [answer] = await ask(talk, { option: OPTION.startTls, data: Buffer.alloc(0) })
  if (answer?.type !== ANSWER.ack) {
    throw new BackupError(`Cannot speak TLS with the NBD server at ${talk.address}: it refused (${describe(answer)})`, {
      code: 'nbd-tls-failed',
      kind: 'refused',
      hint: 'Nothing was sent in the clear: turn TLS on at the server, or ask for a plain connection',
    })
  }
  // Plain bytes behind the acknowledgement would be taken for the server's words under TLS.
  if (talk.inbox.waitingBytes() > 0) throw protocolError('it sent plain bytes after agreeing on TLS')
  await talk.wire.startTls(tls, talk.cancel)
}

async function offerStructured(talk: Talk): Promise<boolean> {
  const [answer] = await ask(talk, { option: OPTION.structuredReply, data: Buffer.alloc(0) })
  if (answer?.type === ANSWER_TLS_REQUIRED) throw tlsRequired(talk)
  return answer?.type === ANSWER.ack
}

async function chooseAllocation(talk: Talk, exportName: string): Promise<number | null> {
  const name = 'base:allocation'
  const answers = await ask(talk, { option: OPTION.setMetaContext, data: encodeMetaContext(exportName, [name]) })
  const chosen = answers.filter((answer) => answer.type === ANSWER.metaContext)
  if (answers.at(-1)?.type !== ANSWER.ack) return null
  const context = chosen[0]?.data
  if (context === undefined) return null
  if (chosen.length > 1 || context.byteLength < 4 || context.toString('utf8', 4) !== name) {
    throw protocolError('it chose a metadata context nobody asked for')
  }
  return context.readUInt32BE(0)
}

async function go(talk: Talk, exportName: string): Promise<Omit<NbdExport, 'structured' | 'allocationContext'>> {
  const answers = await ask(talk, { option: OPTION.go, data: encodeGo(exportName, [EXPORT_FACT.blockSize]) })
  const last = answers.at(-1)
  if (last?.type === ANSWER_TLS_REQUIRED) throw tlsRequired(talk)
  if (last?.type !== ANSWER.ack) {
    const unknown = last?.type === ANSWER_UNKNOWN_EXPORT
    throw new BackupError(
      `Cannot open the export "${exportName}" of the NBD server at ${talk.address}: ${describe(last)}`,
      unknown
        ? { code: 'nbd-export-unknown', kind: 'not-found', hint: 'The server may have failed to open it: see its log' }
        : { code: 'nbd-refused', retry: 'later' },
    )
  }
  let opened: { readonly sizeBytes: number; readonly canMultiConn: boolean } | null = null
  let blocks = { blockBytesMin: 1, payloadBytesMax: PAYLOAD_BYTES_DEFAULT }
  for (const { data } of answers.filter((answer) => answer.type === ANSWER.facts)) {
    if (data.byteLength < 2) throw protocolError('it sent an export fact without a type')
    const type = data.readUInt16BE(0)
    if (type === EXPORT_FACT.export) opened = parseExport(data)
    if (type === EXPORT_FACT.blockSize) blocks = parseBlockSize(data)
  }
  if (opened === null) throw protocolError('it opened the export without saying how large it is')
  return { ...opened, ...blocks }
}

/** 16-bit type, 64-bit size, 16-bit transmission flags. */
function parseExport(data: Buffer): { readonly sizeBytes: number; readonly canMultiConn: boolean } {
  if (data.byteLength !== 12) throw protocolError('its description of the export has an impossible length')
  const sizeBytes = readSafe64(data, 2)
  if (Number.isNaN(sizeBytes)) throw protocolError('its export is larger than 8 PiB')
  const flags = data.readUInt16BE(10)
  if ((flags & TRANSMISSION.hasFlags) === 0) throw protocolError('its transmission flags are not marked as flags')
  return { sizeBytes, canMultiConn: (flags & TRANSMISSION.canMultiConn) !== 0 }
}

/** 16-bit type, 32-bit minimum, preferred and maximum. */
function parseBlockSize(data: Buffer): { readonly blockBytesMin: number; readonly payloadBytesMax: number } {
  if (data.byteLength !== 14) throw protocolError('its block sizes have an impossible length')
  const [least, preferred, most] = [data.readUInt32BE(2), data.readUInt32BE(6), data.readUInt32BE(10)]
  const facts = { minimum: least, preferred, maximum: most }
  const powerOfTwo = least > 0 && (least & (least - 1)) === 0
  // A maximum of all ones means no maximum; every other one is a multiple of the minimum.
  if (!powerOfTwo || least > 64 * 1024 || preferred < least || most < least) {
    throw protocolError('its block sizes contradict each other', facts)
  }
  const payloadBytesMax = Math.min(most, PAYLOAD_BYTES_DEFAULT)
  return { blockBytesMin: least, payloadBytesMax: payloadBytesMax - (payloadBytesMax % least) }
}

/** Sends an option and collects its answers; the last is an acknowledgement or an error. */
async function ask(
  { wire, inbox, cancel }: Talk,
  { option, data }: { readonly option: number; readonly data: Uint8Array },
): Promise<readonly Answer[]> {
  wire.write(encodeOption(option, data))
  const answers: Answer[] = []
  while (answers.length < ANSWERS_MAX) {
    const head = await inbox.take(20, cancel)
    if (!head.subarray(0, 8).equals(OPTION_REPLY_MAGIC)) throw protocolError('an option reply has a wrong magic number')
    const repliedTo = head.readUInt32BE(8)
    if (repliedTo !== option) throw protocolError('it answered an option nobody asked', { option, repliedTo })
    const type = head.readUInt32BE(12)
    const lengthBytes = head.readUInt32BE(16)
    if (lengthBytes > ANSWER_BYTES_MAX) throw protocolError('an option reply is too long', { option, lengthBytes })
    answers.push({ type, data: await inbox.take(lengthBytes, cancel) })
    if (type === ANSWER.ack || type >= ANSWER_ERROR_BIT) return answers
  }
  throw protocolError('it answers one option without end', { option })
}

function tlsRequired({ address }: Talk): BackupError {
  return new BackupError(`Cannot open the NBD server at ${address} without TLS: it requires TLS`, {
    code: 'nbd-tls-required',
    kind: 'refused',
    hint: 'Use an nbds:// address, with the certificate authority or the pin of the server',
  })
}

function describe(answer: Answer | undefined): string {
  if (answer === undefined) return 'no answer'
  const message = answer.data.toString('utf8').slice(0, 200)
  return message === '' ? answerErrorName(answer.type) : `${answerErrorName(answer.type)}, ${message}`
}

interface Inbox {
  /** The next `lengthBytes` of the stream. */
  take(lengthBytes: number, cancel: Cancel): Promise<Buffer>
  waitingBytes(): number
}

/** Collects what the server sends; it sends little before it is asked, so the pieces are simply joined. */
function inboxOf(wire: Wire, address: string): Inbox {
  let waiting = Buffer.alloc(0)
  let gone: BackupError | null = null
  let wake = () => {}
  wire.receive((bytes, lengthBytes) => {
    waiting = Buffer.concat([waiting, bytes.subarray(0, lengthBytes)])
    if (waiting.byteLength > WAITING_BYTES_MAX) {
      gone = protocolError('it sends without being asked')
      waiting = Buffer.alloc(0)
    }
    wake()
  })
  void wire.closed.then((cause) => {
    gone ??= new BackupError(`The NBD server at ${address} closed the connection during the negotiation`, {
      code: 'nbd-connect-failed',
      retry: 'later',
      facts: { address },
      cause,
    })
    wake()
  })
  const more = ({ signal }: Cancel) =>
    new Promise<void>((resolve, reject) => {
      const onAbort = () => reject(signal.reason)
      signal.addEventListener('abort', onAbort, { once: true })
      wake = () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      }
    })
  return {
    waitingBytes: () => waiting.byteLength,
    take: async (lengthBytes, cancel) => {
      while (waiting.byteLength < lengthBytes) {
        cancel.signal.throwIfAborted()
        if (gone !== null) throw gone
        await more(cancel)
      }
      const taken = waiting.subarray(0, lengthBytes)
      waiting = waiting.subarray(lengthBytes)
      return taken
    },
  }
}
