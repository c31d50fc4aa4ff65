import http from 'node:http'
import net from 'node:net'
import tls from 'node:tls'

import { certificate, key } from '../tls.mjs'

const plainConnect = net.connect
const plainCreateServer = net.createServer
const plainHttpServer = http.createServer
const secureContext = tls.createSecureContext({ key, cert: certificate })

/** Whether the tests call, or a library that is the peer of this package: others, such as `http`, have their own peers. */
const isOurs = (): boolean => {
  const holder: { stack?: string } = {}
  Error.captureStackTrace(holder, isOurs)
  const caller = holder.stack
    ?.split('\n')
    .slice(1)
    .find((line) => !line.includes('/over-tls/') && !/\(?node:/.test(line))
  // A registry is spoken to by `node:http` alone.
  if (caller?.includes('/support/registries.')) return false
  return caller !== undefined && /\/\.test\/|\/node_modules\/thrift\/|\[worker eval\]|\[eval\]/.test(caller)
}

type Method = (event: string, listener: (...values: unknown[]) => void) => unknown

/** Has users that ask an emitter for one event listen to another. */
function listenTo(emitter: object, asked: string, real: string): void {
  const members = emitter as Record<string, Method>
  for (const name of ['on', 'once', 'addListener', 'prependListener', 'off', 'removeListener']) {
    const method = members[name] as Method
    members[name] = function (this: unknown, event, listener) {
      return method.call(this, event === asked ? real : event, listener)
    }
  }
}

/** What TLS of Node.js writes by. */
interface Handle {
  readonly writeQueueSize: number
  /** Takes what was read: nothing at the end, or where the socket has failed. */
  onread(bytes?: ArrayBuffer): void
  readStart(): void
}

/**
 * Clients whose server may not have read the end of the handshake. A reset would overtake it, and the server would not learn of
 * a connection that a plain one learns of. Tickets that are not read make a reset of an end.
 */
const unanswered = new WeakSet<tls.TLSSocket>()

/** Goes on once the server has sent them, or has ended without: then it sends none. */
function onceTicketsCame(secured: tls.TLSSocket, plain: net.Socket, goOn: () => void): void {
  const { _handle: handle } = secured as unknown as { readonly _handle: Handle | null }
  let isOver = false
  const came = (): void => {
    secured.off('session', came)
    plain.off('close', came)
    unanswered.delete(secured)
    if (!isOver) goOn()
    isOver = true
  }
  secured.once('session', came)
  plain.once('close', came)
  if (handle === null) return
  const { onread } = handle
  handle.onread = function (this: Handle, bytes) {
    onread.call(this, bytes)
    if (bytes === undefined) came()
  }
  handle.readStart()
}

type Told = (error?: Error | null) => void

/** As users of a plain socket have it: it tells its end however it ends, and is reset by way of the socket that it runs over. */
function likePlain(secured: tls.TLSSocket, plain: net.Socket): tls.TLSSocket {
  // Each write that waits for the handshake listens.
  secured.setMaxListeners(0)
  const { _final: final, _destroy: destroy } = secured
  // What is written last is on its way until the next turn, such as tickets. Node.js would end the socket before, without the
  // end of TLS.
  const isWriting = (): boolean => {
    const { _handle: handle } = secured as unknown as { readonly _handle: Handle | null }
    return handle !== null && handle.writeQueueSize > 0
  }
  let ends: NodeJS.Immediate | undefined
  // A plain socket ends a turn after it is asked to: what a test asks for in the same turn comes before.
  secured._final = (told: Told) => {
    ends = setImmediate(() => {
      ends = undefined
      final.call(secured, told)
    })
  }
  secured._destroy = (error: Error | null, told: Told) => {
    const tells = error === null && (ends !== undefined || !secured.writableEnded)
    clearImmediate(ends)
    const leave = (): void => {
      if (tells) final.call(secured, () => {})
      destroy.call(secured, error, told)
    }
    const { _handle: handle } = secured as unknown as { readonly _handle: Handle | null }
    // Nothing is read any more.
    if (tells && handle !== null) handle.onread = () => {}
    if (!tells || plain.destroyed) destroy.call(secured, error, told)
    else if (unanswered.has(secured)) onceTicketsCame(secured, plain, leave)
    else if (isWriting()) setImmediate(leave)
    else leave()
  }
  secured.resetAndDestroy = () => {
    const reset = (): void => void plain.resetAndDestroy()
    if (unanswered.has(secured) && !secured.destroyed) onceTicketsCame(secured, plain, reset)
    // What was written while its tickets leave, waits for them.
    else if (secured.writableLength > 0) setImmediate(reset)
    else reset()
    return secured
  }
  return secured
}

/** A server that ends before the handshake is done is one that ends right after it has accepted: so plain sockets tell it. */
function whetherOrNotShaken(secured: tls.TLSSocket, plain: net.Socket): void {
  let isReached = false
  let isTold = false
  let localPort: number | undefined
  const early = (): void => {
    if (isTold) return
    isTold = true
    // Who is told that it is connected may ask for it.
    Object.defineProperty(secured, 'localPort', { value: localPort })
    secured.emit('secureConnect')
  }
  secured.once('secureConnect', () => {
    if (!isTold) unanswered.add(secured)
    isTold = true
  })
  const refuse = secured.listeners('end').find(({ name }) => name === 'onConnectEnd')
  if (refuse !== undefined) secured.off('end', refuse as () => void)
  const emit = secured.emit as (event: string | symbol, ...values: unknown[]) => boolean
  secured.emit = (event: string | symbol, ...values: unknown[]) => {
    const isEarly = !isTold && isReached && (event === 'end' || event === 'error')
    if (isEarly) early()
    if (!isEarly || event === 'error') return emit.call(secured, event, ...values)
    // Whoever has waited for the connection listens from the next turn on.
    setImmediate(() => emit.call(secured, event))
    return true
  }
  plain.once('connect', () => {
    isReached = true
    localPort = plain.localPort
    plain.prependOnceListener('error', early)
  })
}

/** `net.connect`, with TLS: what it says of the connection is said once the handshake is done. */
function connect(...values: unknown[]): net.Socket {
  if (!isOurs()) return Reflect.apply(plainConnect, net, values)
  const callback = values.at(-1)
  const where = typeof callback === 'function' ? values.slice(0, -1) : values
  const plain = Reflect.apply(plainConnect, net, where) as net.Socket
  const secured = tls.connect({ socket: plain, ca: certificate, servername: 'localhost' })
  whetherOrNotShaken(secured, plain)
  secured.once('session', () => unanswered.delete(secured))
  listenTo(secured, 'connect', 'secureConnect')
  listenTo(secured, 'ready', 'secureConnect')
  if (typeof callback === 'function') secured.once('connect', callback as () => void)
  return likePlain(secured, plain)
}

/** Has a server shake hands, and tell of its connections once that is done, or has failed for good. */
function secureServer(server: net.Server, pauses: boolean): net.Server {
  // Those of `http` are there from the beginning.
  const listeners = server.listeners('connection') as ((socket: net.Socket) => void)[]
  server.removeAllListeners('connection')
  const shaking = new Set<net.Socket>()
  const { close } = server
  server.close = (told) => {
    // Nothing was told of them yet, and so nothing else ends them.
    for (const plain of shaking) plain.destroy()
    return close.call(server, told)
  }
  server.on('connection', (plain) => {
    // A stream of ours, or one that another server has accepted and passes on: it has TLS already.
    if (!(plain instanceof net.Socket) || plain instanceof tls.TLSSocket) {
      server.emit('securedConnection', plain)
      return
    }
    const secured = new tls.TLSSocket(plain, { isServer: true, secureContext })
    const failed = (): void => {}
    plain.on('error', failed)
    secured.on('error', failed)
    shaking.add(plain)
    const shaken = (): void => {
      shaking.delete(plain)
      plain.off('close', shaken)
      secured.off('secure', shaken)
      if (pauses) secured.pause()
      server.emit('securedConnection', likePlain(secured, plain))
      secured.off('error', failed)
    }
    plain.once('close', shaken)
    secured.once('secure', shaken)
  })
  listenTo(server, 'connection', 'securedConnection')
  for (const listener of listeners) server.on('connection', listener)
  return server
}

/** `net.createServer`, with TLS. */
function createServer(...values: unknown[]): net.Server {
  if (!isOurs()) return Reflect.apply(plainCreateServer, net, values)
  const listener = values.find((value) => typeof value === 'function')
  const given = values.find((value) => typeof value === 'object' && value !== null)
  const options = given as net.ServerOpts | undefined
  const server = plainCreateServer({ ...options, pauseOnConnect: false })
  secureServer(server, options?.pauseOnConnect === true)
  if (listener !== undefined) server.on('connection', listener as (socket: net.Socket) => void)
  return server
}

/** `http.createServer`, with TLS below it. */
function createHttpServer(...values: unknown[]): http.Server {
  const server = Reflect.apply(plainHttpServer, http, values) as http.Server
  if (isOurs()) secureServer(server, false)
  return server
}

/** Has peers by `node:net` and `node:http` speak TLS. */
export function securePeers(): void {
  Object.assign(net, { connect, createConnection: connect, createServer })
  Object.assign(http, { createServer: createHttpServer })
  Object.assign(http.Agent.prototype, { createConnection: connect })
}
