import { type Channel, channel } from 'node:diagnostics_channel'

import type { ClusterNode } from './cluster-node'

/**
 * What `node:diagnostics_channel` tells of clusters. Without subscribers an event costs one look at `hasSubscribers`.
 *
 * | channel | message |
 * |---|---|
 * | `netpoll.cluster.resolve` | `{ cluster, endpoints }`, or `{ cluster, error }` where the resolver has failed |
 * | `netpoll.cluster.pick` | `{ cluster, node }`, of each try of a call |
 * | `netpoll.cluster.eject` | `{ cluster, node, until }`: milliseconds on the clock of `performance.now()` |
 * | `netpoll.cluster.retry` | `{ cluster, node, error }`: the try that has failed |
 * | `netpoll.cluster.hedge` | `{ cluster, node }`: where the second try goes |
 * | `netpoll.cluster.drain` | `{ cluster, node }`: it gets no more calls |
 */
export const channels = {
  resolve: channel('netpoll.cluster.resolve'),
  pick: channel('netpoll.cluster.pick'),
  eject: channel('netpoll.cluster.eject'),
  retry: channel('netpoll.cluster.retry'),
  hedge: channel('netpoll.cluster.hedge'),
  drain: channel('netpoll.cluster.drain'),
} as const

/** Tells of a server of a cluster. */
export function tellOf(about: Channel, cluster: object, node: ClusterNode): void {
  if (about.hasSubscribers) about.publish({ cluster, node: node.view })
}
