// A reader of repositories written from docs/FORMAT.md alone: it imports nothing of ours. It proves that the document is
// enough, and that a change of the library's reader and writer together does not go unseen.

import { argon2Sync, createDecipheriv, createHmac, hkdfSync } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'

export type FoundChunk = { readonly offsetBytes: number; readonly bytes: Buffer }
export type FoundDisk = { readonly key: number; readonly capacityBytes: number; readonly chunks: readonly FoundChunk[] }
export type FoundPoint = { readonly envelope: Envelope; readonly body: unknown; readonly disks: readonly FoundDisk[] }

// Stored JSON as the document describes it, taken at its word.
type PageRef = {
  readonly id: string
  readonly pack: string
  readonly kid: string
  readonly slot: number
  readonly offset: number
  readonly stored: number
}
type DiskMap = {
  readonly key: number
  readonly capacityBytes: number
  readonly chunkLog2: number
  readonly root: PageRef | null
}
type Envelope = {
  readonly kid: string
  readonly pointId: string
  readonly vmId: string
  readonly sequence: number
  readonly sessionId: string
  readonly disks: readonly DiskMap[]
}
type Settings = {
  readonly repositoryId: string
  readonly kid: string
  readonly number: number
  readonly document: string
}
type KeyDocument = {
  readonly wraps: readonly { readonly kind: string; readonly blob: string }[]
  readonly chunkIds: { readonly salt: string; readonly sealed: string }
}
type Keys = { readonly master: (kid: string) => Buffer; readonly root: Buffer; readonly repositoryId: string }
type Ref = {
  readonly id: Buffer
  readonly pack: string
  readonly kid: string
  readonly slot: number
  readonly offset: number
  readonly stored: number
  readonly codec: number
}

const hex = (text: string) => Buffer.from(text, 'hex')
const hmac = (key: Buffer, bytes: Buffer) => createHmac('sha256', key).update(bytes).digest()
const hkdf = (key: Buffer, salt: Buffer, label: string) => Buffer.from(hkdfSync('sha256', key, salt, label, 32))

function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(what)
}

function gcm(key: Buffer, text: { readonly nonce: Buffer; readonly aad: Buffer; readonly sealed: Buffer }): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, text.nonce)
  decipher.setAAD(text.aad)
  decipher.setAuthTag(text.sealed.subarray(-16))
  return Buffer.concat([decipher.update(text.sealed.subarray(0, -16)), decipher.final()])
}

/** Section 4: the document without its check, and the check. */
function splitDocument<Form>(bytes: Buffer, name: string): { covered: Buffer; check: Buffer; json: Form } {
  const suffix = `,"${name}":"`.length + 64 + 2
  const covered = Buffer.concat([bytes.subarray(0, -suffix), Buffer.from('}')])
  return { covered, check: hex(bytes.subarray(-66, -2).toString()), json: JSON.parse(bytes.toString()) as Form }
}

/** Sections 3 and 4. */
function openKeys(root: string, passphrase: string): Keys {
  const settings = splitDocument<Settings>(readFileSync(join(root, 'repo/1.json')), 'mac')
  const { repositoryId, kid } = settings.json
  must(settings.json.number === 1 && settings.json.document === 'settings', 'settings name')
  const document = splitDocument<KeyDocument>(readFileSync(join(root, 'keys', kid, '1.json')), 'sha256')
  const blob = Buffer.from(document.json.wraps[0]?.blob ?? '', 'base64')
  const stretched = argon2Sync('argon2id', {
    message: Buffer.from(passphrase.normalize('NFC')),
    nonce: blob.subarray(12, 28),
    parallelism: blob.readUInt8(1),
    passes: blob.readUInt32LE(4),
    memory: blob.readUInt32LE(8),
    tagLength: 32,
  })
  const aad = Buffer.concat([blob.subarray(0, 40), Buffer.from(`vmb1/passphrase/${repositoryId}/${kid}`)])
  const master = gcm(stretched, { nonce: blob.subarray(28, 40), aad, sealed: blob.subarray(40) })
  must(settings.check.equals(hmac(hkdf(master, hex(repositoryId), 'vmb1/meta'), settings.covered)), 'settings MAC')
  const { salt, sealed } = document.json.chunkIds
  const rootKey = gcm(hkdf(master, hex(salt), 'vmb1/chunk-ids'), {
    nonce: Buffer.alloc(12),
    aad: Buffer.from(`vmb1/keys/${repositoryId}/${kid}`),
    sealed: Buffer.from(sealed, 'base64'),
  })
  return { repositoryId, root: rootKey, master: (wanted) => (wanted === kid ? master : Buffer.alloc(0)) }
}

/** Section 5: one record by its reference. */
function openRecord(
  root: string,
  keys: Keys,
  record: { readonly ref: Ref; readonly type: number; readonly plainBytes: number; readonly vmId: string },
): Buffer {
  const { ref, type, plainBytes } = record
  const pack = readFileSync(join(root, type === 1 ? 'p' : 'm', ref.pack.slice(0, 2), ref.pack))
  const nonce = Buffer.alloc(12)
  nonce.writeUInt32LE(ref.slot, 4)
  const facts = Buffer.alloc(10)
  facts.writeUInt32LE(ref.slot, 0)
  facts.writeUInt8(type, 4)
  facts.writeUInt8(ref.codec, 5)
  facts.writeUInt32LE(plainBytes, 6)
  const aad = Buffer.concat([Buffer.from('vmb1'), hex(ref.pack), facts, ref.id])
  const key = hkdf(keys.master(ref.kid), hex(ref.pack), 'vmb1/pack')
  const encoded = gcm(key, { nonce, aad, sealed: pack.subarray(ref.offset, ref.offset + ref.stored) })
  const plain = ref.codec === 1 ? zstdDecompressSync(encoded) : encoded
  const domain = hkdf(keys.root, Buffer.from(record.vmId), 'vmb1/chunk-id')
  must(plain.length === plainBytes && ref.id.equals(hmac(domain, plain)), 'record id')
  return plain
}

const isPresent = (bitmap: Buffer, i: number) => ((bitmap[Math.floor(i / 8)] ?? 0) & (1 << (i % 8))) !== 0

/** Section 6. */
function readLeaf(page: Buffer): readonly (Ref | null)[] {
  const packs = page.readUInt16LE(2)
  let at = 24 + 24 * packs
  return Array.from({ length: 128 }, (_, i) => {
    if (!isPresent(page.subarray(8, 24), i)) return null
    const pack = 24 + 24 * page.readUInt16LE(at + 32)
    const ref = {
      id: page.subarray(at, at + 32),
      pack: page.toString('hex', pack, pack + 16),
      kid: page.toString('hex', pack + 16, pack + 24),
      slot: page.readUInt16LE(at + 34),
      offset: page.readUInt32LE(at + 36),
      stored: page.readUIntLE(at + 40, 3),
      codec: page.readUInt8(at + 43),
    }
    at += 44
    return ref
  })
}

function readInner(page: Buffer): readonly (Ref | null)[] {
  let at = 72
  return Array.from({ length: 512 }, (_, i) => {
    if (!isPresent(page.subarray(8, 72), i)) return null
    const ref = {
      id: page.subarray(at, at + 32),
      pack: page.toString('hex', at + 32, at + 48),
      kid: page.toString('hex', at + 48, at + 56),
      offset: page.readUInt32LE(at + 56),
      stored: page.readUInt32LE(at + 60),
      slot: page.readUInt16LE(at + 64),
      codec: 0,
    }
    at += 66
    return ref
  })
}

function readDisk(root: string, keys: Keys, of: { readonly vmId: string; readonly disk: DiskMap }): FoundDisk {
  const { vmId, disk } = of
  const chunkBytes = 2 ** disk.chunkLog2
  const leaves = Math.ceil(disk.capacityBytes / (128 * chunkBytes))
  let height = 0
  while (512 ** height < leaves) height++
  const chunks: FoundChunk[] = []
  const walk = (ref: Ref, level: number, index: number) => {
    const page = openRecord(root, keys, { ref, type: level === 0 ? 2 : 3, plainBytes: ref.stored - 16, vmId })
    for (const [i, below] of (level === 0 ? readLeaf(page) : readInner(page)).entries()) {
      if (below === null) continue
      if (level > 0) walk(below, level - 1, index * 512 + i)
      else {
        const offsetBytes = (index * 128 + i) * chunkBytes
        const bytes = openRecord(root, keys, { ref: below, type: 1, plainBytes: chunkBytes, vmId })
        chunks.push({ offsetBytes, bytes: bytes.subarray(0, disk.capacityBytes - offsetBytes) })
      }
    }
  }
  if (disk.root !== null) walk({ ...disk.root, id: hex(disk.root.id), codec: 0 }, height, 0)
  return { key: disk.key, capacityBytes: disk.capacityBytes, chunks }
}

/** Section 9: the plain list of the point's packs, kept beside its candidate. */
function checkPackList(root: string, keys: Keys, { kid, pointId, sessionId }: Envelope): void {
  const list = readFileSync(join(root, 's', sessionId, `packs-${pointId}`))
  const mac = hmac(hkdf(keys.master(kid), hex(keys.repositoryId), 'vmb1/meta'), list.subarray(0, -32))
  must(mac.equals(list.subarray(-32)), 'pack list MAC')
  must(list.toString('latin1', 0, 4) === 'VMBL' && list.readUInt8(4) === 1, 'pack list head')
  must(list.toString('hex', 16, 32) === pointId, 'pack list point')
  let at = 32
  for (let parts = list.readUInt32LE(8); parts > 0; parts--) at += 4 + list.readUInt32LE(at)
  must(at === list.length - 32, 'pack list length')
}

/** Section 8: every point of every VM in a folder, ascending. */
export function readFolder(root: string, passphrase: string): readonly FoundPoint[] {
  const keys = openKeys(root, passphrase)
  const names = readdirSync(join(root, 'r'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.rp'),
  )
  return names.toSorted().map((name) => {
    const bytes = readFileSync(join(root, 'r', name))
    must(bytes.toString('latin1', 0, 4) === 'VMBR' && bytes.readUInt16LE(4) === 1, 'point head')
    const macAt = 16 + bytes.readUInt32LE(8)
    const envelope = JSON.parse(bytes.toString('utf8', 16, macAt)) as Envelope
    const master = keys.master(envelope.kid)
    const mac = hmac(hkdf(master, hex(keys.repositoryId), 'vmb1/meta'), bytes.subarray(0, macAt))
    must(mac.equals(bytes.subarray(macAt, macAt + 32)), 'point MAC')
    checkPackList(root, keys, envelope)
    must(name === join(envelope.vmId, `${String(envelope.sequence).padStart(10, '0')}.rp`), 'point name')
    const key = hkdf(master, hex(envelope.pointId), 'vmb1/rp')
    const sealed = bytes.subarray(macAt + 32)
    must(sealed.length === bytes.readUInt32LE(12), 'point length')
    const body = gcm(key, { nonce: Buffer.alloc(12), aad: bytes.subarray(0, macAt + 32), sealed })
    return {
      envelope,
      body: JSON.parse(zstdDecompressSync(body).toString()),
      disks: envelope.disks.map((disk) => readDisk(root, keys, { vmId: envelope.vmId, disk })),
    }
  })
}

type AnnotationForm = {
  readonly document: string
  readonly repositoryId: string
  readonly kid: string
  readonly vmId: string
  readonly sequence: number
  readonly number: number
  readonly pointId: string
  readonly kind: string
  readonly writtenAt: string
  readonly salt: string
  readonly sealed: string
}

/** Section 8.1: everything that is said about points, by name. */
export function readAnnotations(root: string, passphrase: string): readonly object[] {
  const keys = openKeys(root, passphrase)
  const names = readdirSync(join(root, 'a'), { recursive: true, encoding: 'utf8' })
  return names
    .filter((name) => /^[0-9a-f-]{36}\/[0-9]{10}\/[1-9][0-9]*$/.test(name))
    .toSorted()
    .map((name) => {
      const { covered, check, json } = splitDocument<AnnotationForm>(readFileSync(join(root, 'a', name)), 'mac')
      const { repositoryId, kid, vmId, sequence, number, pointId, kind, writtenAt } = json
      const master = keys.master(kid)
      must(hmac(hkdf(master, hex(keys.repositoryId), 'vmb1/meta'), covered).equals(check), 'annotation MAC')
      must(json.document === 'annotation' && repositoryId === keys.repositoryId, 'annotation kind')
      must(name === `${vmId}/${String(sequence).padStart(10, '0')}/${number}`, 'annotation name')
      const place = [repositoryId, kid, vmId, sequence, number, pointId, kind].join('/')
      const text = gcm(hkdf(master, hex(json.salt), 'vmb1/annotation'), {
        nonce: Buffer.alloc(12),
        aad: Buffer.from(`vmb1/annotation/${place}`),
        sealed: Buffer.from(json.sealed, 'base64'),
      })
      return { vmId, sequence, pointId, number, writtenAt, kind, said: JSON.parse(text.toString()) }
    })
}
