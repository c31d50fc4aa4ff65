import { constants } from 'node:os'
import { getSystemErrorName, types } from 'node:util'

/** Codes of our own, beside the system's (`ECONNRESET`, `EADDRINUSE`, …). */
export type NetpollErrorCode =
  | 'ERR_ALREADY_REPLIED'
  | 'ERR_BUFFER_DETACHED'
  | 'ERR_BUFFER_LIMIT'
  | 'ERR_CLOSE_TIMEOUT'
  | 'ERR_CLUSTER_CLOSED'
  | 'ERR_CONCURRENT_ACCESS'
  | 'ERR_CONN_CLOSED'
  | 'ERR_CURSOR_EXPIRED'
  | 'ERR_DIAL_TIMEOUT'
  | 'ERR_DUPLICATE_ID'
  | 'ERR_EOF'
  | 'ERR_ETCD'
  | 'ERR_FRAME_INVALID'
  | 'ERR_FRAME_TOO_LARGE'
  | 'ERR_IDLE_TIMEOUT'
  | 'ERR_INFLATED_TOO_LARGE'
  | 'ERR_INVALID_IP_ADDRESS'
  | 'ERR_INVALID_REPLY'
  | 'ERR_MUX_CLOSED'
  | 'ERR_NOT_ENOUGH_DATA'
  | 'ERR_NO_ENDPOINT'
  | 'ERR_NO_ID'
  | 'ERR_POLLER_FAILED'
  | 'ERR_POOL_CLOSED'
  | 'ERR_POOL_FULL'
  | 'ERR_POOL_NOT_LENT'
  | 'ERR_POOL_TIMEOUT'
  | 'ERR_READ_TIMEOUT'
  | 'ERR_REQUEST_ABORTED'
  | 'ERR_REQUEST_TIMEOUT'
  | 'ERR_SERVER_ALREADY_LISTENING'
  | 'ERR_SERVER_CLOSED'
  | 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE'
  | 'ERR_TLS_ALERT'
  | 'ERR_TLS_CERT_ALTNAME_INVALID'
  | 'ERR_TLS_HANDSHAKE_TIMEOUT'
  | 'ERR_TLS_PROTOCOL'
  | 'ERR_TLS_TRUNCATED'
  | 'ERR_TOO_MANY_LOST_CALLS'
  | 'ERR_UNEXPECTED_MESSAGE'
  | 'ERR_UNSUPPORTED'
  | 'ERR_WRITE_TIMEOUT'

/** What a system call that failed was about. */
export interface SystemErrorDetails {
  /** The system's error number, negative as in Node.js. */
  readonly errno?: number | undefined
  /** The system call that failed. */
  readonly syscall?: string | undefined
  /** The address that it was about, or the path of a unix socket. */
  readonly address?: string | undefined
  /** The port that it was about. */
  readonly port?: number | undefined
  /** What led to it. */
  readonly cause?: unknown
  /** Of a call: whether its request may have left. */
  readonly sent?: boolean | undefined
  /** Of a dial to several addresses: the error of each. */
  readonly errors?: readonly unknown[] | undefined
}

/** @internal Whether it is an error of our class, whatever it may look like. */
export let isNetpollError: (error: unknown) => error is NetpollError

/**
 * What goes wrong with connections and servers, told apart by `code`: the system's own name of the
 * error, or one of {@link NetpollErrorCode}. Wrong arguments are `TypeError`s, as in Node.js.
 *
 * @example
 * ```ts
 * import { Dialer, NetpollError } from 'netpoll'
 *
 * try {
 *   await new Dialer().dial({ path: '/run/nothing-listens.sock' })
 * } catch (error) {
 *   if (!(error instanceof NetpollError)) throw error
 *   console.log(error.code, error.syscall) // ENOENT connect
 * }
 * ```
 */
export class NetpollError extends Error {
  /** `'NetpollError'`; of what a stream tells `'Error'`, as of errors of `net.Socket`. */
  override readonly name: 'NetpollError' | 'Error' = 'NetpollError'
  /** What went wrong. */
  readonly code: NetpollErrorCode | (string & {})
  /** The system's error number, negative as in Node.js. */
  readonly errno: number | undefined
  /** The system call that failed. */
  readonly syscall: string | undefined
  /** The address that it was about, or the path of a unix socket. */
  readonly address: string | undefined
  /** The port that it was about. */
  readonly port: number | undefined
  /**
   * Of a call: false when certainly nothing of its request was handed to the system, so that it may be made again. True
   * when something may have been. Not there where it is no error of a call.
   */
  declare readonly sent?: boolean | undefined
  /** Of a dial to several addresses: the error of each, in their order. Not there otherwise. */
  declare readonly errors?: readonly unknown[] | undefined
  /** Tells errors of this class from all other values, whatever those are. */
  readonly #isOurs = true

  static {
    isNetpollError = (error): error is NetpollError =>
      typeof error === 'object' && error !== null && #isOurs in error && error.#isOurs
  }

  constructor(code: NetpollErrorCode | (string & {}), message: string, details: SystemErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    this.code = code
    this.errno = details.errno
    this.syscall = details.syscall
    this.address = details.address
    this.port = details.port
    if (details.sent !== undefined) this.sent = details.sent
    if (details.errors !== undefined) this.errors = details.errors
  }
}

/** The same error for one more call, which may add to it what it likes. Another's error stays what it is. */
export function errorForCall(error: unknown, sent: boolean): unknown {
  if (!isNetpollError(error)) return error
  // Where it was found says nothing of the call: `process/call-site.ts` sees to that.
  return copied(error, sent)
}

/** The same error for one more caller, of something that is no call. */
export function ownError(error: NetpollError): NetpollError {
  return copied(error, error.sent)
}

/** The same error as a stream tells it: named as what `net.Socket` tells. */
export function errorOfStream(error: NetpollError): NetpollError {
  const own = copied(error, error.sent)
  Object.assign(own, { name: 'Error' })
  return own
}

function copied(error: NetpollError, sent: boolean | undefined): NetpollError {
  const { code, message, errno, syscall, address, port, cause, errors } = error
  const details = { errno, syscall, address, port, sent, errors, ...('cause' in error && { cause }) }
  return withoutStack(() => new NetpollError(code, message, details))
}

/**
 * Makes an error whose stack would show nothing but this package, as where a timer fires. Without a stack it costs a
 * fraction, which counts where thousands of calls are given up at once.
 */
export function withoutStack<E extends Error>(make: () => E): E {
  const { stackTraceLimit } = Error
  // Fixed where intrinsics are frozen: then it costs more.
  if (!Reflect.set(Error, 'stackTraceLimit', 0)) return make()
  try {
    return make()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/** The error that the system reported by number. */
export function systemError(
  errno: number,
  syscall: string,
  where: {
    readonly address?: string | undefined
    readonly port?: number | undefined
    readonly from?: string | undefined
  } = {},
  cause?: unknown,
): NetpollError {
  const code = getSystemErrorName(-errno)
  const port = where.port === undefined ? '' : `:${where.port}`
  const place = where.address === undefined ? '' : ` ${where.address}${port}`
  const from = where.from === undefined ? '' : ` from ${where.from}`
  const details = { ...where, errno: -errno, syscall, ...(cause !== undefined && { cause }) }
  return new NetpollError(code, `${syscall} ${code}${place}${from}`, details)
}

/** Says that the system had no memory for something whose size a peer or user decides. */
export function outOfMemory(problem: string, cause?: unknown): NetpollError {
  const details = { errno: -constants.errno.ENOMEM, syscall: 'malloc', ...(cause !== undefined && { cause }) }
  return new NetpollError('ENOMEM', `malloc ENOMEM: ${problem}`, details)
}

/**
 * A foreign error, such as a lookup's, for one of several calls that fail by it before anything was sent. It is as much
 * the same as an error of its own can be.
 */
export function foreignErrorForCall(error: unknown): unknown {
  if (!types.isNativeError(error)) return error
  try {
    const { stack, ...others } = Object.getOwnPropertyDescriptors(error)
    const own = withoutStack(() => new Error(error.message))
    Object.setPrototypeOf(own, Object.getPrototypeOf(error))
    Object.defineProperties(own, others)
    if (stack !== undefined && error.stack !== undefined) own.stack = error.stack
    return Object.assign(own, { sent: false })
  } catch {
    // Its own members throw: then it stays what it is.
    return error
  }
}

/** What says that arguments are wrong: the stacks of those that users throw say where they were thrown. */
const argumentErrors = new WeakSet<Error>()

/** Whether it says that an argument is wrong, and was made by this package. */
export function isArgumentError(error: unknown): error is TypeError {
  return typeof error === 'object' && error !== null && argumentErrors.has(error as Error)
}

function argumentError(code: string, message: string): TypeError {
  const error = Object.assign(new TypeError(message), { code })
  argumentErrors.add(error)
  return error
}

/** Says that an argument has the wrong type, the way Node.js does. */
export function invalidType(name: string, expected: string, actual: unknown): TypeError {
  return wrongType(name, expected, actual === null ? 'null' : `type ${typeof actual}`)
}

/** As {@link invalidType}, of an argument of which more is known than its type. */
export function wrongType(name: string, expected: string, received: string): TypeError {
  return argumentError(
    'ERR_INVALID_ARG_TYPE',
    `The "${name}" argument must be ${expected}. Received ${received}`,
  )
}

/** Says that an argument has an impossible value, the way Node.js does. */
export function invalidValue(name: string, problem: string, actual: unknown): TypeError {
  return argumentError(
    'ERR_INVALID_ARG_VALUE',
    `The "${name}" argument ${problem}. Received ${textOf(actual)}`,
  )
}

function textOf(value: unknown): string {
  try {
    return String(value)
  } catch {
    // It has no text, or its text throws.
    return `type ${typeof value}`
  }
}

/** What it means for a handler's connection that its reply could not be sent; `cause` was thrown by whatever it is. */
export function replyError(cause: unknown): NetpollError {
  if (isOurs(cause)) return cause
  const message = 'A handler returns bytes (Uint8Array), a string, a list of them, or nothing'
  return new NetpollError('ERR_INVALID_REPLY', message, { cause })
}

/** Says that a poller cannot go on, with everything that it had. */
export function pollerFailed(reason: string): NetpollError {
  return withoutStack(() => new NetpollError('ERR_POLLER_FAILED', `A poller has failed: ${reason}`))
}

/** Whether it is one of ours. Users' code can throw a proxy, which has something to say when it is asked. */
export function isOurs(error: unknown): error is NetpollError {
  try {
    return error instanceof NetpollError
  } catch {
    return false
  }
}

/** Says that the peer has sent what no call asked for. */
export function unexpectedMessage(): NetpollError {
  const message = 'A message arrived that no call awaits'
  return withoutStack(() => new NetpollError('ERR_UNEXPECTED_MESSAGE', message))
}

/** Says that a stream has no replies. */
export function streamCall(): NetpollError {
  const message = 'A call needs a framing, to tell where its reply ends'
  return new NetpollError('ERR_UNSUPPORTED', message, { sent: false })
}

/** Says that a server listens no more, and cannot again. */
export function serverClosed(): NetpollError {
  return new NetpollError('ERR_SERVER_CLOSED', 'The server was closed')
}

/** Says that JavaScript may not see what the core receives. */
export function externalMemoryRefused(cause: unknown): NetpollError {
  const message =
    'netpoll hands messages over in external memory, which this JavaScript engine forbids, as that of Electron does: ' +
    'run it in a process of Node.js'
  return new NetpollError('ERR_UNSUPPORTED', message, { cause })
}
