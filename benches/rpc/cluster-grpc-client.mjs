// Calls ten servers by grpc-js with round_robin.

import { grpc, service } from './cluster-grpc.mjs'
import { readArguments } from './cluster-service.mjs'
import { measureCalls, MESSAGE } from './load.mjs'

const { ports, seconds } = readArguments()
const Client = grpc.makeGenericClientConstructor(service, 'Echo')
const addresses = ports.map((port) => `127.0.0.1:${port}`).join()
const client = new Client(`ipv4:${addresses}`, grpc.credentials.createInsecure(), {
  'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
})
const message = Buffer.from(MESSAGE)
const call = () =>
  new Promise((resolve, reject) => {
    client.Echo(message, (/** @type {Error | null} */ error, /** @type {Buffer} */ reply) =>
      error === null ? resolve(reply.length) : reject(error),
    )
  })
await measureCalls(() => call, seconds)
