import type { Channel } from 'node:diagnostics_channel'
import { debuglog } from 'node:util'

import { type Address, addressText } from '../native/address'
import { describe } from './describe'
import { known } from './inspection'

/** What the channels tell, as far as lines are made of it. */
interface Told {
  readonly server?: { address(): Address | null } | undefined
  readonly connection?: { readonly remoteAddress: Address | undefined } | undefined
  readonly request?: { readonly length: number } | undefined
  readonly error?: unknown
}

/** What a line says after the name of its channel. */
const texts = {
  listen: ({ server }: Told) => addressText(server?.address()),
  connect: peerOf,
  request: (told: Told) => `${peerOf(told)}: ${told.request?.length} bytes`,
  error: (told: Told) => `${peerOf(told)}: ${describe(told.error)}`,
  close: (told: Told) => `${peerOf(told)}: ${told.error === undefined ? 'in order' : describe(told.error)}`,
} as const

/**
 * Prints what the channels tell where `NODE_DEBUG` names `netpoll`. That is looked at here and never again: otherwise nothing
 * subscribes, and no event costs more than before.
 */
export function printWhenDebugging(channels: { readonly [Name in keyof typeof texts]: Channel }): void {
  const print = debuglog('netpoll')
  if (!print.enabled) return
  for (const name of Object.keys(texts) as readonly (keyof typeof texts)[]) {
    // A subscriber that throws is an uncaught exception, and users may have put anything in place of a member.
    channels[name].subscribe((told) => known(() => print(`${name} ${texts[name](told as Told)}`)))
  }
}

function peerOf({ connection }: Told): string {
  if (connection === undefined) return 'a listener'
  return known(() => addressText(connection.remoteAddress)) ?? 'an unknown peer'
}
