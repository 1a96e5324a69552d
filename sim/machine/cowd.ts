// A delta layer's extent as bytes: the COWD form. Source: VMware, "Virtual Disk Format 1.1", "ESX Server Sparse Extents".

import { GRAIN_BYTES, type GrainStore, piecesOf } from './grain-store.ts'

const SECTOR_BYTES = 512
const HEADER_SECTORS = 4
const TABLE_ENTRIES = 4096
const TABLE_SECTORS = (TABLE_ENTRIES * 4) / SECTOR_BYTES
const GRAIN_SECTORS = GRAIN_BYTES / SECTOR_BYTES

export type CowdExtent = {
  readonly sizeBytes: number
  read(range: { readonly offsetBytes: number; readonly target: Uint8Array }): void
}

/**
 * The extent of a frozen delta. The format's own grain is one sector; all sectors of a stored 64 KiB grain are present.
 * Layout in sectors: header (4), grain directory, a grain table of 4,096 entries for each 2 MiB that has data, data.
 */
export function cowdExtent(store: GrainStore): CowdExtent {
  const grains: number[] = []
  for (let grain = 0; grain < store.grainCount; grain++) if (store.has(grain)) grains.push(grain)
  const head = metadataOf(store, grains)
  const sizeBytes = head.byteLength + grains.length * GRAIN_BYTES
  return {
    sizeBytes,
    read: ({ offsetBytes, target }) => {
      const fromHead = Math.max(0, Math.min(target.byteLength, head.byteLength - offsetBytes))
      target.set(head.subarray(offsetBytes, offsetBytes + fromHead))
      const rest = target.subarray(fromHead)
      for (const piece of piecesOf(offsetBytes + fromHead - head.byteLength, rest.byteLength)) {
        const grain = grains[piece.grain]
        const part = rest.subarray(piece.done, piece.done + piece.lengthBytes).fill(0)
        if (grain === undefined) continue
        const from = grain * GRAIN_BYTES + piece.inGrain
        const inside = Math.max(0, Math.min(part.byteLength, store.capacityBytes - from))
        if (inside > 0) store.read({ offsetBytes: from, target: part.subarray(0, inside) })
      }
    },
  }
}

/** Bytes, little endian, u32: 0 "COWD", 4 version, 8 flags, 12 sectors, 16 grain size, 20 directory's sector, 24 its entries, 28 next free sector. */
function metadataOf(store: GrainStore, grains: readonly number[]): Uint8Array {
  const sectors = store.capacityBytes / SECTOR_BYTES
  const directoryEntries = Math.ceil(sectors / TABLE_ENTRIES)
  const directorySectors = Math.ceil((directoryEntries * 4) / SECTOR_BYTES)
  const tableOf = (grain: number) => Math.floor((grain * GRAIN_SECTORS) / TABLE_ENTRIES)
  const tables = [...new Set(grains.map(tableOf))]
  const tablesAt = HEADER_SECTORS + directorySectors
  const dataAt = tablesAt + tables.length * TABLE_SECTORS
  const bytes = Buffer.alloc(dataAt * SECTOR_BYTES)
  bytes.write('COWD', 0, 'latin1')
  const fields = [1, 3, sectors, 1, HEADER_SECTORS, directoryEntries, dataAt + grains.length * GRAIN_SECTORS]
  for (const [index, value] of fields.entries()) bytes.writeUInt32LE(value, 4 + index * 4)
  for (const [index, table] of tables.entries()) {
    bytes.writeUInt32LE(tablesAt + index * TABLE_SECTORS, HEADER_SECTORS * SECTOR_BYTES + table * 4)
  }
  for (const [index, grain] of grains.entries()) {
    const table = tables.indexOf(tableOf(grain))
    const entryAt = (tablesAt + table * TABLE_SECTORS) * SECTOR_BYTES + ((grain * GRAIN_SECTORS) % TABLE_ENTRIES) * 4
    for (let sector = 0; sector < GRAIN_SECTORS && grain * GRAIN_SECTORS + sector < sectors; sector++) {
      bytes.writeUInt32LE(dataAt + index * GRAIN_SECTORS + sector, entryAt + sector * 4)
    }
  }
  return bytes
}
