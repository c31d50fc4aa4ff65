import type { Context } from '../../process/async-context'
import type { Payload } from '../../memory/payload'
import type { Life } from '../life'
import type { SendQueue } from '../send-queue'
import type { PendingCall } from './pending-call'

/** A connection, as far as its server is told of calls that were given up. */
interface CancellingConnection {
  readonly context: Context
  readonly life: Pick<Life, 'takesOutput'>
  readonly isCongested: boolean
  readonly sendQueue: Pick<SendQueue, 'send'>
  /** Reports an error that does not end it. */
  tell(error: unknown): void
}

/**
 * Tells the server that a call was given up, where its protocol can. It comes last, because it runs the user's code. Behind
 * what a peer does not read nothing is queued: a user that aborts calls in a loop costs no more than `highWaterMark`.
 */
export function sendCancel(connection: CancellingConnection, { cancel, startsAt }: PendingCall): void {
  if (cancel === undefined || startsAt === undefined || !takesCancel(connection)) return
  try {
    const message = connection.context.run(
      cancel as (a: undefined, b: undefined) => Payload,
      undefined,
      undefined,
    )
    // The user's function may have closed it.
    if (message.length > 0 && takesCancel(connection)) connection.sendQueue.send(message)
  } catch (error) {
    connection.tell(error)
  }
}

function takesCancel({ life, isCongested }: CancellingConnection): boolean {
  return life.takesOutput && !isCongested
}
