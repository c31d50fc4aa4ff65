import { Tracing } from '../extension'

/** Calls of clients, with their middleware. */
export const calls = new Tracing('netpoll.rpc.call')

/** Calls of servers, with their middleware. */
export const requests = new Tracing('netpoll.rpc.request')
