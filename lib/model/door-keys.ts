// What opens an alarm door.

export type DoorKeys = {
  /** Keys of HMAC-SHA-256, as text. */
  readonly hmac: readonly string[]
  readonly bearer: readonly string[]
  readonly basic: readonly { readonly user: string; readonly password: string }[]
}
