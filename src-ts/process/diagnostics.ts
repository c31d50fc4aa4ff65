import { type Channel, channel } from 'node:diagnostics_channel'

import { printWhenDebugging } from './debug-log'

/**
 * What `node:diagnostics_channel` tells its subscribers. Without subscribers an event costs one look at
 * `hasSubscribers`. Subscribers run in the context of the `listen` or `dial` that the message is about.
 *
 * | channel | message |
 * |---|---|
 * | `netpoll.listen` | `{ server }` |
 * | `netpoll.connect` | `{ connection }`, once its hooks let messages through |
 * | `netpoll.request` | `{ connection, request }`, before its handler runs, which has what a subscriber enters |
 * | `netpoll.error` | `{ error, connection }`; without `connection` where it concerns a listener |
 * | `netpoll.close` | `{ connection, error }` |
 *
 * `NODE_DEBUG=netpoll` prints all of it.
 */
export const channels = {
  listen: channel('netpoll.listen'),
  connect: channel('netpoll.connect'),
  request: channel('netpoll.request'),
  error: channel('netpoll.error'),
  close: channel('netpoll.close'),
} as const

printWhenDebugging(channels)

/** For a context to run. */
export function publish(to: Channel, message: object): void {
  to.publish(message)
}
