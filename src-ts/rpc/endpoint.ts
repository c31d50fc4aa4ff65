/** Does a call: at the caller the network, at the server the handler. */
export type Endpoint<Call, Result> = (call: Call) => Result | PromiseLike<Result>

/**
 * Puts something around every call: it is asked once for an endpoint that does `next`, or does not, and what it likes
 * before and after. What it throws is what the call fails with.
 */
export type Middleware<Call, Result> = (next: Endpoint<Call, Result>) => Endpoint<Call, Result>

/** Puts middleware around an endpoint; the first of the list is the outermost. */
export function chain<Call, Result>(
  middleware: readonly Middleware<Call, Result>[],
  endpoint: Endpoint<Call, Result>,
): Endpoint<Call, Result> {
  return middleware.reduceRight((next, wrap) => wrap(next), endpoint)
}
