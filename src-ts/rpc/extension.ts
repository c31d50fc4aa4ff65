/** What `netpoll/thrift` uses beside public members of `netpoll/rpc`. */
export { clientNames } from './client'
export { callOptionNames } from './client-call'
export { transportServerNames } from './server'
