// A chunk as it is stored and compared: of the full size, also at the end of a disk.

/** The last chunk of a disk is whole with zeros beyond the disk's end. */
export function wholeChunk(bytes: Uint8Array, chunkBytes: number): Uint8Array {
  if (bytes.byteLength === chunkBytes) return bytes
  const whole = new Uint8Array(chunkBytes)
  whole.set(bytes)
  return whole
}
