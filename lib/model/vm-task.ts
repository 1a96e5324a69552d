// A task of vCenter that runs on a VM, and who runs it: what has to be waited for, in words.

export type VmTask = {
  /** The method, for example "RemoveSnapshot_Task". */
  readonly name: string
  /** ISO 8601; null while it is queued. */
  readonly startedAt: string | null
  /** The account, the scheduled task or the alarm that started it; null where vCenter does not say. */
  readonly by: string | null
}

/** For example: "RelocateVM_Task" by "LAB\alice" since 2026-01-02T03:04:05.000Z. */
export function describeTask({ name, by, startedAt }: VmTask): string {
  const who = by === null ? '' : ` by "${by}"`
  return `"${name}"${who}${startedAt === null ? '' : ` since ${startedAt}`}`
}

/** What a job waits for while tasks run on its VM; null when none does. */
export function waitsForTasks(tasks: readonly VmTask[]): string | null {
  return tasks.length === 0 ? null : `a running task on the VM: ${tasks.map(describeTask).join(', ')}`
}
