// Has a program that loads `net` run over netpoll: its sockets are DialedSockets and duplexes, its servers accept by ours.
// Preloaded (`node --require`) by the run of Node's own tests.
//
// Arguments are checked by Node.js itself, as they are no matter of streams: a server is a `net.Server` up to where it
// opens its socket, and what `connect` is asked for is first given to a `net.Socket` that never dials.

'use strict'

const Module = require('node:module')
const net = require('node:net')
const { join } = require('node:path')

const shim = { ...net }
const load = Module._load
Module._load = function (name, ...others) {
  return name === 'net' || name === 'node:net' ? shim : load.call(this, name, ...others)
}
Object.assign(shim, require(join(__dirname, 'socket.cjs')), require(join(__dirname, 'server.cjs')))
Object.defineProperty(shim, '_normalizeArgs', { value: net._normalizeArgs })
