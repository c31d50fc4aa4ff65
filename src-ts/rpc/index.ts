/**
 * What RPC frameworks plug into: a codec says what bytes mean, a handler what calls do; connections, ids, deadlines,
 * cancellation, middleware and shutdown are here.
 *
 * The way of a call: `client.ts` → `encoder.ts` and the codec → `link.ts` (a `Mux` or a `Pool`) → the wire →
 * `server.ts` → the codec → middleware (`endpoint.ts`) → the handler, and back.
 *
 * @module netpoll/rpc
 */
export type { RpcCallOptions } from './client-call'
export { ClientCall } from './client-call'
export type { TransportClientOptions } from './client'
export { TransportClient } from './client'
export type { Codec } from './codec'
export type { Endpoint, Middleware } from './endpoint'
export type { RpcErrorCode } from './errors'
export { RpcError } from './errors'
export type { LinkOptions } from './link'
export type { ErrorMessage, Message, Metadata, ReplyMessage, RequestMessage } from './message'
export { noMetadata } from './message'
export type { TransportHandler, TransportServerOptions } from './server'
export { TransportServer } from './server'
export { ServerCall } from './server-call'
