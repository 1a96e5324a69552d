// Datastore paths: "[ds1] web-01/web-01.vmx".

/** Null when the text is not a datastore path. */
export function parseDatastorePath(text: string): { readonly datastore: string; readonly path: string } | null {
  const match = /^\[([^\]]+)\] ?(.*)$/.exec(text)
  return match?.[1] === undefined ? null : { datastore: match[1], path: match[2] ?? '' }
}

/** The folder of a machine's files, with its datastore and a slash at the end: "[ds1] web-01/". */
export function homeOf(vmPathName: string): string {
  return vmPathName.slice(0, vmPathName.lastIndexOf('/') + 1)
}

/** The .vmx path without its ending; a path that is only a folder takes the folder's name. */
export function stemOf(vmPathName: string): string {
  if (!vmPathName.endsWith('/')) return vmPathName.replace(/\.vmx$/, '')
  const folder = vmPathName.slice(0, -1).replace(/^.*[/\]] ?/, '')
  return `${vmPathName}${folder}`
}

/** What a new disk's files are named, without "-flat.vmdk" and the like: "[ds1] web-01/web-01_1". */
export function freeStem(
  vmPathName: string,
  options: { readonly datastore: string; readonly used: ReadonlySet<string> },
): string {
  const folder = parseDatastorePath(homeOf(vmPathName))?.path ?? ''
  const name = stemOf(vmPathName).replace(/^.*[/\]] ?/, '')
  for (let index = 0; ; index++) {
    const stem = `[${options.datastore}] ${folder}${name}${index === 0 ? '' : `_${index}`}`
    if (!options.used.has(stem)) return stem
  }
}
