/** Codes of errors that this package makes; a handler may throw an {@link RpcError} with any other. */
export type RpcErrorCode =
  /** No such method. */
  | 'ERR_RPC_UNKNOWN_METHOD'
  /** The message is not what the protocol allows here. */
  | 'ERR_RPC_INVALID_MESSAGE'
  /** A handler has thrown something that says no more. */
  | 'ERR_RPC_INTERNAL'

/** @internal Whether it is an error of our class, whatever it may look like. */
export let isRpcError: (error: unknown) => error is RpcError

/**
 * An error that reaches the caller: a handler throws it, the codec sends it, and the call rejects with it.
 *
 * @example
 * ```ts
 * import { RpcError, type TransportHandler } from 'netpoll/rpc'
 *
 * const handler: TransportHandler<string> = {
 *   onRequest({ method, body }) {
 *     if (method !== 'echo') throw new RpcError('ERR_RPC_UNKNOWN_METHOD', method)
 *     return body
 *   },
 * }
 * ```
 */
export class RpcError extends Error {
  /** `'RpcError'`. */
  override readonly name = 'RpcError'
  /** The kind of error: a code of this package, or one of the handler's own. */
  readonly code: RpcErrorCode | (string & {})
  /** Tells errors of this class from all other values, whatever those are. */
  readonly #isOurs = true

  static {
    isRpcError = (error): error is RpcError =>
      typeof error === 'object' && error !== null && #isOurs in error && error.#isOurs
  }

  constructor(
    code: RpcErrorCode | (string & {}),
    message: string,
    options: { readonly cause?: unknown } = {},
  ) {
    super(message, options)
    this.code = code
  }
}
