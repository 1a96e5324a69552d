// The wrapper that lies in Windows guests: the same commands, records and replies as posix-wrapper.ts, for Windows
// PowerShell 5.1, which Windows 10, Windows Server 2016 and everything newer have.
//
// UNTESTED on Windows: no PowerShell runs where the tests run. They look at its form only.
//
// How it differs: records are made by moving a finished file to a name, which fails when the name is taken. Each script has a
// process of ours above it in one job object; that process ends the job when the run is to be killed, and for pre-freeze
// stays until the thaw, so that what pre-freeze left running ends with it. Timer and scripts are started through WMI: WinRM
// ends everything in its shell's own job object with the connection.

import { windowsFreeze } from './windows-freeze.ts'
import { windowsInstall } from './windows-install.ts'
import { windowsProcesses } from './windows-processes.ts'

export const windowsWrapper = `${windowsProcesses}${windowsFreeze}${windowsInstall}`
