// The ordinary handler of every server in JavaScript: an async function that makes its reply in a new `Buffer`.

import { setImmediate, setTimeout } from 'node:timers/promises'

/**
 * What is done with a request before it is answered.
 *
 * @typedef {object} Task
 * @property {number | undefined} hold Milliseconds to hold each request; 0 is until the next turn of the event loop.
 * @property {number} work Rounds of computing for each request.
 */

/** @param {Task} task @returns {(request: Buffer) => Promise<Buffer>} */
export function ordinaryHandler({ hold, work }) {
  if (work > 0) {
    return async (request) => {
      compute(work)
      return respondInBuffer(request)
    }
  }
  if (hold === undefined) return async (request) => respondInBuffer(request)
  const wait = hold === 0 ? () => setImmediate() : () => setTimeout(hold)
  return async (request) => {
    await wait()
    return respondInBuffer(request)
  }
}

/** @param {Buffer} request */
export const respondInBuffer = (request) => respond(request, Buffer.allocUnsafe(request.length))

/** Makes the reply to a request in memory of its length. @param {Buffer} request @param {Buffer} reply */
export function respond(request, reply) {
  reply.set(request)
  reply.writeInt32BE(~request.readInt32BE(0), 0)
  return reply
}

/** The same reply, without a view. @param {import('netpoll').MessageReader} reader @param {import('netpoll').MessageWriter} writer */
export function respondByCursor(reader, writer) {
  writer.writeUint(~reader.readUint(4) >>> 0, 4)
  writer.writeFrom(reader)
}

/** Keeps the processor busy. Other languages do the same. @param {number} rounds */
function compute(rounds) {
  let state = 1
  for (let round = 0; round < rounds; round += 1) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
  }
  if (state === 0) throw new Error('xorshift never comes to 0')
}
