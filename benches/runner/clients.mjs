// The clients that are measured beside each other, named as the peers that they belong to.

import { GO_PEERS } from './built.mjs'
import { fromRoot } from './paths.mjs'

/** @typedef {import('./peers.mjs').PeerName} PeerName */

/**
 * How calls use connections: each has one alone, or all share a few.
 *
 * @typedef {'pool' | 'mux'} Sharing
 */

/**
 * @typedef {object} Client
 * @property {PeerName} peer
 * @property {string} label
 * @property {(node: string) => readonly string[]} command
 */

/** @type {Readonly<Record<Sharing, readonly Client[]>>} */
export const CLIENTS = {
  pool: [
    onNode('netpoll', 'netpoll Pool', 'pool-netpoll.mjs'),
    onNode('node', 'node:net', 'pool-node-net.mjs'),
    inGo('goNet', 'Go net', 'net-pool'),
    inGo('goNetpoll', 'Go Netpoll', 'netpoll-pool'),
  ],
  mux: [
    onNode('netpoll', 'netpoll Mux', 'mux-netpoll.mjs'),
    onNode('node', 'node:net', 'mux-node-net.mjs'),
    onNode('nodeCorked', 'node:net, corked', 'mux-node-net-corked.mjs'),
    inGo('goNetMux', 'Go net, mux', 'net-mux'),
    inGo('goNetpollMux', 'Go Netpoll, mux', 'netpoll-mux'),
  ],
}

/**
 * @param {PeerName} peer
 * @param {string} label
 * @param {string} file
 * @returns {Client}
 */
function onNode(peer, label, file) {
  return { peer, label, command: (node) => [node, fromRoot(`benches/clients/${file}`)] }
}

/**
 * @param {PeerName} peer
 * @param {string} label
 * @param {string} name
 * @returns {Client}
 */
function inGo(peer, label, name) {
  return { peer, label, command: () => [GO_PEERS, 'client', name] }
}
