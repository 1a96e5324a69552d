// VDDK's error numbers that a reading backup meets, and what each means for the operator. Numbers and names: vix.h;
// words: what VixDiskLib_GetErrorText() gives for them, which is all that nbdkit's plugin prints.

import type { ErrorKind, Retry } from '../../base/errors.ts'

export type VixMeaning = {
  readonly code: string
  /** The words of VixDiskLib_GetErrorText(), by which a line without a number is known. */
  readonly words: string
  /** Ends the sentence "Cannot open … over nbdssl: ". */
  readonly reason: string
  readonly hint: string
  /** Default 'no' and 'failed'. */
  readonly retry?: Retry
  readonly kind?: ErrorKind
}

const OPEN_902 = 'Open TCP port 902 from this machine to every ESXi host, and let their names be resolved here'

export const VIX_MEANINGS: ReadonlyMap<number, VixMeaning> = new Map<number, VixMeaning>([
  // VIX_E_FAIL
  [
    1,
    {
      code: 'vddk-failed',
      words: 'Unknown error',
      reason: 'VDDK gives no reason',
      hint: 'Compare the VDDK version with the vSphere version: VDDK supports the vSphere releases next to its own',
      retry: 'later',
    },
  ],
  // VIX_E_OUT_OF_MEMORY
  [
    2,
    {
      code: 'vddk-host-busy',
      words: 'Memory allocation failed',
      reason: 'the host or this machine has no memory left for it',
      hint: 'Read fewer disks of this host at once',
      retry: 'later',
    },
  ],
  // VIX_E_INVALID_ARG
  [
    3,
    {
      code: 'vddk-argument-refused',
      words: 'One of the parameters was invalid',
      reason: 'VDDK does not accept the VM, the snapshot or the server as given',
      hint: 'Check that vCenter is named as its certificate names it, and that VM and snapshot still exist',
      retry: 'later',
    },
  ],
  // VIX_E_FILE_NOT_FOUND
  [
    4,
    {
      code: 'vddk-file-not-found',
      words: 'A file was not found',
      reason: 'there is no such file',
      hint: 'The disk may have moved to another datastore, or its snapshot may be gone: the next attempt looks again',
      retry: 'later',
    },
  ],
  // VIX_E_OBJECT_IS_BUSY
  [
    5,
    {
      code: 'vddk-host-busy',
      words: 'The object is busy',
      reason: 'VDDK is busy with this disk',
      hint: 'The next attempt tries again',
      retry: 'later',
    },
  ],
  // VIX_E_NOT_SUPPORTED
  [
    6,
    {
      code: 'vddk-mode-refused',
      words: 'The operation is not supported',
      reason: 'VDDK cannot read this disk this way',
      hint: 'Name another transport in the policy',
      kind: 'refused',
    },
  ],
  // VIX_E_FILE_ERROR
  [
    7,
    {
      code: 'vddk-disk-failed',
      words: 'A file access error occurred on the host or guest operating system',
      reason: 'the host cannot read a file of the disk',
      hint: "Look at the host's events and at its datastore",
      retry: 'later',
    },
  ],
  // VIX_E_FILE_ACCESS_ERROR
  [
    13,
    {
      code: 'vddk-permission',
      words: 'You do not have access rights to this file',
      reason: 'the account may not read this disk, or the disk is the running one and not the snapshot’s',
      hint: 'Give the role VirtualMachine.Provisioning.DiskRandomRead and VirtualMachine.Provisioning.GetVmFiles on the VM ("coldframe privileges" prints all)',
      kind: 'refused',
    },
  ],
  // VIX_E_FILE_ALREADY_LOCKED
  [
    15,
    {
      code: 'vddk-locked',
      words: 'The file is already in use',
      reason: 'the disk is locked by another user of it',
      hint: 'Another backup product may have it attached to its proxy: detach it there',
      retry: 'later',
    },
  ],
  // VIX_E_VMDB
  [
    16,
    {
      code: 'vddk-host-unreachable',
      words: 'The system returned an error',
      reason: 'the host lost the connection to the VM',
      hint: 'Look at the host in vCenter',
      retry: 'later',
    },
  ],
  // VIX_E_NOT_SUPPORTED_ON_REMOTE_OBJECT
  [
    20,
    {
      code: 'vddk-mode-refused',
      words: 'The command is not supported on remote objects',
      reason: 'VDDK cannot do this with a disk of a remote host',
      hint: 'Name another transport in the policy',
      kind: 'refused',
    },
  ],
  // VIX_E_OBJECT_NOT_FOUND
  [
    25,
    {
      code: 'vddk-file-not-found',
      words: 'The object was not found',
      reason: 'there is no such disk in this snapshot',
      hint: 'The snapshot or the disk may be gone: the next attempt looks again',
      retry: 'later',
    },
  ],
  // VIX_E_HOST_NOT_CONNECTED
  [
    26,
    {
      code: 'vddk-host-unreachable',
      words: 'The host is not connected',
      reason: "the VM's host is not connected to vCenter",
      hint: 'Reconnect the host in vCenter',
      retry: 'later',
    },
  ],
  // VIX_E_AUTHENTICATION_FAIL
  [
    35,
    {
      code: 'vddk-login',
      words: 'Authentication failure or insufficient permissions',
      reason: 'vCenter refuses user or password',
      hint: 'Check user name (with its domain) and password; several failures may lock the account',
      kind: 'refused',
    },
  ],
  // VIX_E_HOST_CONNECTION_LOST
  [
    36,
    {
      code: 'vddk-host-unreachable',
      words: 'The connection to the host was lost',
      reason: 'the connection to the host was lost',
      hint: 'The next attempt connects again',
      retry: 'later',
    },
  ],
  // VIX_E_HOST_USER_PERMISSIONS
  [
    3014,
    {
      code: 'vddk-permission',
      words: 'Insufficient permissions in the host operating system',
      reason: 'a privilege is missing',
      hint: 'Compare the role with "coldframe privileges"; VDDK also needs Global.DisableMethods and Global.EnableMethods at the root of the vCenter',
      kind: 'refused',
    },
  ],
  // VIX_E_HOST_SERVER_NOT_FOUND
  [
    14008,
    {
      code: 'vddk-host-unknown',
      words: 'The specified server could not be contacted',
      reason: "the VM's host cannot be found from here",
      hint: OPEN_902,
      retry: 'later',
    },
  ],
  // VIX_E_HOST_NETWORK_CONN_REFUSED
  [
    14009,
    {
      code: 'vddk-host-unreachable',
      words: 'The server refused connection',
      reason: "the VM's host refuses the connection (port 902)",
      hint: OPEN_902,
      retry: 'later',
    },
  ],
  // VIX_E_HOST_TCP_SOCKET_ERROR
  [
    14010,
    {
      code: 'vddk-host-unreachable',
      words: 'There was an error in communication',
      reason: "the connection to the VM's host failed",
      hint: OPEN_902,
      retry: 'later',
    },
  ],
  // VIX_E_HOST_TCP_CONN_LOST
  [
    14011,
    {
      code: 'vddk-host-unreachable',
      words: 'The connection was lost',
      reason: "the connection to the VM's host was lost",
      hint: 'The next attempt connects again',
      retry: 'later',
    },
  ],
  // VIX_E_DISK_INVAL
  [
    16000,
    {
      code: 'vddk-argument-refused',
      words: 'One of the parameters supplied is invalid',
      reason: 'VDDK does not accept the disk as given',
      hint: 'Compare the VDDK version with the vSphere version, and name another transport in the policy',
    },
  ],
  // VIX_E_DISK_TOOMANYOPENFILES
  [
    16027,
    {
      code: 'vddk-host-busy',
      words: 'Too many open files',
      reason: 'too many disks are open',
      hint: 'Read fewer disks at once',
      retry: 'later',
    },
  ],
  // VIX_E_DISK_INVALID_CONNECTION
  [
    16054,
    {
      code: 'vddk-argument-refused',
      words: 'The connection is invalid',
      reason: "VDDK's connection does not fit this disk",
      hint: 'Name another transport in the policy',
    },
  ],
  // VIX_E_CANNOT_CONNECT_TO_HOST
  [
    18000,
    {
      code: 'vddk-host-unreachable',
      words: 'Cannot connect to the host',
      reason: 'VDDK cannot connect to vCenter or to the host of the VM',
      hint: 'Open TCP ports 443 (vCenter) and 902 (every host) from this machine; a wrong thumbprint shows like this in old versions of VDDK',
      retry: 'later',
    },
  ],
])

/** @returns the number whose words these are, or begin with; null when they are none we know */
export function vixCodeOfWords(text: string): number | null {
  const plain = text.toLowerCase()
  for (const [code, { words }] of VIX_MEANINGS) if (plain.startsWith(words.toLowerCase())) return code
  return null
}
