import type { ConnectionCore } from './core'
import type { Connection } from './connection'
import type { Context } from '../process/async-context'
import { channels, publish } from '../process/diagnostics'
import type { EventLoop } from '../poller/poller'
import type { Framing } from '../framing/framing'
import type { GoAway, IsGoAway } from './go-away'
import { report } from '../process/report'
import type { Ids } from '../framing/message-id'
import type { BytesOption } from '../memory/message-types'
import { type ConnectionSettings, nativeBinding } from '../native/binding'
import type { CheckedOptions, Hooks, RequestHandler } from './options'
import { isAsyncFunction } from '../checks/thenables'

/** What connections have done, all together. */
export interface Counts {
  /** Requests handled so far. */
  requests: number
  /** Calls made so far. */
  calls: number
  /** Unread bytes of streams beyond `highWaterMark`, that are kept because somebody waits for more. */
  buffered: number
}

/** What all connections of one server or dialer in one event loop have in common. */
export interface Profile {
  readonly loop: EventLoop
  /** What is counted of all profiles of one server or dialer. */
  readonly counts: Counts
  readonly settings: ConnectionSettings
  readonly framing: Framing
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
  readonly role: 'server' | 'client'
  /** What asks a client to leave, where a server knows how. */
  readonly goAway: GoAway | undefined
  /** Whether connections wait with their first message until they are told to begin. */
  readonly startsHeld: boolean
  readonly hooks: Hooks
  /** `onRequest`, where it is an async function: then nothing of what it returns has to be found out. */
  readonly asyncHandler: RequestHandler | undefined
  /** Whether a message that answers no call asks not to use its connection any more. */
  readonly isGoAway: IsGoAway | undefined
  /** Something went wrong on a connection, or in the user's code for it. */
  failed(error: unknown, connection: ConnectionCore): void
  /** Something went wrong apart from any connection; `context` is that of `listen`. */
  listenerFailed(error: unknown, context: Context): void
  /** A dialed connection is established. */
  opened(connection: ConnectionCore): void
  /** A connection has gone. Returns whether the user knew of it, so that its hooks run. */
  closed(connection: ConnectionCore, error: Error | undefined): boolean
}

/** Who handles messages, where no handler of this thread does. */
export type NativeWorkers = ConstructorParameters<typeof ConnectionSettings>[1]

/** Who is told first of the connections of a profile. */
export type Owner = Pick<Profile, 'role' | 'goAway' | 'opened' | 'closed'>

/** Joins checked options and their owner, for each of the loops: what is bounded or counted is so for all together. */
export function createProfiles(
  loops: readonly EventLoop[],
  checked: CheckedOptions,
  owner: Owner,
  workers?: NativeWorkers,
): readonly Profile[] {
  const { settings, hooks, ...rest } = checked
  const { ConnectionSettings } = nativeBinding()
  const failed = (error: unknown, connection: Connection | undefined, context: Context): void => {
    if (channels.error.hasSubscribers) context.run(publish, channels.error, { error, connection })
    report(hooks.onError, error, connection, context)
  }
  const common = {
    ...rest,
    ...owner,
    hooks,
    asyncHandler: isAsyncFunction(hooks.onRequest) ? (hooks.onRequest as RequestHandler) : undefined,
    settings: new ConnectionSettings(settings, workers),
    startsHeld: settings.startPaused,
    maxCloseTime: settings.maxCloseTime,
    counts: { requests: 0, calls: 0, buffered: 0 },
    failed: (error: unknown, connection: ConnectionCore) =>
      failed(error, connection.facade, connection.context),
    listenerFailed: (error: unknown, context: Context) => failed(error, undefined, context),
  }
  return loops.map((loop) => ({ ...common, loop }))
}

/** The same in other loops, as many. */
export function moveProfiles(profiles: readonly Profile[], loops: readonly EventLoop[]): readonly Profile[] {
  return profiles.map((profile, index) => ({ ...profile, loop: loops[index] ?? profile.loop }))
}
