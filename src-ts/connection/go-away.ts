import type { ConnectionCore } from './core'
import type { Connection } from './connection'
import { invalidType, invalidValue } from '../errors'
import type { MessageTypes } from '../memory/message-types'
import { checkPayload, keepPayload, type Payload } from '../memory/payload'
import type { Reply } from './messages/reply-queue'
import { isThenable } from '../checks/thenables'

/** Where a connection stands, of which one end has said that it is to be used no more. */
export const Leave = {
  /** Nothing was said. */
  None: 0,
  /** We have asked the peer to leave, and serve it until it has. */
  Asked: 1,
  /** The peer or the user wants no call of ours to begin any more: the last one's end closes the connection. */
  Leaving: 2,
  /** As `Asked`, and the user wants no call of ours to begin any more. */
  Retired: 3,
} as const

export type Leave = (typeof Leave)[keyof typeof Leave]

/** What tells the client of one connection to leave; `undefined` where nothing can. */
export type GoAway = (connection: ConnectionCore) => Payload | undefined

/** Whether calls may begin on a connection that stands there. */
export function beginsCalls(leave: Leave): boolean {
  return leave === Leave.None || leave === Leave.Asked
}

/** Tells whether a message says that its connection is to be used no more. */
export type IsGoAway = (message: MessageTypes['buffer']) => boolean

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
  const ask = goAway as (connection: Connection) => Reply
  return ({ context, facade }) => {
    const message = context.run((connection: Connection, _: undefined) => ask(connection), facade, undefined)
    if (message === undefined || message === null) return undefined
    checkPayload('options.goAway(connection)', message)
    return message
  }
}

/**
 * Checks `isGoAway`.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 */
export function checkIsGoAway(isGoAway: unknown, hasIds: boolean): IsGoAway | undefined {
  if (isGoAway === undefined) return undefined
  if (typeof isGoAway !== 'function') throw invalidType('options.isGoAway', 'of type function', isGoAway)
  if (!hasIds) throw invalidValue('options.isGoAway', 'needs options.id', typeof isGoAway)
  const ask = isGoAway as IsGoAway
  return (message) => {
    const answer: unknown = ask(message)
    // A promise would always mean yes.
    if (isThenable(answer)) throw invalidType('options.isGoAway(message)', 'of type boolean', answer)
    return Boolean(answer)
  }
}
