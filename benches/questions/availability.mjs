// Which peers can be measured here.

import { existsSync } from 'node:fs'

import { PEERS } from '../runner/peers.mjs'

/** @typedef {import('../runner/peers.mjs').PeerName} PeerName */

/** Whose absence means that something was not built which always can be. */
const NEEDED = ['netpoll', 'bare']

/** What a family needs that may not be installed. */
const TOOLS = /** @type {Readonly<Record<string, string>>} */ ({
  bun: 'Bun',
  tokio: 'Rust',
  go: 'Go',
  netty: 'Java or Maven',
})

/**
 * Why the peers of a family cannot be measured, by family; nothing for those that can.
 *
 * @returns {ReadonlyMap<string, string>}
 */
export function missingFamilies() {
  /** @type {Map<string, string>} */
  const missing = new Map()
  for (const { family, needs } of Object.values(PEERS)) {
    const path = needs.find((path) => !existsSync(path))
    if (path === undefined) continue
    if (NEEDED.includes(family)) throw new Error(`${path} is not built: \`npm run bench\` builds it first`)
    missing.set(
      family,
      `${TOOLS[family] ?? family} is not installed, or \`node benches/peers/build.mjs\` has not run`,
    )
  }
  return missing
}

/**
 * Chooses among the peers of a question those that are asked for and there.
 *
 * @param {readonly string[] | undefined} asked
 * @param {ReadonlyMap<string, string>} missing
 * @returns {<Name extends PeerName>(peers: readonly Name[]) => readonly Name[]}
 */
export const choosePeers = (asked, missing) => (peers) =>
  peers.filter((peer) => (asked?.includes(peer) ?? true) && !missing.has(PEERS[peer].family))
