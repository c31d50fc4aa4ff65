/**
 * Clients of services: resolvers find servers, balancers choose one for each call, and a cluster has the connections.
 *
 * The way of a call: `cluster.ts` → `calls.ts` (tries, hedges, probes) → a balancer (`balancer.ts`) → `endpoint-link.ts` (a
 * `Mux`). The way of a list: a resolver → `watcher.ts` → `members.ts` (subset, readiness, ejection).
 *
 * @module netpoll/cluster
 */
export type { BalancedCall, Balancer } from './balancer'
export { consistentHash, leastLoaded, roundRobin } from './balancer'
export type { ClusterCallOptions, ClusterSendOptions } from './call'
export { Cluster } from './cluster'
export type { DnsOptions } from './dns'
export { dns } from './dns'
export type { Endpoint } from './endpoint'
export type { EtcdOptions } from './etcd'
export { etcd } from './etcd'
export type { EtcdConnectionOptions } from './etcd-gateway'
export type { Node } from './node'
export type {
  ClusterLimits,
  ClusterOptions,
  EjectionOptions,
  HedgeOptions,
  RetryOptions,
} from './options'
export type { RegisterOptions, Registration } from './registration'
export { register } from './registration'
export type { Resolver } from './resolver'
export { fixed } from './resolver'
export type { ClusterStats, NodeStats } from './stats'
