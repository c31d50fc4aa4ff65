import type { ConnectionOwner } from '../owner'
import type { GroupSettings } from '../group-settings'
import { CallsById } from './calls-by-id'
import { type CallOptions, CallQueue, type Calls, PendingCall, refuseAtOnce, wornOut } from './pending-call'
import { type Entry, siteOf } from '../../process/call-site'
import { checkOutput, type SendingConnection } from '../sending'
import { type Payload, takeApart } from '../../memory/payload'
import type { DeadlineTimer } from '../../poller/deadline-timer'
import { Operation } from '../../native/protocol-numbers'
import type { CommandTarget } from '../../poller/command-queue'
import { NetpollError, streamCall, withoutStack } from '../../errors'

/** A connection, as far as its calls tell of themselves. */
export interface ListeningConnection extends CommandTarget {
  readonly owner: ConnectionOwner | undefined
  /** No call waits any more. */
  callsEnded(): void
  /** A call is given up. */
  wasBusy(): void
}

/** A connection, as far as calls need it. */
export interface CallingConnection extends SendingConnection {
  readonly group: Pick<GroupSettings, 'counts' | 'framing' | 'ids' | 'role' | 'startsHeld'>
  /** Made with the first call. */
  readonly calls: Calls
  readonly deadlineTimer: DeadlineTimer
  /** Milliseconds that a call waits which says nothing else; 0 for ever. */
  readonly requestTimeout: number
  /** Whether the hooks that come before messages are still running. */
  readonly isOpening: boolean
  /** Such a hook calls: replies come from now on, and messages wait for it to be done. */
  holdBack(): void
}

/** As many messages as a word can say. */
const noBound = 2 ** 32 - 1

/** The calls of a connection, by what its protocol matches replies by. */
export function createCalls(
  connection: ListeningConnection,
  { ids, countsMessages, poller }: Pick<GroupSettings, 'countsMessages' | 'ids' | 'poller'>,
): Calls {
  // With ids a reply must not wait for handlers, which may wait for it.
  const allow = ids === undefined || !countsMessages ? undefined : Operation.AllowBeyond
  const listener = {
    waiting: () => {
      if (allow !== undefined) poller.commandQueue.command(allow, connection, noBound)
    },
    idle: () => {
      if (allow !== undefined) poller.commandQueue.command(allow, connection, 0)
      connection.callsEnded()
    },
    lost: (change: number) => {
      poller.lostCalls += change
      if (change > 0) connection.wasBusy()
    },
    answeredLate: () => connection.owner?.answeredLate(),
  }
  return ids === undefined ? new CallQueue(listener) : new CallsById(ids, listener)
}

/** Sends a request and waits for its reply. `entry` is where users call. */
export function call(
  connection: CallingConnection,
  request: Payload,
  options: CallOptions | undefined,
  entry: Entry,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let pending: PendingCall | undefined
    try {
      checkCallable(connection.group)
      const message = takeApart(request)
      pending = new PendingCall(options, connection.requestTimeout, resolve, reject, siteOf(entry))
      submit(connection, pending, message)
    } catch (error) {
      refuseAtOnce(pending, error, reject, entry)
    }
  })
}

/**
 * Sends the request of a call, which was taken apart, and waits for its reply. One that was given up sends nothing.
 * Throws what {@link call} rejects with.
 */
export function submit(connection: CallingConnection, call: PendingCall, request: Payload): void {
  checkRequests(connection)
  const { calls } = connection
  calls.prepare(call, request)
  // The user's function that finds ids may have ended the connection, or aborted the call. From here on nothing of the
  // user's runs: whatever was checked holds until the call waits.
  checkRequests(connection)
  if (call.isSettled) return
  const { sendQueue, group } = connection
  const startsAt = sendQueue.total
  sendQueue.send(request)
  call.startsAt = startsAt
  group.counts.calls += 1
  calls.append(call)
  if (group.startsHeld && connection.isOpening) connection.holdBack()
  if (call.deadline !== Number.POSITIVE_INFINITY) connection.deadlineTimer.arm(call.deadline)
}

function checkRequests(connection: CallingConnection): void {
  const { life } = connection
  // A peer that has ended its direction, or was refused, replies to nothing that it had not been asked before.
  if (!life.takesCalls) throw withoutStack(() => connection.closing.closedError())
  if (!life.beginsCalls) throw leaving()
  checkOutput(connection)
}

/** Why a call does not begin, or a dial has been in vain. */
export function leaving(): NetpollError {
  return wornOut(new NetpollError('ERR_CONN_CLOSED', 'The connection is to be used for no new calls'))
}

/** The connection is gone, and has written so many bytes: fails the calls that wait. */
export function endCalls(
  calls: Calls | undefined,
  gone: () => NetpollError,
  written: number | undefined,
): void {
  if (calls?.isAwaited === true) calls.failAll(gone(), written)
  else calls?.forgetLost()
}

/** @throws NetpollError `ERR_UNSUPPORTED` for a connection that can make no calls */
function checkCallable({ framing, role, ids }: Pick<GroupSettings, 'framing' | 'ids' | 'role'>): void {
  if (framing.isStream) throw streamCall()
  if (role === 'server' && ids === undefined) {
    const message = 'A server cannot call in order: its client sends requests'
    throw new NetpollError('ERR_UNSUPPORTED', message, { sent: false })
  }
}
