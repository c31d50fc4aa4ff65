import type { Channel } from 'node:diagnostics_channel'
import { debuglog } from 'node:util'

import { type Address, addressText } from '../native/address'
import { describe } from './describe'
import { known } from './inspection'

/** What the channels tell, as far as lines are made of it. */
interface Published {
  readonly server?: { address(): Address | null } | undefined
  readonly connection?: { readonly remoteAddress: Address | undefined } | undefined
  readonly request?: { readonly length: number } | undefined
  readonly error?: unknown
}

/** What a line says after the name of its channel. */
const texts = {
  listen: ({ server }: Published) => addressText(server?.address()),
  connect: peerOf,
  request: (published: Published) => `${peerOf(published)}: ${published.request?.length} bytes`,
  error: (published: Published) => `${peerOf(published)}: ${describe(published.error)}`,
  close: (published: Published) =>
    `${peerOf(published)}: ${published.error === undefined ? 'in order' : describe(published.error)}`,
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
    channels[name].subscribe((published) =>
      known(() => print(`${name} ${texts[name](published as Published)}`)),
    )
  }
}

function peerOf({ connection }: Published): string {
  if (connection === undefined) return 'a listener'
  return known(() => addressText(connection.remoteAddress)) ?? 'an unknown peer'
}
