// How a snapshot asks the guest to be consistent.

export type Quiesce =
  | { readonly kind: 'none' }
  /** VMware Tools decides: VSS or the sync driver. */
  | { readonly kind: 'tools' }
  /** CreateSnapshotEx_Task with VirtualMachineWindowsQuiesceSpec; timeoutMinutes 5 to 240. */
  | {
      readonly kind: 'windows'
      readonly timeoutMinutes: number
      readonly context: 'ctx_auto' | 'ctx_backup'
      readonly backupType: 'copy' | 'full'
    }
