/**
 * Non-blocking sockets for RPC.
 *
 * The way of a message: the native core reads sockets into chunks and cuts messages (`crates/core`). One call per turn
 * hands them to `poller/poller.ts`. `connection/messages/dispatcher.ts` runs the handler, and
 * `reply-queue.ts` beside it keeps the order of replies. `poller/command-queue.ts` frames replies into shared memory,
 * and the core sends them.
 *
 * @module netpoll
 */
export { createWriter, readerFrom, writerTo } from './link-buffer/adapters'
export type { Address, TcpAddress } from './native/address'
export type { Drop } from './server/options'
export type { BackoffOptions } from './client/backoff'
export type { CallOptions } from './connection/calls/pending-call'
export type { Logger } from './process/settings'
export type { ProcessOptions } from './process/configure'
export { configure } from './process/configure'
export { Connection, ConnectionDuplex } from './connection/connection'
export type { DialOptions, DialSettings, DialTarget } from './client/dial-options'
export type { StreamDialer } from './client/dialed-socket'
export { DialedSocket } from './client/dialed-socket'
export type { DialerStats } from './client/dialer'
export { Dialer } from './client/dialer'
export type { NetpollErrorCode, SystemErrorDetails } from './errors'
export { NetpollError } from './errors'
export type { LengthFieldOptions, MaxLengthOptions } from './framing/options'
export { delimiter, Framing, lengthField, varint } from './framing/framing'
export { MessageReader } from './link-buffer/message-reader'
export { LaterReply, MessageWriter } from './link-buffer/message-writer'
export type { Endian, UintSize } from './link-buffer/reader'
export { Reader } from './link-buffer/reader'
export { Writer } from './link-buffer/writer'
export type { ListenFdOptions, ListenOptions, ListenPathOptions, ListenPortOptions } from './server/listener'
export type { IdField, IdFunction, MessageId } from './framing/message-id'
export type { BytesOption, MessageTypes } from './memory/message-types'
export type { MuxOptions } from './client/mux-options'
export type { ReadyChange } from './client/readiness'
export { Mux } from './client/mux'
export type { ChunkStats } from './native/binding'
export type {
  ConnectionOptions,
  CursorHandler,
  DataHandler,
  MessageOptions,
  RequestHandler,
  StreamOptions,
} from './connection/option-types'
export type {
  ConnectOptions,
  DialerOptions,
  FramedDialerOptions,
  StreamDialerOptions,
} from './client/options'
export type {
  AcceptOptions,
  FramedServerOptions,
  ServerOptions,
  StreamServerOptions,
  WorkerServerOptions,
} from './server/options'
export type { LoadBalance } from './process/settings'
export type { Payload } from './memory/payload'
export type { PoolStats } from './client/pool-stats'
export type { CloseOptions } from './time/close-options'
export type { GetOptions } from './client/get-options'
export { Pool } from './client/pool'
export type { PoolLimits, PoolOptions } from './client/pool-options'
export type { Reply } from './connection/messages/reply-queue'
export type { HandshakeStats, ServerStats } from './server/server-stats'
export { createServer, Server } from './server/server'
export type { ThreadStats } from './stats/stats'
export { stats } from './stats/stats'
export type { TlsMembers } from './connection/stream/tls-members'
export type { ConnectionTls } from './tls/connection-tls'
export type { ClientStartTlsOptions, ServerStartTlsOptions, TlsSwitch } from './tls/start-tls-options'
export type {
  ClientTlsOptions,
  Pem,
  ServerTlsOptions,
  TlsCredentials,
  TlsOptions,
  TlsVersion,
} from './tls/options'
export type { WorkerCursorHandler, WorkerHandler, WorkerRequest } from './workers/handler'
export type { WorkerLoadBalance, WorkersOptions } from './workers/options'
export type { WorkerStats } from './workers/pool'
