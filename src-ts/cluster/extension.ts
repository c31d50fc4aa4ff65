/** What `netpoll/rpc` uses beside public members of `netpoll/cluster`. */
export { callOfCluster } from './cluster'
export { clusterOptionNames } from './options'
export { isResolver } from './resolver'
