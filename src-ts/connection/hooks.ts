/** The user's functions, as the parts of a connection call them: they know what they are called with by no more than this. */
import { invalidType, invalidValue } from '../errors'
import type { FramingRules } from '../framing/rules'
import type { MessageReader } from '../link-buffer/message-reader'
import type { MessageWriter } from '../link-buffer/message-writer'
import type { Payload } from '../memory/payload'
import type { Context } from '../process/async-context'

/** What users have of a connection. The parts hand it to the user's functions, and know nothing else of it. */
export interface Facade {
  data: unknown
}

/** Handles one message; what it returns is the reply. */
export type MessageHandler = (message: Buffer, facade: Facade) => unknown

/** Handles one message by cursor; what it has written when it returns is the reply. */
export type CursorHandler = (reader: MessageReader, writer: MessageWriter, facade: Facade) => void

/** Reads from the connection's reader. */
export type StreamHandler = (facade: Facade) => unknown

/** A connection, as far as its client is told to leave. */
export interface Served {
  readonly facade: Facade
  readonly context: Context
}

/** What tells the client of one connection to leave; `undefined` where nothing can. */
export type GoAway = (connection: Served) => Payload | undefined

/** Tells whether a message says that its connection is to be used no more. */
export type IsGoAway = (message: Buffer) => boolean

/** Those of a server or dialer, checked to be functions. */
export interface Hooks {
  readonly onPrepare: ((facade: Facade) => unknown) | undefined
  readonly onConnect: ((facade: Facade) => unknown) | undefined
  readonly onRequest: MessageHandler | undefined
  readonly onMessage: CursorHandler | undefined
  readonly onData: StreamHandler | undefined
  readonly onDrain: ((facade: Facade) => void) | undefined
  readonly onDisconnect: ((facade: Facade, error: Error | undefined) => void) | undefined
  readonly onError: ((error: unknown, facade: Facade | undefined) => void) | undefined
}

/** Checks a handler that is given to a connection. */
export function checkHandler(name: 'onRequest' | 'onData', handler: unknown, framing: FramingRules): void {
  if (handler !== undefined && typeof handler !== 'function') {
    throw invalidType(name, 'of type function', handler)
  }
  checkPlace(name, handler, framing, name)
}

/** Checks that a handler is for what a connection has: messages or bytes. */
export function checkPlace(
  handles: 'onRequest' | 'onMessage' | 'onData',
  handler: unknown,
  framing: FramingRules,
  argument: string,
): void {
  const { isStream } = framing
  if (handler === undefined || (handles === 'onData') === isStream) return
  const problem = isStream
    ? 'needs a framing; a stream has onData'
    : 'is for streams; a framing has onRequest'
  throw invalidValue(argument, problem, 'a function')
}
