// What VMware Tools tell of the guest of a virtual machine.

import { isWindows } from '../../machine/quiescing.ts'
import type { SimMachine } from '../../machine/types.ts'
import { type Data, data } from '../../soap/value.ts'
import type { MachineEntity } from '../world.ts'

/** Those of open-vm-tools 12.4, and of 11.0 for old ones, as Tools number themselves. */
const VERSIONS = { running: '12389', notRunning: '12389', old: '11269', notInstalled: '0' }

const VERSION_STATUS = {
  running: 'guestToolsUnmanaged',
  notRunning: 'guestToolsUnmanaged',
  old: 'guestToolsSupportedOld',
  notInstalled: 'guestToolsNotInstalled',
}

/** The fields of Tools' state that a guest and its summary share. */
export function toolsState({ tools, toolsRunning }: SimMachine) {
  const { state } = tools
  const running = state === 'old' ? 'toolsOld' : 'toolsOk'
  return {
    toolsStatus: state === 'notInstalled' ? 'toolsNotInstalled' : toolsRunning ? running : 'toolsNotRunning',
    // The older property knows no word for Tools that still work but are not the newest.
    toolsVersionStatus: state === 'old' ? 'guestToolsNeedUpgrade' : VERSION_STATUS[state],
    toolsVersionStatus2: VERSION_STATUS[state],
    toolsRunningStatus: toolsRunning ? 'guestToolsRunning' : 'guestToolsNotRunning',
  }
}

export function guestState({ machine }: MachineEntity): Data {
  const { config, tools, toolsRunning: running } = machine
  return data('GuestInfo', {
    ...toolsState(machine),
    toolsVersion: VERSIONS[tools.state],
    toolsInstallType: tools.state === 'notInstalled' ? null : 'guestToolsTypeOpenVMTools',
    guestId: running ? config.guestId : null,
    guestFamily: running ? (isWindows(config) ? 'windowsGuest' : 'linuxGuest') : null,
    guestFullName: running ? config.guestFullName : null,
    hostName: running ? machine.hostName : null,
    ipAddress: primaryAddress(machine),
    net: machine.guestNics.map((nic) =>
      data('GuestNicInfo', {
        network: nic.network,
        ipAddress: nic.addresses,
        macAddress: nic.macAddress,
        connected: nic.connected,
        deviceConfigId: nic.deviceKey,
      }),
    ),
    guestState: machine.powerState === 'poweredOn' ? (running ? 'running' : 'unknown') : 'notRunning',
    appHeartbeatStatus: 'appStatusGray',
    guestKernelCrashed: false,
    appState: 'none',
    guestOperationsReady: running && machine.system !== null && !tools.operationsDisabled,
    interactiveGuestOperationsReady: false,
    guestStateChangeSupported: running,
  })
}

/** Tools give one address of the first card that has any. */
export function primaryAddress({ guestNics }: SimMachine): string | null {
  return guestNics.flatMap(({ addresses }) => addresses)[0] ?? null
}
