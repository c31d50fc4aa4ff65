/** ES module entry. It re-exports the CommonJS build, so that both kinds of users share one implementation. */
export type * from './index.js'
export {
  Connection,
  createServer,
  Dialer,
  delimiter,
  Framing,
  lengthField,
  NetpollError,
  Server,
  varint,
} from './index.js'
