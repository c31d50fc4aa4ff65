import type { Context } from '../../process/async-context'
import type { CommandTarget } from '../../poller/command-queue'
import type { Closing } from '../closing'
import type { GroupSettings } from '../group-settings'
import type { Facade } from '../hooks'
import type { ReadPause } from '../read-pause'
import type { Retention } from '../retention'
import type { SendQueue } from '../send-queue'
import type { Socket } from '../socket'

/** Of a connection, what its stream needs beside what it sends by. */
export interface DuplexConnection extends CommandTarget {
  readonly facade: Facade
  readonly context: Context
  readonly socket: Socket
  readonly readPause: ReadPause
  readonly retention: Pick<Retention, 'isExpectant'>
  readonly closing: Pick<Closing, 'resetAndDestroy'>
  ref(): void
  unref(): void
  /** Has the stream told, with `number`, when nothing waits to be sent. */
  tellFlushed(number: number): void
  end(): void
  close(): Promise<void>
  destroy(error?: unknown): void
}

/** The connection of a duplex, and what it sends by. */
export interface StreamTransport {
  readonly core: DuplexConnection
  readonly sendQueue: SendQueue
  readonly group: Pick<GroupSettings, 'allowHalfOpen' | 'poller' | 'role'>
}

/** For a duplex that is there before its connection. */
export interface LateTransport<Stream> {
  /** Gives it its connection. What that tells waits until it is announced. */
  readonly join: (duplex: Stream, transport: StreamTransport) => void
  /** Says that it is connected, by `tell`, before all else that it is told. */
  readonly announce: (duplex: Stream, tell: () => void) => void
  /** Makes it as new, without a connection. */
  readonly restart: (duplex: Stream) => void
}

/** Of the state that every stream of Node.js keeps, what has no other name once the stream is made. */
export interface WithStates {
  readonly _readableState: { autoDestroy: boolean }
}
