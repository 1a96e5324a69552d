// Whether this machine lets tests mount things: root in a container often may not.

import { spawnSync } from 'node:child_process'

let mounting: boolean | undefined

/** Whether a private mount namespace with mounts in it can be made. */
export function canMount(): boolean {
  mounting ??= spawnSync('unshare', ['--mount', 'mount', '--bind', '/', '/mnt']).status === 0
  return mounting
}

/** Whether a file system in a file can be mounted, and frozen and thawed. */
export function canFreeze(): boolean {
  const trial = `set -e
    d=$(mktemp -d); truncate -s 8M "$d/image"; mke2fs -q -t ext4 "$d/image"; mkdir "$d/mount"
    mount -o loop "$d/image" "$d/mount"
    fsfreeze -f "$d/mount" && fsfreeze -u "$d/mount"; code=$?
    umount "$d/mount"; rm -rf "$d"; exit "$code"`
  return canMount() && spawnSync('sh', ['-c', trial]).status === 0
}
