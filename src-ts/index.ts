/**
 * Non-blocking sockets for RPC.
 *
 * The way of a message: the native core reads sockets into chunks and cuts messages (`crates/core`), one
 * call per turn hands them to `event-loop.ts`, `connection.ts` runs the handler and keeps the order of
 * replies (`reply.ts`), `outbox.ts` frames them into shared memory, and the core sends them.
 *
 * @module netpoll
 */
export { createWriter, readerFrom, writerTo } from './adapters'
export type { Address, TcpAddress } from './address'
export type { Drop } from './admission'
export type { BackoffOptions } from './backoff'
export type { CallOptions } from './call'
export type { Logger } from './configuration'
export type { ProcessOptions } from './configure'
export { configure } from './configure'
export { Connection } from './connection-facade'
export type { DialOptions, DialSettings, DialTarget } from './dial-options'
export type { StreamDialer } from './dialed-socket'
export { DialedSocket } from './dialed-socket'
export type { DialerStats } from './dialer'
export { Dialer } from './dialer'
export { ConnectionDuplex } from './duplex'
export type { NetpollErrorCode, SystemErrorDetails } from './errors'
export { NetpollError } from './errors'
export type { LengthFieldOptions, MaxLengthOptions } from './framing'
export { delimiter, Framing, lengthField, varint } from './framing'
export type { Endian, UintSize } from './link-buffer/reader'
export { Reader } from './link-buffer/reader'
export { Writer } from './link-buffer/writer'
export type { ListenFdOptions, ListenOptions, ListenPathOptions, ListenPortOptions } from './listen'
export type { IdField, IdFunction, MessageId } from './message-id'
export type { BytesOption, MessageTypes } from './message-types'
export type { MuxOptions } from './mux'
export { Mux } from './mux'
export type { ChunkStats } from './native'
export type {
  AcceptOptions,
  ConnectionOptions,
  ConnectOptions,
  DataHandler,
  DialerOptions,
  FramedDialerOptions,
  FramedServerOptions,
  LoadBalance,
  MessageOptions,
  RequestHandler,
  ServerOptions,
  StreamDialerOptions,
  StreamOptions,
  StreamServerOptions,
  WorkerServerOptions,
} from './option-types'
export type { Payload } from './payload'
export type { GetOptions, PoolStats } from './pool'
export { Pool } from './pool'
export type { PoolLimits, PoolOptions } from './pool-options'
export type { Reply } from './reply'
export type { ServerStats } from './server'
export { createServer, Server } from './server'
export type { ThreadStats } from './stats'
export { stats } from './stats'
export type { WorkerHandler, WorkerRequest } from './workers/handler'
export type { WorkerBalance, WorkersOptions } from './workers/options'
export type { WorkerStats } from './workers/pool'
