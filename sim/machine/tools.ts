// VMware Tools of a simulated guest as vCenter tells of them: their state, and the addresses that they report.

import type { SimConfig, SimGuestNic } from './types.ts'

/** 'old': they run, and vCenter would like newer ones. */
export const TOOLS_STATES = ['running', 'old', 'notRunning', 'notInstalled'] as const

export type ToolsState = (typeof TOOLS_STATES)[number]

/** A network card that only the guest knows, such as a container engine's bridge. */
export type GuestBridge = { readonly macAddress: string; readonly addresses: readonly string[] }

export type ReportedAddresses = {
  /** By network card of the machine, in its order; cards beyond the list have none. */
  readonly cards: readonly (readonly string[])[]
  readonly bridges: readonly GuestBridge[]
}

export class Tools {
  state: ToolsState
  addresses: ReportedAddresses
  /** The guest's own switch for guest operations (tools.conf). */
  operationsDisabled = false
  readonly hostName: string

  constructor(options: {
    readonly state: ToolsState
    readonly addresses: ReportedAddresses
    readonly hostName: string
  }) {
    this.state = options.state
    this.addresses = options.addresses
    this.hostName = options.hostName
  }

  get installed(): boolean {
    return this.state !== 'notInstalled'
  }

  /** Whether they run once the guest does. */
  get start(): boolean {
    return this.state === 'running' || this.state === 'old'
  }

  nicsOf({ nics }: Pick<SimConfig, 'nics'>): readonly SimGuestNic[] {
    const cards = nics.map(({ network, macAddress, connected, deviceKey }, index) => {
      return { network, macAddress, connected, deviceKey, addresses: this.addresses.cards[index] ?? [] }
    })
    // A card that vSphere does not know has no network, and -1 for a device key (GuestNicInfo.deviceConfigId).
    const bridges = this.addresses.bridges.map((bridge) => ({
      ...bridge,
      network: null,
      connected: true,
      deviceKey: -1,
    }))
    return [...cards, ...bridges]
  }
}
