import type { ConnectionCore, ConnectionGroup } from './core'
import type { Facade } from './hooks'
import type { Context } from '../process/async-context'
import { originOf } from '../leaks/origin'
import { leaks } from '../leaks/watch-list'
import { channels, publish } from '../process/diagnostics'
import type { Poller } from '../poller/poller'
import { report } from '../process/report'
import { type ConnectionSettings, nativeBinding, type SecureContext } from '../native/binding'
import type { CheckedOptions } from './options'
import { isAsyncFunction } from '../checks/thenables'

export type { ConnectionGroup } from './core'

/** What handles messages, where no handler of this thread does. */
export type NativeWorkers = ConstructorParameters<typeof ConnectionSettings>[1]

/** What the core has beside settings: workers that handle messages, and TLS. */
interface Handlers {
  readonly workers?: NativeWorkers | undefined
  readonly context?: SecureContext | undefined
}

/** The owner that is told first of the connections of a group. */
export type GroupOwner = Pick<ConnectionGroup, 'role' | 'goAway' | 'opened' | 'closed'>

/** What counts against `maxBufferedBytes` of a server or dialer. */
export type BufferBound = Pick<ConnectionSettings, 'replaceClaim'>

/** The bound that groups have in common, as long as there are any. */
export function boundOf(groups: () => readonly ConnectionGroup[]): BufferBound {
  return { replaceClaim: (before, now) => groups()[0]?.settings.replaceClaim(before, now) ?? true }
}

/** Joins checked options and their owner, for each of the pollers: what is bounded or counted is so for all together. */
export function createGroups(
  pollers: readonly Poller[],
  checked: CheckedOptions,
  owner: GroupOwner,
  { workers, context }: Handlers = {},
): readonly ConnectionGroup[] {
  const { settings, hooks, ...rest } = checked
  const { ConnectionSettings } = nativeBinding()
  const failed = (error: unknown, connection: Facade | undefined, context: Context): void => {
    if (channels.error.hasSubscribers) context.run(publish, channels.error, { error, connection })
    report(hooks.onError, error, connection, context)
  }
  const common = {
    ...rest,
    ...owner,
    hooks,
    asyncHandler: isAsyncFunction(hooks.onRequest) ? hooks.onRequest : undefined,
    readsByCursor: hooks.onMessage !== undefined && checked.isGoAway === undefined,
    settings: new ConnectionSettings(settings, workers, context),
    madeAt: leaks && originOf(),
    startsHeld: settings.startPaused,
    maxCloseTime: settings.maxCloseTime,
    counts: { requests: 0, calls: 0, buffered: 0 },
    failed: (error: unknown, connection: ConnectionCore) =>
      failed(error, connection.facade, connection.context),
    listenerFailed: (error: unknown, context: Context) => failed(error, undefined, context),
  }
  return pollers.map((poller) => ({ ...common, poller }))
}

/** The same in other pollers, as many. */
export function moveGroups(
  groups: readonly ConnectionGroup[],
  pollers: readonly Poller[],
): readonly ConnectionGroup[] {
  return groups.map((group, index) => ({ ...group, poller: pollers[index] ?? group.poller }))
}
