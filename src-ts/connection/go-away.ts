import type { Facade, GoAway, IsGoAway, Served } from './hooks'
import type { GroupSettings } from './group-settings'
import type { Life } from './life'
import type { SendQueue } from './send-queue'
import { refusePromise, saysTrue } from '../process/report'
import { invalidValue } from '../errors'
import { clearTimeout, setTimeout } from '../time/timers'
import { checkPayload, keepPayload, type Payload } from '../memory/payload'
import type { Reply } from './messages/reply-queue'

/**
 * Checks `goAway`. Without ids the message would answer a call that waits.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 */
export function checkGoAway(goAway: unknown, hasIds: boolean): GoAway | undefined {
  if (goAway === undefined) return undefined
  if (typeof goAway !== 'function') checkPayload('options.goAway', goAway)
  if (!hasIds) throw invalidValue('options.goAway', 'needs options.id', typeof goAway)
  if (typeof goAway !== 'function') {
    const message = keepPayload(goAway as Payload)
    return () => message
  }
  const ask = goAway as (connection: Facade) => Reply
  return ({ context, facade }) => {
    const message = context.run((connection: Facade, _: undefined) => ask(connection), facade, undefined)
    if (message === undefined || message === null) return undefined
    refusePromise('options.goAway', message)
    checkPayload('options.goAway(connection)', message)
    return message
  }
}

/** A connection whose client is asked to leave. */
interface ServedConnection extends Served {
  readonly sendQueue: Pick<SendQueue, 'send'>
  /** Answers what was read, then closes. */
  finish(): void
  /** Reports an error that does not end it. */
  tell(error: unknown): void
}

/** A connection that is taken out of use. */
interface RetiredConnection extends ServedConnection {
  /** From now on calls of ours go elsewhere, and the end of the last one closes it. */
  beginNoMoreCalls(): void
  onClose(callback: () => void): void
}

/** Asks the peer to leave, which is served until it has. One that cannot be asked is answered what was read. */
export function askToLeave(connection: ServedConnection, life: Life, goAway: GoAway): void {
  // One that was retired has been asked.
  if (!life.isKept) return
  life.asked()
  if (!isAsked(connection, life, goAway)) connection.finish()
}

/** As {@link askToLeave}, where we know how; and no call of ours begins any more. */
export function retire(
  connection: RetiredConnection,
  life: Life,
  { goAway, maxCloseTime }: Pick<GroupSettings, 'goAway' | 'maxCloseTime'>,
): void {
  if (!life.isOpen || !life.isKept) return
  if (goAway === undefined) {
    connection.beginNoMoreCalls()
    return
  }
  life.retired()
  if (!isAsked(connection, life, goAway)) {
    connection.finish()
    return
  }
  // A peer that does not leave keeps the connection no longer than one that a server closes.
  const timer = setTimeout(() => connection.finish(), maxCloseTime)
  timer.unref()
  connection.onClose(() => clearTimeout(timer))
}

/** Whether the peer was asked to leave. The user's function may close the connection, throw, or give no message. */
function isAsked(connection: ServedConnection, life: Life, goAway: GoAway): boolean {
  try {
    const message = life.isWhole ? goAway(connection) : undefined
    if (message === undefined || !life.isWhole) return false
    connection.sendQueue.send(message)
    return true
  } catch (error) {
    connection.tell(error)
    return false
  }
}

/** A connection that is asked to leave. */
interface AskedConnection extends Served {
  /** Reports `error`, and closes once the replies before it have left. */
  fail(error: unknown): void
}

/** Whether a message asks not to use its connection any more. */
export function saysGoAway(connection: AskedConnection, isGoAway: IsGoAway, message: Buffer): boolean {
  try {
    const says = connection.context.run(
      isGoAway as (message: Buffer, _: undefined) => unknown,
      message,
      undefined,
    )
    return saysTrue('isGoAway', says)
  } catch (error) {
    connection.fail(error)
    return false
  }
}
