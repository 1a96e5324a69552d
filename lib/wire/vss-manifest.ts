// The VSS manifest of a quiesced snapshot: a zip of backup.xml (Microsoft's backup components document) and one
// writer<n>.xml a writer (writer metadata document), in UTF-8 or UTF-16.

import { unzipSync } from 'fflate'
import sax from 'sax'
import { BackupError, messageOf } from '../base/errors.ts'

/** Exchange and SQL Server describe every database; far more than this is no manifest. */
const XML_BYTES_MAX = 32 * 1024 * 1024
const FILES_MAX = 1_000
/** Documents of VSS have a handful of levels. */
const DEPTH_MAX = 64
const NAMED = /(?:^|[\\/])(?:backup|writer[^\\/]*)\.xml$/i

type Writer = { readonly id: string; readonly name: string }

/** Who describes itself, and who took part in the backup. */
type Writers = { readonly known: Writer[]; readonly taking: Writer[] }

/**
 * Names of the writers, each once, ascending: friendlyName of each metadata document; a writer that only the components
 * document knows stands with its id.
 * @throws BackupError `vss-manifest-malformed`
 */
export function parseVssManifest(zip: Uint8Array): { readonly writers: readonly string[] } {
  const found: Writers = { known: [], taking: [] }
  let documents = 0
  for (const [name, bytes] of unpack(zip)) if (readDocument(name, { bytes, found })) documents++
  if (documents === 0) throw notManifest('none of its documents is of VSS')
  const ids = new Set(found.known.map(({ id }) => id.toLowerCase()))
  const all = [...found.known, ...found.taking.filter(({ id }) => !ids.has(id.toLowerCase()))]
  return { writers: [...new Set(all.map(({ id, name }) => name || id))].filter((name) => name !== '').toSorted() }
}

function unpack(zip: Uint8Array): readonly (readonly [string, Uint8Array])[] {
  let bytesLeft = XML_BYTES_MAX
  let filesLeft = FILES_MAX
  // The sizes are those that the archive states; what would be longer is cut there and is no XML then.
  const admit = ({ name, originalSize }: { readonly name: string; readonly originalSize: number }) => {
    if (--filesLeft < 0) throw notManifest(`it has more than ${FILES_MAX} files`)
    if (!NAMED.test(name)) return false
    bytesLeft -= originalSize
    if (bytesLeft < 0) throw notManifest(`its documents are larger than ${XML_BYTES_MAX} bytes`)
    return true
  }
  try {
    const files = Object.entries(unzipSync(zip, { filter: admit }))
    if (files.length === 0) throw notManifest('it has neither backup.xml nor a document of a writer')
    return files
  } catch (error) {
    if (error instanceof BackupError) throw error
    throw notManifest(`it is no zip archive that can be read: ${messageOf(error)}`, error)
  }
}

/** @returns whether it is one of the two kinds of documents; their elements have no prefixes, only default namespaces */
function readDocument(
  name: string,
  { bytes, found }: { readonly bytes: Uint8Array; readonly found: Writers },
): boolean {
  const reader = sax.parser(true)
  const path: string[] = []
  let root = ''
  reader.onerror = (error) => {
    throw error
  }
  reader.onopentag = ({ name: element, attributes }) => {
    root = path.length === 0 ? element : root
    path.push(element)
    if (path.length > DEPTH_MAX) throw notManifest(`"${name}" is deeper than ${DEPTH_MAX} elements`)
    const text = (attribute: string) => String(attributes[attribute] ?? '')
    // Only the first two levels say anything: a path is never joined at every depth.
    const here = path.length === 2 ? path.join('/') : ''
    if (here === 'WRITER_METADATA/IDENTIFICATION')
      found.known.push({ id: text('writerId'), name: text('friendlyName') })
    if (here === 'BACKUP_COMPONENTS/WRITER_COMPONENTS') found.taking.push({ id: text('writerId'), name: '' })
  }
  reader.onclosetag = () => path.pop()
  try {
    reader.write(textOf(bytes)).close()
  } catch (error) {
    if (error instanceof BackupError) throw error
    throw notManifest(`"${name}" is no XML: ${messageOf(error).split('\n')[0]}`, error)
  }
  if (root === '') throw notManifest(`"${name}" is no XML: it has no element`)
  return root === 'WRITER_METADATA' || root === 'BACKUP_COMPONENTS'
}

/** XML 1.0, appendix F: by the byte order mark, or by how "<" is written; else UTF-8. */
function textOf(bytes: Uint8Array): string {
  const [first = 0, second = 0] = bytes
  const little = (first === 0xff && second === 0xfe) || (first === 0x3c && second === 0)
  const big = (first === 0xfe && second === 0xff) || (first === 0 && second === 0x3c)
  const encoding = little ? 'utf-16le' : big ? 'utf-16be' : 'utf-8'
  return new TextDecoder(encoding, { fatal: true }).decode(bytes)
}

function notManifest(reason: string, cause?: unknown): BackupError {
  return new BackupError(`Cannot read a VSS manifest: ${reason}`, { code: 'vss-manifest-malformed', cause })
}
