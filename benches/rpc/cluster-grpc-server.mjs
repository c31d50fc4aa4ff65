// Ten servers on grpc-js.

import { obeyStandardInput } from '../servers/control.mjs'
import { grpc, service } from './cluster-grpc.mjs'
import { announceAll, SERVERS } from './cluster-service.mjs'

/** @typedef {(error: null, reply: Buffer) => void} Reply */

const ports = []
for (let count = 0; count < SERVERS; count += 1) {
  const server = new grpc.Server()
  const Echo = (/** @type {{ request: Buffer }} */ { request }, /** @type {Reply} */ reply) =>
    reply(null, request)
  server.addService(service, { Echo })
  const credentials = grpc.ServerCredentials.createInsecure()
  ports.push(
    await new Promise((resolve, reject) => {
      server.bindAsync(
        '127.0.0.1:0',
        credentials,
        (/** @type {Error | null} */ error, /** @type {number} */ port) =>
          error === null ? resolve(port) : reject(error),
      )
    }),
  )
}
announceAll(ports)
obeyStandardInput()
