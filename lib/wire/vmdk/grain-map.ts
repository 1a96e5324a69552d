// What a stream's directory and tables say of its grains, against the grains that came. Holds some 60 bytes for each table,
// which maps 32 MiB of the usual disk: a digest of what the table must be, not the table.

import { createHash } from 'node:crypto'
import { assert } from '../../base/errors.ts'
import { malformedStream } from './faults.ts'
import { SECTOR_BYTES, type SparseHeader } from './sparse-header.ts'

export interface GrainMap {
  readonly tableBytes: number
  readonly directoryBytes: number
  /** A grain came. @param grain ascending @param sector of its marker */
  grain(grain: number, sector: number): void
  /** A grain table came, whichever it is: only the directory says. */
  table(bytes: Uint8Array, sector: number): void
  /** A piece of the directory came, at this byte of it. */
  directory(piece: Uint8Array, atBytes: number): void
  /** Sectors of the tables that the directory lists, ascending. @throws when it lists one twice */
  listedTables(): readonly number[]
  /**
   * Everything came.
   * @param atBytes where the directory is; for errors
   * @throws BackupError `vmdk-stream-malformed` unless directory and tables list the grains that came, where they came, and no other
   */
  check(atBytes: number): void
}

export function grainMap({ capacitySectors, grainSectors, entriesPerTable }: SparseHeader): GrainMap {
  const tables = Math.ceil(Math.ceil(capacitySectors / grainSectors) / entriesPerTable)
  const tableBytes = roundUp(entriesPerTable * 4)
  const directoryBytes = roundUp(tables * 4)
  const emptyDigest = digestOf(new Uint8Array(tableBytes))
  const seen = new Float64Array(tables).fill(emptyDigest)
  const listed = new Uint32Array(directoryBytes / 4)
  const came = new Map<number, number>()
  const entries = new Uint8Array(tableBytes)
  const view = new DataView(entries.buffer)
  let current = 0
  const close = () => {
    seen[current] = digestOf(entries)
    entries.fill(0)
  }
  const listedTables = (): readonly number[] => {
    const sectors = [...listed].filter((sector) => sector !== 0).toSorted((left, right) => left - right)
    const twice = sectors.find((sector, index) => sector === sectors[index + 1])
    if (twice !== undefined) throw malformedStream('the grain directory lists a table twice', twice * SECTOR_BYTES)
    return sectors
  }
  return {
    tableBytes,
    directoryBytes,
    listedTables,
    grain: (grain, sector) => {
      const table = Math.floor(grain / entriesPerTable)
      assert(table >= current && table < tables, 'grains come in ascending order, inside the capacity')
      if (table !== current) close()
      current = table
      view.setUint32((grain % entriesPerTable) * 4, sector % 2 ** 32, true)
    },
    table: (bytes, sector) => void came.set(sector % 2 ** 32, digestOf(bytes)),
    directory: (piece, atBytes) => {
      const words = new DataView(piece.buffer, piece.byteOffset, piece.byteLength)
      for (let at = 0; at < piece.byteLength; at += 4) listed[(atBytes + at) / 4] = words.getUint32(at, true)
    },
    check: (atBytes) => {
      close()
      listedTables()
      const bad = (reason: string) => malformedStream(reason, atBytes)
      for (const [index, sector] of listed.entries()) {
        if (index >= tables && sector !== 0) throw bad('the grain directory lists tables beyond the capacity')
        if (sector === 0) {
          if (index < tables && seen[index] !== emptyDigest)
            throw bad(`the grain directory has no table ${index}, whose grains came`)
          continue
        }
        const digest = came.get(sector)
        if (digest === undefined)
          throw bad(`the grain directory lists table ${index} at sector ${sector}, where none came`)
        if (digest !== seen[index])
          throw bad(`grain table ${index} at sector ${sector} does not list the grains that came, where they came`)
      }
      const known = new Set(listed)
      const unlisted = [...came.keys()].find((sector) => !known.has(sector))
      if (unlisted !== undefined)
        throw bad(`a grain table came at sector ${unlisted}, and the directory does not list it`)
    },
  }
}

/** 48 bits of SHA-256: what is compared is damage, not malice. */
function digestOf(bytes: Uint8Array): number {
  return createHash('sha256').update(bytes).digest().readUIntBE(0, 6)
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / SECTOR_BYTES) * SECTOR_BYTES
}
