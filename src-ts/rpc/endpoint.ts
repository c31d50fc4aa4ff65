/** Does a call: at the caller the network, at the server the handler. */
export type Endpoint<Call, Result> = (call: Call) => Result | PromiseLike<Result>

/**
 * Wraps every call. The function is called once, and returns an endpoint that may run code before and after `next`, or not
 * call `next` at all. The call fails with the error that the endpoint throws.
 */
export type Middleware<Call, Result> = (next: Endpoint<Call, Result>) => Endpoint<Call, Result>

/** Puts middleware around an endpoint; the first of the list is the outermost. */
export function chain<Call, Result>(
  middleware: readonly Middleware<Call, Result>[],
  endpoint: Endpoint<Call, Result>,
): Endpoint<Call, Result> {
  return middleware.reduceRight((next, wrap) => wrap(next), endpoint)
}
