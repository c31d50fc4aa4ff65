import { constants } from 'node:os'

import { NetpollError, systemError } from '../errors'
import type { Poller } from '../poller/poller'
import type { PolledConnection } from '../poller/polled-connection'
import type { Closing } from './closing'
import type { Life } from './life'
import type { Socket } from './socket'

/** A connection, as far as its socket can be given away. */
export interface DetachableConnection extends PolledConnection {
  readonly group: { readonly poller: Pick<Poller, 'forget' | 'hasUndelivered'> }
  readonly life: Life
  readonly closing: Pick<Closing, 'closedError'>
  readonly socket: Pick<Socket, 'detach' | 'tls'>
  /** Its way to TLS, where it is on it. */
  readonly upgrade: object | undefined
  /** Whether the reply of a call can still come, also of one that was given up. */
  readonly awaitsReplies: boolean
}

/** Gives the socket away: the connection is over, and its descriptor belongs to the caller. */
export function detach(connection: DetachableConnection): number {
  const { life, group } = connection
  const isUpgrading = life.isConnecting && connection.upgrade !== undefined
  if (!isUpgrading && (!life.isOpen || life.isRefused)) throw connection.closing.closedError()
  // The keys are here, and no other owner could go on with them.
  if (isUpgrading || connection.socket.tls !== undefined) {
    throw new NetpollError('ERR_UNSUPPORTED', 'A connection with TLS cannot be given away')
  }
  // The next owner would take the reply of such a call for that of its own first one.
  if (connection.awaitsReplies) throw systemError(constants.errno.EBUSY, 'detach')
  // What is of this turn and was not handed over yet would be lost.
  if (group.poller.hasUndelivered(connection)) throw systemError(constants.errno.EAGAIN, 'detach')
  const fd = connection.socket.detach()
  group.poller.forget(connection)
  connection.closed(0, 0, undefined)
  return fd
}
