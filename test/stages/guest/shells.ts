// Guests with other shells and tools than this machine's, made by mounting them over its own. Each program of such a guest
// starts in a mount namespace of its own.

import { canMount } from '../../kit/mounts.ts'
import { peer } from '../../kit/peers.ts'
import type { ChannelOptions } from '../../kit/process-guest.ts'

export type GuestShell = { readonly name: string; readonly options: ChannelOptions; readonly absent: boolean }

const busybox = peer('busybox') ?? 'busybox'
/** Everything the wrapper calls for; tar and unzip too. */
const tools = 'mkdir cat sleep head tail dd wc od rm ls mv ln chmod find id tar sha256sum unzip setsid'

export const guestShells: readonly GuestShell[] = [
  { name: "this machine's own shell", options: {}, absent: false },
  { name: 'bash', options: { mounts: 'mount --bind /usr/bin/bash /bin/sh' }, absent: !canMount() },
  {
    name: 'BusyBox, shell and tools',
    options: {
      mounts: `for tool in ${tools} sh; do
        place=$(command -v "$tool") || continue
        mount --bind ${busybox} "$place"
      done`,
    },
    absent: !canMount() || peer('busybox') === undefined,
  },
]
