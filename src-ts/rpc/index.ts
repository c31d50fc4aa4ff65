/**
 * The transport layer of RPC frameworks. A codec says what bytes mean, and a handler carries out the calls. This module has
 * connections, ids, deadlines, cancellation, middleware and shutdown.
 *
 * The way of a call, and back again:
 *
 * - client: `client.ts` → `encoder.ts` and the codec → `link.ts` (a `Mux` or a `Pool`) → the wire
 * - server: the wire → `server.ts` → the codec → middleware (`endpoint.ts`) → the handler
 *
 * Compressed messages are inflated between codec and call: `compressed-calls.ts` of a server, `inflater.ts`,
 * `inflation-queue.ts`.
 *
 * @module netpoll/rpc
 */
export type { RpcCallOptions } from './client-call'
export { ClientCall } from './client-call'
export type { ClusterClientOptions, TransportClientOptions, TransportClientStats } from './client'
export { TransportClient } from './client'
export type { Codec } from './codec'
export type { Endpoint, Middleware } from './endpoint'
export type { RpcErrorCode } from './errors'
export { RpcError } from './errors'
export type { InflationStats } from './inflater'
export type { ClusterLinkOptions, LinkOptions, MuxLinkOptions, PoolLinkOptions } from './link'
export type {
  CancelMessage,
  CompressedMessage,
  ErrorMessage,
  Message,
  Metadata,
  ReplyMessage,
  RequestMessage,
} from './message'
export { noMetadata } from './message'
export type { CancellationStats } from './server-call'
export type { TransportHandler, TransportServerOptions, TransportServerStats } from './server'
export { TransportServer } from './server'
export { ServerCall } from './server-call'
