/**
 * Apache Thrift over this package: servers and clients for the code that its compiler generates for Node.js.
 *
 * The way of a call, and back again:
 *
 * - client: generated client → `client.ts` → `output.ts` (`binary.ts`, `compact.ts`) → a codec (`framed.ts`,
 *   `theader.ts`, `ttheader.ts`) → `netpoll/rpc` → the wire
 * - server: the wire → a codec → `input.ts` → `service.ts` → generated processor → `invocation.ts` → the handler
 *
 * @module netpoll/thrift
 */
export type { ThriftClientOptions, ThriftClusterOptions, ThriftFormatOptions } from './client'
export { createThriftClient, ThriftClient } from './client'
export type { ThriftService } from './generated'
export type { ThriftInput } from './input'
export type { ThriftLimits } from './limits'
export type { ThriftServer, ThriftServerOptions } from './server'
export { createThriftServer } from './server'
export type { HandlerSource, ThriftCall } from './service'
