// What every benchmark client shares: its arguments, its callers, and the figures that it prints.

import { parseArgs } from 'node:util'

/**
 * @typedef {object} Arguments
 * @property {{ host: string, port: number } | { path: string }} endpoint Whom to call.
 * @property {number} connections
 * @property {number} callers Loops that each wait for one reply at a time.
 * @property {number} size Bytes of a request.
 * @property {number} timeout Milliseconds that each call may take.
 * @property {number} warmup Seconds before the figures count.
 * @property {number} duration Seconds that they count for.
 */

/**
 * @param {number} connections How many there are unless the command line says otherwise.
 * @returns {Arguments}
 */
export function readArguments(connections) {
  const { values } = parseArgs({
    options: {
      tcp: { type: 'string' },
      unix: { type: 'string' },
      connections: { type: 'string', default: String(connections) },
      callers: { type: 'string', default: '100' },
      size: { type: 'string', default: '1024' },
      timeout: { type: 'string', default: '1000' },
      warmup: { type: 'string', default: '1' },
      duration: { type: 'string', default: '3' },
    },
  })
  return {
    endpoint: readEndpoint(values.tcp, values.unix),
    connections: Number(values.connections),
    callers: Number(values.callers),
    size: Number(values.size),
    timeout: Number(values.timeout),
    warmup: Number(values.warmup),
    duration: Number(values.duration),
  }
}

/**
 * @param {string | undefined} tcp
 * @param {string | undefined} unix
 */
function readEndpoint(tcp, unix) {
  if (unix !== undefined) return { path: unix }
  const match = /^\[?(.+?)\]?:(\d+)$/.exec(tcp ?? '')
  if (match?.[1] === undefined) throw new Error('expected --tcp HOST:PORT or --unix PATH')
  return { host: match[1], port: Number(match[2]) }
}

/**
 * Lets callers call for the given time, and prints one line of JSON: how many replies came in how many seconds, and what
 * this process spent on each.
 *
 * @param {Arguments} settings
 * @param {(request: Buffer) => Promise<Uint8Array>} call
 */
export async function runCallers({ callers, size, warmup, duration }, call) {
  let replies = 0
  let isOver = false

  /** @param {number} number */
  async function caller(number) {
    const request = Buffer.alloc(size, number)
    request.writeUInt32BE(number)
    while (!isOver) {
      const reply = await call(request)
      if (reply.length !== size || reply[3] !== request[3] || reply[size - 1] !== request[size - 1]) {
        throw new Error(`caller ${number} got somebody else's reply`)
      }
      replies += 1
    }
  }

  const calling = Array.from({ length: callers }, (_, number) => caller(number))
  // A caller that fails ends the process.
  const failed = Promise.race(calling)
  await Promise.race([sleep(warmup), failed])
  const before = { replies, time: performance.now(), cpu: process.cpuUsage() }
  await Promise.race([sleep(duration), failed])
  const seconds = (performance.now() - before.time) / 1000
  const { user, system } = process.cpuUsage(before.cpu)
  const counted = replies - before.replies
  isOver = true
  await Promise.all(calling)
  console.log(
    JSON.stringify({
      requests: counted,
      seconds,
      requestsPerSecond: counted / seconds,
      cpuMicrosecondsPerRequest: (user + system) / counted,
      userMicrosecondsPerRequest: user / counted,
      rssBytes: process.memoryUsage().rss,
    }),
  )
}

/** @param {number} seconds */
function sleep(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000))
}
