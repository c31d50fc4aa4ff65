import type { ExecutionContext } from 'ava'

import {
  type Codec,
  type ServerCall,
  TransportClient,
  type TransportClientOptions,
  type TransportHandler,
  TransportServer,
  type TransportServerOptions,
} from '../../dist/rpc/index.mjs'
import { JsonCodec, type Json } from './json-codec.mjs'

export type JsonHandler = TransportHandler<Json>['onRequest'] | TransportHandler<Json>

/** A server on a port of its own, gone with the test. */
export async function serveCalls(
  t: ExecutionContext,
  handler: JsonHandler,
  options: TransportServerOptions<Json> = {},
  codec: Codec<Json> = new JsonCodec(),
): Promise<{ readonly server: TransportServer<Json>; readonly port: number }> {
  const server = new TransportServer(
    codec,
    typeof handler === 'function' ? { onRequest: handler } : handler,
    options,
  )
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  return { server, port: portOfCalls(server) }
}

export function portOfCalls(server: Pick<TransportServer, 'address'>): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address.port
}

/** A client, gone with the test. */
export function clientOf(
  t: ExecutionContext,
  port: number,
  options: TransportClientOptions<Json> = {},
  codec: Codec<Json> = new JsonCodec(),
): TransportClient<Json> {
  const client = new TransportClient({ host: '127.0.0.1', port }, codec, options)
  t.teardown(() => client.close({ timeout: 0 }))
  return client
}

export type JsonCall = ServerCall<Json>
