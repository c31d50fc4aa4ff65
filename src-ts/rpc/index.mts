/** ES module entry of `netpoll/rpc`. It re-exports the CommonJS build, so that both kinds of users share one. */
export type * from './index.js'
export { ClientCall, noMetadata, RpcError, ServerCall, TransportClient, TransportServer } from './index.js'
