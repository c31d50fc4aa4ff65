/** What `netpoll/thrift` uses beside public members of `netpoll/rpc`. */
export { clientNames } from './client'
export { callOptionNames } from './client-call'
export { isRpcError } from './errors'
export { transportServerNames } from './server'
export { type AnsweringHandler, answersBy } from './cursor-call'
