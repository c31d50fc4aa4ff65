// The clients that are measured beside each other, named as the peers that they belong to.

import { GO_PEERS } from './built.mjs'
import { fromRoot } from './paths.mjs'

/**
 * How calls use connections: each has one alone, or all share a few.
 *
 * @typedef {'pool' | 'mux'} Sharing
 *
 * @typedef {{ peer: PeerName, label: string, command: (node: string) => readonly string[] }} Client
 */

/** @type {Readonly<Record<Sharing, readonly Client[]>>} */
export const CLIENTS = {
  pool: [
    onNode('netpoll', 'netpoll Pool', 'netpoll.mjs', ['--sharing', 'pool']),
    onNode('node', 'node:net', 'node-net.mjs', ['--sharing', 'pool']),
    inGo('goNet', 'Go net', 'net-pool'),
    inGo('goNetpoll', 'Go Netpoll', 'netpoll-pool'),
  ],
  mux: [
    onNode('netpoll', 'netpoll Mux', 'netpoll.mjs', ['--sharing', 'mux']),
    onNode('node', 'node:net', 'node-net.mjs', ['--sharing', 'mux']),
    onNode('nodeCorked', 'node:net, corked', 'node-net.mjs', ['--sharing', 'mux', '--corked']),
    inGo('goNetMux', 'Go net, mux', 'net-mux'),
    inGo('goNetpollMux', 'Go Netpoll, mux', 'netpoll-mux'),
  ],
}

/**
 * @param {PeerName} peer
 * @param {string} label
 * @param {string} file
 * @param {readonly string[]} words
 * @returns {Client}
 */
function onNode(peer, label, file, words) {
  return { peer, label, command: (node) => [node, fromRoot(`benches/clients/${file}`), ...words] }
}

/** @param {PeerName} peer @param {string} label @param {string} name @returns {Client} */
function inGo(peer, label, name) {
  return { peer, label, command: () => [GO_PEERS, 'client', name] }
}
