// A program that opens one disk and keeps it open until it is killed: hold-open.ts LIBDIR FOLDER FILE CAPACITY.

import { diskRequest, siteTransport, type VddkSite } from './site.ts'

const [libdir = '', folderBase = '', fileName = '', capacityBytes = ''] = process.argv.slice(2)
const unused = () => Promise.reject(new Error('Not of this site'))
const site: VddkSite = {
  ...{ libdir, folderBase, addDisk: unused, put: unused, remove: unused, calls: unused },
  [Symbol.asyncDispose]: async () => undefined,
}
const request = diskRequest({ fileName, capacityBytes: Number(capacityBytes) })
await siteTransport(site).open(request, { signal: new AbortController().signal })
process.stdout.write('open\n')
setInterval(() => undefined, 1000)
