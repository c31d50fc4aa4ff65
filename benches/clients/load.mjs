// What every benchmark client in JavaScript shares: its arguments, its callers, and the report that it prints.

import { once } from 'node:events'
import { parseArgs } from 'node:util'

import { readEndpoint } from '../servers/control.mjs'
import { Latencies } from './latencies.mjs'

/**
 * @typedef {object} Arguments
 * @property {import('../servers/control.mjs').Endpoint} endpoint Whom to call.
 * @property {number} connections
 * @property {'pool' | 'mux'} sharing Whether a call has a connection alone, or all share a few.
 * @property {boolean} corked
 * @property {number} callers Loops that each wait for one reply at a time.
 * @property {number} size Bytes of a request.
 * @property {number} timeout Milliseconds that each call may take.
 * @property {number} warmUp Seconds before the figures count.
 * @property {number} duration Seconds that they count for.
 */

/** @returns {Arguments} */
export function readArguments() {
  const { values } = parseArgs({
    options: {
      tcp: { type: 'string' },
      unix: { type: 'string' },
      connections: { type: 'string', default: '100' },
      callers: { type: 'string', default: '100' },
      sharing: { type: 'string', default: 'pool' },
      corked: { type: 'boolean', default: false },
      size: { type: 'string', default: '1024' },
      timeout: { type: 'string', default: '1000' },
      'warm-up': { type: 'string', default: '1' },
      duration: { type: 'string', default: '3' },
    },
  })
  return {
    endpoint: readEndpoint(values.tcp, values.unix),
    connections: Number(values.connections),
    callers: Number(values.callers),
    sharing: values.sharing === 'mux' ? 'mux' : 'pool',
    corked: values.corked,
    size: Number(values.size),
    timeout: Number(values.timeout),
    warmUp: Number(values['warm-up']),
    duration: Number(values.duration),
  }
}

/**
 * Lets callers call for the given time. Prints `measuring` when the warm-up is over, and a report as one line of JSON
 * when the time is; returns at the end of the standard input.
 *
 * @param {Arguments} settings
 * @param {(request: Buffer) => Promise<Uint8Array>} call A server's reply is the request with its first word inverted.
 */
export async function runCallers({ callers, size, warmUp, duration }, call) {
  const latencies = new Latencies()
  let state = /** @type {'warm-up' | 'measuring' | 'over'} */ ('warm-up')

  /** @param {number} number */
  async function caller(number) {
    const request = Buffer.alloc(size, number)
    request.writeUInt32BE(number, 4)
    for (let sequence = 0; state !== 'over'; sequence = (sequence + 1) | 0) {
      request.writeInt32BE(sequence)
      const begin = performance.now()
      const reply = await call(request)
      if (state === 'measuring') latencies.add(performance.now() - begin)
      if (!isReply(reply, request)) throw new Error(`caller ${number} got somebody else's reply`)
    }
  }

  const calling = Array.from({ length: callers }, (_, number) => caller(number))
  // A caller that fails ends the process.
  const failed = Promise.race(calling)
  await Promise.race([sleep(warmUp), failed])
  console.log('measuring')
  state = 'measuring'
  const began = performance.now()
  await Promise.race([sleep(duration), failed])
  const seconds = (performance.now() - began) / 1000
  const report = { seconds, requests: latencies.count, latencyMicroseconds: latencies.summary() }
  console.log(JSON.stringify(report))
  state = 'over'
  await Promise.all(calling)
  // Whoever measures this process may still look at it.
  await once(process.stdin.resume(), 'end')
}

/** @param {Uint8Array} reply @param {Buffer} request */
function isReply(reply, request) {
  const last = request.length - 1
  if (reply.length !== request.length || reply[last] !== request[last]) return false
  for (let index = 0; index < 8; index += 1) {
    const sent = request[index] ?? 0
    if (reply[index] !== (index < 4 ? 255 - sent : sent)) return false
  }
  return true
}

/** @param {number} seconds */
function sleep(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000))
}
