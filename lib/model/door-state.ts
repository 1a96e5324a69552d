// What a door remembers from one call to the next: how far it has read, what it has spent. One small record a purpose.

/** By name, for example "pull:<vcenter>" or "budget:<policy>". */
export type DoorState =
  /** How far the events of a vCenter were read: the time of the newest, and the keys of those at that time. */
  | { readonly kind: 'checkpoint'; readonly at: string; readonly keys: readonly number[] }
  /** What alarms have started for a policy on one day ("2026-01-31"). */
  | { readonly kind: 'budget'; readonly day: string; readonly spent: number }
