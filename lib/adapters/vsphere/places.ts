// Where an object stands in the inventory: names decoded, datacenter, folder path. Pure, over a map of parents.

/** Name (still encoded) and parent of an inventory object; `type` is its managed object type. */
export type Place = { readonly type: string; readonly name: string; readonly parent: string | null }

export type Standing = {
  /** "DC", or "Folder/DC" where datacenters stand in folders: what dcPath of /folder wants. Empty when unknown. */
  readonly datacenter: string
  /** "/DC/sub/folder": the datacenter, then folders, without the datacenter's own hidden "vm" folder. */
  readonly folder: string
}

const DEPTH_MAX = 64

/** vCenter writes '/', '\' and '%' in names as %2f, %5c and %25. */
export function decodeName(name: string): string {
  return name.replaceAll(/%2f|%5c|%25/gi, (code) => ({ '%2f': '/', '%5c': '\\' })[code.toLowerCase()] ?? '%')
}

/**
 * A name as we send it. vCenter escapes '/' and '\\' itself, and '%' unless it starts an escape (vSphere Web Services
 * API, ManagedEntity.name): only such a '%' needs our help to stay what it is.
 */
export function encodeName(name: string): string {
  return name.replaceAll(/%(?=2f|5c|25)/gi, '%25')
}

/**
 * @param start the parent of a VM: a folder or a vApp
 * @param places by moref value
 */
export function standingOf(start: string | null, places: ReadonlyMap<string, Place>): Standing {
  const line: Place[] = []
  for (let at = start; at !== null && line.length < DEPTH_MAX; ) {
    const place = places.get(at)
    if (place === undefined) break
    line.unshift(place)
    at = place.parent
  }
  const index = line.findIndex(({ type }) => type === 'Datacenter')
  if (index < 0) return { datacenter: '', folder: `/${folderNames(line.slice(1)).join('/')}` }
  const above = line
    .slice(line[0]?.parent === null && line[0].type === 'Folder' ? 1 : 0, index + 1)
    .map(({ name }) => decodeName(name))
  const below = folderNames(line.slice(index + 2))
  return { datacenter: above.join('/'), folder: `/${[...above, ...below].join('/')}` }
}

function folderNames(line: readonly Place[]): readonly string[] {
  return line.map(({ name }) => decodeName(name))
}
