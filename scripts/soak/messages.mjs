// What is sent, and what is asked for by it: an id, the action, the milliseconds that it takes, and bytes that only this
// request has. A reply is the request as it came.

import { lengthField } from '../../dist/index.mjs'

export const framing = lengthField({ size: 4, maxLength: 4 * 2 ** 20 })
/** Where the id of a message lies. */
export const id = { offset: 0, size: 4 }

/** What a request asks for. */
export const action = {
  /** The same bytes, at once. */
  echo: 0,
  /** The same bytes, in a while. */
  late: 1,
  /** The end of the worker that handles it. */
  exit: 2,
}

/** Bytes before those that only this request has. */
export const header = 8
/** What stands for the reply of a worker that is gone. */
export const lostReply = Buffer.from('lost')

let next = 0

/** A request of so many bytes behind its header, with an id that no other of this process has. */
export function requestOf(random, size, what = action.echo, milliseconds = 0) {
  next = (next + 1) >>> 0
  const request = Buffer.allocUnsafe(header + size)
  request.writeUInt32BE(next, 0)
  request[4] = what
  request[5] = 0
  request.writeUInt16BE(milliseconds, 6)
  const start = random.below(256)
  for (let at = header; at < request.length; at += 1) request[at] = start + at * (1 + (start & 6))
  return request
}

/** A message as it lies on the wire. */
export function framed(message) {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(message.length)
  return Buffer.concat([length, message])
}
