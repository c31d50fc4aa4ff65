import type { FramingRules } from '../framing/rules'
import type { Ids } from '../framing/message-id'
import type { BytesOption } from '../memory/message-types'
import type { ConnectionSettings } from '../native/binding'
import type { Context } from '../process/async-context'
import type { Poller } from '../poller/poller'
import type { GoAway, Hooks, IsGoAway, MessageHandler } from './hooks'

/** What connections have done, all together. */
export interface Counts {
  /** Requests handled so far. */
  requests: number
  /** Calls made so far. */
  calls: number
  /** Unread bytes of streams beyond `highWaterMark`, that are kept because a reader waits for more. */
  buffered: number
}

/** What the parts of a connection have in common with those of all others of its group. Each part takes what it needs. */
export interface GroupSettings {
  readonly poller: Poller
  /** What is counted of all groups of one server or dialer. */
  readonly counts: Counts
  readonly framing: FramingRules
  /** How replies are matched; `undefined`: in order. */
  readonly ids: Ids | undefined
  /** Whether the core counts messages in handling, so that each has to be acknowledged. */
  readonly countsMessages: boolean
  readonly bytes: BytesOption
  readonly ordered: boolean
  readonly allowHalfOpen: boolean
  readonly highWaterMark: number
  readonly maxInFlight: number
  readonly maxBufferedBytes: number
  /** Milliseconds that a peer has which was asked to leave. */
  readonly maxCloseTime: number
  /** Milliseconds; 0 for ever. */
  readonly readTimeout: number
  /** Milliseconds; 0 for ever. */
  readonly requestTimeout: number
  /** Whether connections have an `idleTimeout` from the beginning. */
  readonly watchesSilence: boolean
  readonly role: 'server' | 'client'
  /** What asks a client to leave, where a server knows how. */
  readonly goAway: GoAway | undefined
  /** Whether connections wait with their first message until they are told to begin. */
  readonly startsHeld: boolean
  readonly hooks: Hooks
  /** The frames of the code that has made the server or dialer, where leaks are looked for. */
  readonly madeAt: string | undefined
  /** `onRequest`, where it is an async function: then nothing of what it returns has to be found out. */
  readonly asyncHandler: MessageHandler | undefined
  /** Whether messages go to `onMessage` without a view, where no call waits. */
  readonly readsByCursor: boolean
  /** Whether a message that answers no call asks not to use its connection any more. */
  readonly isGoAway: IsGoAway | undefined
}

/** What connections have in common, and what is told of them. */
export interface GroupOf<Member> extends GroupSettings {
  readonly settings: ConnectionSettings
  /** Something went wrong on a connection, or in the user's code for it. */
  failed(error: unknown, connection: Member): void
  /** Something went wrong apart from any connection; `context` is that of `listen`. */
  listenerFailed(error: unknown, context: Context): void
  /** A dialed connection is established. */
  opened(connection: Member): void
  /** A connection has gone. Returns whether the user knew of it, so that its hooks run. */
  closed(connection: Member, error: Error | undefined): boolean
}
