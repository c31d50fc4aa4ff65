import { channel } from 'node:diagnostics_channel'

/**
 * What `node:diagnostics_channel` tells to whoever subscribes. Without subscribers an event costs one look at
 * `hasSubscribers`.
 *
 * | channel | message |
 * |---|---|
 * | `netpoll.listen` | `{ server }` |
 * | `netpoll.connect` | `{ connection }`, once its hooks let messages through |
 * | `netpoll.request` | `{ connection, request }`, before its handler runs |
 * | `netpoll.error` | `{ error, connection }`; without `connection` where it concerns a listener |
 * | `netpoll.close` | `{ connection, error }` |
 */
export const channels = {
  listen: channel('netpoll.listen'),
  connect: channel('netpoll.connect'),
  request: channel('netpoll.request'),
  error: channel('netpoll.error'),
  close: channel('netpoll.close'),
} as const
