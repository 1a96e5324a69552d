// What can go wrong in a run, by name, and how likely each is at a call where it may strike, before the run's own factor.

export const FAULT_CHANCES = {
  // A call of any port by a stage or by watch.
  'call-fails': 0.02,
  'call-answer-lost': 0.02,
  'call-refused': 0.005,
  'call-broken': 0.01,
  'call-hangs': 0.004,
  'call-late': 0.01,
  // The process of a stage.
  'stage-stopped': 0.01,
  'stage-killed': 0.01,
  'stage-paused': 0.005,
  // A mover, at any of its calls.
  'mover-call-fails': 0.02,
  'mover-call-late': 0.02,
  'mover-hangs': 0.005,
  'mover-stopped': 0.01,
  'mover-killed': 0.02,
  'mover-paused': 0.005,
  // Messages.
  'message-lost': 0.1,
  'message-doubled': 0.2,
  'message-late': 0.1,
  // Records: somebody else's write comes first, or the store is away for a while.
  'record-conflict': 0.04,
  'records-away': 0.002,
  // The object store.
  'store-fails': 0.02,
  'store-answer-lost': 0.02,
  'store-away': 0.003,
  'store-full': 0.002,
  // vCenter and its tasks.
  'vcenter-away': 0.01,
  'task-fails': 0.15,
  'task-fails-after': 0.15,
  'task-vanishes': 0.15,
  'snapshot-slow': 0.2,
  'removal-slow': 0.2,
  'removal-times-out': 0.2,
  'removal-unconsolidated': 0.3,
  'consolidation-slow': 0.5,
  'quiesce-fails': 0.3,
  'quiesce-unmarked': 0.2,
  'datastore-full': 0.1,
  // Reading disks.
  'disk-open-fails': 0.15,
  'disk-read-fails': 0.05,
  'disk-read-late': 0.05,
  // What others do to the VM.
  'foreign-snapshot': 0.01,
  'foreign-delete-all': 0.01,
  'foreign-revert': 0.01,
  'foreign-task': 0.01,
  relocated: 0.01,
  'power-cycled': 0.01,
  'power-lost': 0.01,
  'host-disconnected': 0.005,
  'disk-added': 0.005,
  'disk-grown': 0.02,
  'disk-removed': 0.005,
  'disk-replaced': 0.005,
  'vm-deleted': 0.002,
  'vm-registered-anew': 0.005,
  'tracking-turned-off': 0.005,
  // Changed block tracking tells what is not so, and says so itself or not.
  'cbt-refuses': 0.3,
  'cbt-over-reports': 0.4,
  'cbt-out-of-order': 0.3,
  'cbt-overlaps': 0.3,
  'cbt-beyond-end': 0.3,
  'cbt-gap': 0.3,
  'cbt-zero-length': 0.3,
  'cbt-short-replies': 0.5,
  'cbt-no-change-id': 0.2,
  'cbt-counter-back': 0.2,
  'cbt-reset': 0.01,
  // Changes that are left out and that nothing but the audit can find.
  'cbt-under-reports': 0.3,
  'cbt-id-ahead': 0.2,
  // Clocks.
  'clock-jumps-ahead': 0.004,
  'clock-jumps-back': 0.004,
} as const satisfies Readonly<Record<string, number>>

export type FaultKind = keyof typeof FAULT_CHANCES

export const FAULT_KINDS = Object.keys(FAULT_CHANCES).filter((name): name is FaultKind => name in FAULT_CHANCES)

/** After these a point may hold older bytes than its snapshot, until an audit comes by. */
export const UNSEEN_KINDS: readonly FaultKind[] = ['cbt-under-reports', 'cbt-id-ahead']
