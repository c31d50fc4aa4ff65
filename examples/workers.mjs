// A service that computes, in worker threads: `node examples/workers.mjs`. This file is the module of the workers, too.

import { isMainThread } from 'node:worker_threads'
import { createServer, Dialer, lengthField } from 'netpoll'

/**
 * Runs in the workers: counts the primes below a number.
 *
 * @type {import('netpoll').WorkerHandler}
 */
export default function countPrimes(request) {
  const limit = Number(request)
  let count = 0
  for (let number = 2; number < limit; number += 1) {
    let divisor = 2
    while (divisor * divisor <= number && number % divisor !== 0) divisor += 1
    if (divisor * divisor > number) count += 1
  }
  return String(count)
}

if (isMainThread) {
  const framing = lengthField({ size: 4 })
  const server = createServer({ framing, workers: { module: import.meta.url, threads: 2 } })
  await server.listen({ host: '127.0.0.1', port: 0 })

  const { port } = /** @type {import('netpoll').TcpAddress} */ (server.address())
  const connection = await new Dialer({ framing }).dial({ host: '127.0.0.1', port })
  const limits = ['10', '1000', '100000']
  const counts = await Promise.all(limits.map((limit) => connection.call(limit)))
  for (const [index, limit] of limits.entries()) console.log(`${counts[index]} primes below ${limit}`)

  await connection.close()
  await server.close()
}
