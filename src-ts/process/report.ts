import { logLine } from './settings'
import type { Context } from './async-context'
import { describe, describeFully } from './describe'
import { invalidValue, NetpollError } from '../errors'
import { ignore, isThenable, whenSettled } from '../checks/thenables'

/** Is told what went wrong, and on which connection. */
export type ErrorListener<Connection> =
  | ((error: unknown, connection: Connection | undefined) => void)
  | undefined

/** Runs the user's code; what it throws, now or later, goes to `failed`. */
export function guarded(work: () => unknown, failed: (error: unknown) => void): void {
  try {
    const result = work()
    if (isThenable(result)) whenSettled(result, ignore, failed)
  } catch (error) {
    failed(error)
  }
}

/** Reports an error to the user: no error is swallowed, and none ends the process. */
export function report<Connection>(
  onError: ErrorListener<Connection>,
  error: unknown,
  connection: Connection | undefined,
  context: Context,
): void {
  if (onError === undefined) {
    logFailure(error)
    return
  }
  guarded(
    () => context.run(onError, error, connection),
    (second) => {
      logFailure(error)
      logFailure(second)
    },
  )
}

/** As {@link report}, for a dial that no caller waits for: a system error of it is reported, and not logged. */
export function reportDial<Connection>(
  onError: ErrorListener<Connection>,
  error: unknown,
  context: Context,
): void {
  const isSystems = errnoOf(error) !== undefined
  if (onError !== undefined || !isSystems) report(onError, error, undefined, context)
}

/**
 * Refuses a promise of the user's function `name`, whose result is needed at once. What it rejects with goes to `failed`.
 *
 * @throws TypeError `ERR_INVALID_ARG_VALUE`; what `result` throws that is asked whether it is one
 */
export function refusePromise(
  name: string,
  result: unknown,
  failed: (error: unknown) => void = logFailure,
): void {
  if (!isThenable(result)) return
  whenSettled(result, ignore, failed)
  throw invalidValue(name, 'must not return a promise: its result is needed at once', 'a promise')
}

/** Whether a user's function `name` has said `true`, and nothing like it. @throws as {@link refusePromise} */
export function saysTrue(name: string, result: unknown): boolean {
  refusePromise(name, result)
  return result === true
}

/** The system's error number, of an error of ours. */
export function errnoOf(error: unknown): number | undefined {
  try {
    return error instanceof NetpollError ? error.errno : undefined
  } catch {
    // It may be a proxy, or have members that throw.
    return undefined
  }
}

/** Logs a failure that reaches no listener: all of it on stderr, in one line for a logger. */
export function logFailure(error: unknown): void {
  logLine(describe(error), () => describeFully(error))
}
