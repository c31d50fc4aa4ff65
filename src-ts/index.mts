/** ES module entry. It re-exports the CommonJS build, so that both kinds of users share one implementation. */
export type * from './index.js'
export {
  configure,
  Connection,
  ConnectionDuplex,
  createServer,
  createWriter,
  DialedSocket,
  Dialer,
  delimiter,
  Framing,
  lengthField,
  Mux,
  NetpollError,
  Pool,
  Reader,
  readerFrom,
  Server,
  stats,
  varint,
  Writer,
  writerTo,
} from './index.js'
