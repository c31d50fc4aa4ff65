// The handler of every server in JavaScript: what it replies, and what it does before.

import { setImmediate, setTimeout } from 'node:timers/promises'

/**
 * What a reply is: an echo of its request, or a message whose first word is inverted, made in memory of its
 * own as the result of serializing is. `netpoll-bench client --reply` asks for the same.
 *
 * @typedef {'echo' | 'inverted'} Reply
 */

/**
 * @typedef {object} Task
 * @property {Reply} reply
 * @property {number | undefined} hold Milliseconds to hold each request before it is answered; 0 is until
 *   the next turn of the event loop.
 * @property {number} work Rounds of computing for each request.
 */

/**
 * Where a reply is made: what has `Buffer`s for it.
 *
 * @typedef {object} Memory
 * @property {(length: number) => Buffer} allocate
 */

/** @type {Memory} */
const heap = { allocate: (length) => Buffer.allocUnsafe(length) }

/**
 * The second argument of the handler is where its replies are made: a connection of this package, or `Buffer`'s pool.
 *
 * @param {Task} task
 * @returns {(request: Buffer, memory?: Memory) => Promise<Buffer>}
 */
export function chooseHandler({ reply, hold, work }) {
  const answer = reply === 'echo' ? echo : inverted
  if (work > 0) {
    return async (request, memory = heap) => {
      compute(work)
      return answer(request, memory)
    }
  }
  if (hold === undefined) return async (request, memory = heap) => answer(request, memory)
  const wait = hold === 0 ? () => setImmediate() : () => setTimeout(hold)
  return async (request, memory = heap) => {
    await wait()
    return answer(request, memory)
  }
}

/** @param {Buffer} request */
const echo = (request) => request

/**
 * The inverted reply without a copy: a new word, and the rest of the request where it lies.
 *
 * @param {Buffer} request
 */
export async function invertByReference(request) {
  const word = Buffer.allocUnsafe(4)
  word.writeInt32BE(~request.readInt32BE(0), 0)
  return [word, request.subarray(4)]
}

/**
 * @param {Buffer} request
 * @param {Memory} memory
 */
function inverted(request, memory) {
  const reply = memory.allocate(request.length)
  reply.set(request)
  reply.writeInt32BE(~request.readInt32BE(0), 0)
  return reply
}

/**
 * Keeps the processor busy. Other languages do the same.
 *
 * @param {number} rounds
 */
function compute(rounds) {
  let state = 1
  for (let round = 0; round < rounds; round += 1) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
  }
  if (state === 0) throw new Error('xorshift never comes to 0')
}
