// Callers that call one after the other, and what they got done.

import { setTimeout } from 'node:timers/promises'

import { CALLERS, Request } from './service.mjs'

const WARM_UP = 700
/** What is sent and comes back. */
export const MESSAGE = 'x'.repeat(1024)

/**
 * Runs the callers, and prints `result {…}`: calls per second, and microseconds of this process for each.
 *
 * @param {(caller: number) => import('./service.mjs').EchoClient} clientOf
 * @param {number} seconds
 */
export function measure(clientOf, seconds) {
  return measureCalls((caller) => {
    const client = clientOf(caller)
    return async () => {
      const { msg } = await client.Echo(new Request({ action: 'echo', msg: MESSAGE }))
      return msg.length
    }
  }, seconds)
}

/**
 * The same for callers of any kind, whose calls give the length of the reply: that of {@link MESSAGE}.
 *
 * @param {(caller: number) => () => Promise<number>} callOf
 * @param {number} seconds
 */
export async function measureCalls(callOf, seconds) {
  let calls = 0
  let isOver = false
  /** @param {number} caller */
  const run = async (caller) => {
    const call = callOf(caller)
    while (!isOver) {
      if ((await call()) !== MESSAGE.length) throw new Error('another reply than was expected')
      calls += 1
    }
  }
  const callers = Array.from({ length: CALLERS }, (_, caller) => run(caller))
  await Promise.race([setTimeout(WARM_UP), Promise.all(callers)])
  const before = { calls, time: performance.now(), cpu: process.cpuUsage() }
  await Promise.race([setTimeout(seconds * 1000), Promise.all(callers)])
  const elapsed = performance.now() - before.time
  const { user, system } = process.cpuUsage(before.cpu)
  const done = calls - before.calls
  isOver = true
  console.log(
    `result ${JSON.stringify({ rate: (done / elapsed) * 1000, clientMicroseconds: (user + system) / done })}`,
  )
  process.exit()
}
