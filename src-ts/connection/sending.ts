import type { Written } from '../link-buffer/pieces'
import { Writer } from '../link-buffer/writer'
import { type Payload, takeApart } from '../memory/payload'
import { NetpollError, withoutStack } from '../errors'
import type { Caller, Entry } from '../process/call-site'
import type { Closing } from './closing'
import type { Life } from './life'
import { type SendQueue, refusedSend } from './send-queue'
import type { Socket } from './socket'

/** A connection, as far as it sends what is no reply. */
export interface SendingConnection {
  readonly life: Life
  readonly closing: Pick<Closing, 'closedError'>
  readonly socket: Pick<Socket, 'acceptsOutput'>
  /** Made when it is first needed. */
  readonly sendQueue: SendQueue
  end(): void
}

/**
 * Those who wait for what is refused are shown: see {@link refusedSend}.
 *
 * @throws NetpollError `ERR_CONN_CLOSED` where nothing can be sent any more
 */
export function checkOutput({ life, socket, closing }: SendingConnection): void {
  if (life.takesOutput) return
  if (life.isConnecting) {
    throw withoutStack(
      () => new NetpollError('ERR_CONCURRENT_ACCESS', 'Nothing can be sent before startTls is done'),
    )
  }
  const answers = life.isAnswering || life.isRefused
  if (!answers || !socket.acceptsOutput) throw withoutStack(() => closing.closedError())
}

/** Sends a message; resolves when more may be sent. `entry` is where users call. */
export function send(connection: SendingConnection, message: Payload, entry: Entry): Promise<void> {
  try {
    return queue(connection, message, entry)
  } catch (error) {
    return refusedSend(error, entry)
  }
}

/** As {@link send}. Throws what that is refused with. */
export function queue(connection: SendingConnection, message: Payload, caller: Caller): Promise<void> {
  const pieces = takeApart(message)
  checkOutput(connection)
  connection.sendQueue.send(pieces)
  return connection.sendQueue.drained(caller)
}

/** Sends a message, then ends our direction. One that is refused ends nothing. `entry` is where users call. */
export function sendLast(connection: SendingConnection, message: Payload, entry: Entry): Promise<void> {
  try {
    checkOutput(connection)
    connection.sendQueue.send(message)
  } catch (error) {
    return refusedSend(error, entry)
  }
  connection.end()
  return connection.sendQueue.drained(entry)
}

/** Sends what a writer has collected. */
export function flush(connection: SendingConnection, written: Written): Promise<void> {
  try {
    checkOutput(connection)
    connection.sendQueue.flush(written)
  } catch (error) {
    return refusedSend(error, flushEntry)
  }
  return connection.sendQueue.drained(flushEntry)
}

/** Where users flush. */
const flushEntry = Writer.prototype.flush
