// What the simulated vCenter's front asks of the inside of a guest: accounts, files, programs. Types alone.

/** Elevated: root of the simulated guest. Programs of the others run as nobody when the simulator itself is root. */
export type GuestAccount = { readonly name: string; readonly password: string; readonly elevated: boolean }

/** A file as Tools tell of it. */
export type GuestEntry = {
  /** In a listing of a directory the bare name, else the path as it was asked for. */
  readonly path: string
  readonly type: 'file' | 'directory' | 'symlink'
  readonly sizeBytes: number
  readonly modifiedMs: number
  readonly accessedMs: number
  readonly createdMs: number
  readonly ownerId: number
  readonly groupId: number
  /** Without the file's type: 0o755. */
  readonly permissions: number
  readonly symlinkTarget: string | null
}

/** Attributes to set; null leaves one as it is, or gives a new file its default. */
export type GuestFileChange = {
  readonly modifiedMs: number | null
  readonly accessedMs: number | null
  readonly ownerId: number | null
  readonly groupId: number | null
  readonly permissions: number | null
}

/** A file that comes in: written beside its place, then moved there as a whole. */
export type GuestUpload = {
  write(bytes: Uint8Array): void
  /** Puts it in its place. @throws SimFault FileFault */
  finish(): void
  /** To be called also after finish(): nothing stays open, and nothing half written. */
  abandon(): void
}

export type GuestDownload = { readonly fd: number; readonly entry: GuestEntry }

/**
 * The files of a guest: those of its private directory, and nothing else of this machine. Every method throws SimFault:
 * FileNotFound, FileAlreadyExists, NotADirectory, DirectoryNotEmpty, GuestPermissionDenied (also for every path outside), FileFault.
 */
export interface GuestFiles {
  makeDirectory(account: GuestAccount, wish: { readonly path: string; readonly parents: boolean }): void
  /** @returns the path of a new empty file or directory that only the account can enter */
  makeTemporary(
    account: GuestAccount,
    wish: {
      readonly kind: 'file' | 'directory'
      readonly prefix: string
      readonly suffix: string
      /** Null: the guest's own directory for temporary files. */
      readonly directory: string | null
    },
  ): string
  removeDirectory(account: GuestAccount, wish: { readonly path: string; readonly recursive: boolean }): void
  removeFile(account: GuestAccount, path: string): void
  move(
    account: GuestAccount,
    wish: {
      readonly from: string
      readonly to: string
      readonly overwrite: boolean
      readonly kind: 'file' | 'directory'
    },
  ): void
  /** A directory's entries, "." and ".." first and the others ascending; or the one file. */
  list(account: GuestAccount, path: string): readonly GuestEntry[]
  change(account: GuestAccount, wish: { readonly path: string; readonly change: GuestFileChange }): void
  upload(
    account: GuestAccount,
    wish: { readonly path: string; readonly overwrite: boolean; readonly change: GuestFileChange },
  ): GuestUpload
  /** A regular file, open for reading; who asked for it closes `fd`. */
  download(account: GuestAccount, path: string): GuestDownload
}

export type GuestProgram = {
  readonly programPath: string
  /** One text, which the guest's shell reads. */
  readonly arguments: string
  /** Null: the account's home. */
  readonly workingDirectory: string | null
  /** "NAME=VALUE" */
  readonly environment: readonly string[]
}

export type GuestProcess = {
  readonly name: string
  readonly pid: number
  readonly owner: string
  readonly commandLine: string
  readonly startedMs: number
  /** Null while it runs. */
  readonly endedMs: number | null
  readonly exitCode: number | null
}

/** The programs of a guest: real ones of this machine, with real process ids. */
export interface GuestPrograms {
  /** @throws SimFault FileNotFound, NotADirectory, GuestPermissionDenied, FileFault */
  start(account: GuestAccount, program: GuestProgram): number
  /** Those that were started, running or ended not long ago, and their descendants. @param pids which of them; null for all */
  list(pids: readonly number[] | null): readonly GuestProcess[]
  /** Resolves when it has ended. @throws SimFault GuestProcessNotFound, GuestPermissionDenied */
  terminate(account: GuestAccount, pid: number): Promise<void>
  /** "NAME=VALUE" of a program that names none. */
  environmentOf(account: GuestAccount): readonly string[]
}

export interface GuestSystem {
  /** Null when no account has this name and password. */
  login(credentials: { readonly userName: string; readonly password: string }): GuestAccount | null
  readonly files: GuestFiles
  /** Null for a Windows guest: this machine runs none of its programs. */
  readonly programs: GuestPrograms | null
}

/** The inside of the guest with what its machine does to it: it lives while the machine is on. */
export type LiveGuestSystem = GuestSystem & {
  accounts: readonly GuestAccount[]
  /** @param writes what a script in the guest may do to the guest's own writing */
  start(writes: { hold(): void; resume(): void }): void
  /** Ends all its programs; what lay in memory-backed storage is gone. */
  stop(): void
  /** Also removes its files. */
  dispose(): void
}
