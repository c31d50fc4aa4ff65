/** ES module entry of `netpoll/cluster`. It re-exports the CommonJS build, so that both kinds of users share one. */
export type * from './index.js'
export { Cluster, consistentHash, dns, etcd, fixed, leastLoaded, register, roundRobin } from './index.js'
