// The plain `node:net` server in as many processes as there are cores, by `node:cluster`.

import cluster from 'node:cluster'
import { availableParallelism } from 'node:os'

if (cluster.isPrimary) {
  let listening = 0
  cluster.on('listening', (_worker, address) => {
    listening += 1
    if (listening === availableParallelism()) console.log(`listening ${address.address}:${address.port}`)
  })
  cluster.setupPrimary({ silent: true })
  for (let count = 0; count < availableParallelism(); count += 1) cluster.fork()
  process.stdin.resume().on('end', () => process.exit(0))
} else {
  await import('./node-net.mjs')
}
