// A network of this process: which names there are, which ports are open, and what they show.

import { BackupError } from '../../base/errors.ts'
import type { NetworkPlace, NetworkProbe, ShownCertificate } from '../../ports/network-probe.ts'

export type MemoryNetwork = {
  /** Names and their addresses. */
  readonly names: Map<string, readonly string[]>
  /** "host:port" of what answers, with its certificate where it speaks TLS. */
  readonly open: Map<string, ShownCertificate | null>
  /** "host:port" of what never answers. */
  readonly silent: Set<string>
  readonly probe: NetworkProbe
}

export function memoryNetwork(): MemoryNetwork {
  const names = new Map<string, readonly string[]>()
  const open = new Map<string, ShownCertificate | null>()
  const silent = new Set<string>()
  const resolve: NetworkProbe['resolve'] = async (host, { signal }) => {
    signal.throwIfAborted()
    if (/^[0-9.]+$|:/.test(host)) return [host]
    const found = names.get(host)
    if (found !== undefined) return found
    throw new BackupError(`Cannot find an address of "${host}"`, { code: 'name-unknown', retry: 'later' })
  }
  const reach = async (place: NetworkPlace, cancel: { readonly signal: AbortSignal }) => {
    await resolve(place.host, cancel)
    const key = `${place.host}:${place.port}`
    if (silent.has(key)) {
      await new Promise((_, reject) =>
        cancel.signal.addEventListener('abort', () => reject(cancel.signal.reason), { once: true }),
      )
    }
    const found = open.get(key)
    if (found !== undefined) return found
    throw new BackupError(`Cannot reach "${key}": the connection is refused`, {
      code: 'port-unreachable',
      retry: 'later',
      hint: 'Open the port',
    })
  }
  return {
    names,
    open,
    silent,
    probe: {
      resolve,
      connect: async (place, cancel) => {
        await reach(place, cancel)
        return 1
      },
      certificate: async (place, cancel) => {
        const certificate = await reach(place, cancel)
        if (certificate !== null) return certificate
        throw new BackupError(`"${place.host}:${place.port}" does not speak TLS`, { code: 'no-tls' })
      },
    },
  }
}
