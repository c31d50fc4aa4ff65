/** ES module entry of `netpoll/thrift`. It re-exports the CommonJS build, so that both kinds of users share one. */
export type * from './index.js'
export { createThriftClient, createThriftServer, ThriftClient } from './index.js'
