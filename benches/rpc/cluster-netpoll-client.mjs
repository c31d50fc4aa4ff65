// Calls ten servers by this package: a cluster of messages with ids, or a Thrift client with a resolver.

import { loadCluster, loadThrift, netpoll } from '../servers/package.mjs'
import { readArguments } from './cluster-service.mjs'
import { measure, measureCalls, MESSAGE } from './load.mjs'
import { EchoServer } from './service.mjs'

const { ports, seconds, api } = readArguments()
const { Cluster, fixed, roundRobin } = await loadCluster()
const resolver = fixed(ports.map((port) => ({ address: { host: '127.0.0.1', port } })))
const options = { balancer: roundRobin(), slowStart: 0 }

if (api === 'thrift') {
  const { createThriftClient } = await loadThrift()
  const client = createThriftClient(EchoServer, resolver, { ...options, transport: 'ttheader' })
  await measure(() => client.service, seconds)
} else {
  const framing = netpoll.lengthField({ size: 4 })
  const cluster = new Cluster(resolver, { ...options, framing, id: { offset: 0, size: 4 } })
  const message = Buffer.from(MESSAGE)
  let last = 0
  const call = async () => {
    last = (last + 1) % 2 ** 32
    const request = Buffer.allocUnsafe(4 + message.length)
    request.writeUInt32BE(last)
    message.copy(request, 4)
    return (await cluster.call(request)).length - 4
  }
  await measureCalls(() => call, seconds)
}
