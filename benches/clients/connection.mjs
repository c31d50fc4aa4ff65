// A connection of plain `node:net`, as one would write it: length-prefixed messages, replies matched in order, one
// `write` and one timer for each request.

import { once } from 'node:events'
import { connect } from 'node:net'

const HEADER_SIZE = 4
const EMPTY = Buffer.alloc(0)

/**
 * @typedef {object} Call
 * @property {(reply: Buffer) => void} resolve
 * @property {(error: Error) => void} reject
 * @property {NodeJS.Timeout} timer
 */

export class Connection {
  #socket
  /** @type {Call[]} */
  #calls = []
  /** @type {Buffer} */
  #pending = EMPTY

  /** @param {import('node:net').Socket} socket */
  constructor(socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#received(chunk))
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('the connection is closed')))
  }

  /** @param {{ host: string, port: number } | { path: string }} endpoint */
  static async open(endpoint) {
    const socket = connect(endpoint)
    await once(socket, 'connect')
    return new Connection(socket)
  }

  /** How many calls wait for their reply. */
  get load() {
    return this.#calls.length
  }

  /** @param {Buffer} request @param {number} timeout @returns {Promise<Buffer>} */
  call(request, timeout) {
    return new Promise((resolve, reject) => {
      const frame = Buffer.allocUnsafe(HEADER_SIZE + request.length)
      frame.writeUInt32BE(request.length)
      frame.set(request, HEADER_SIZE)
      this.#socket.write(frame)
      const timer = setTimeout(() => reject(new Error('no reply in time')), timeout)
      this.#calls.push({ resolve, reject, timer })
    })
  }

  /** Keeps requests until {@link uncork}, which sends them in one system call. */
  cork() {
    this.#socket.cork()
  }

  uncork() {
    this.#socket.uncork()
  }

  close() {
    this.#socket.destroy()
  }

  /** @param {Buffer} chunk */
  #received(chunk) {
    const pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    let offset = 0
    while (pending.length - offset >= HEADER_SIZE) {
      const end = offset + HEADER_SIZE + pending.readUInt32BE(offset)
      if (pending.length < end) break
      const call = this.#calls.shift()
      if (call === undefined) throw new Error('a reply that nobody awaits')
      clearTimeout(call.timer)
      call.resolve(pending.subarray(offset + HEADER_SIZE, end))
      offset = end
    }
    this.#pending = offset === pending.length ? EMPTY : pending.subarray(offset)
  }

  /** @param {Error} error */
  #fail(error) {
    for (const { reject, timer } of this.#calls.splice(0)) {
      clearTimeout(timer)
      reject(error)
    }
  }
}
