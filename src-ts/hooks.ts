import { logLine } from './configuration'
import type { Connection } from './connection-facade'
import type { Context } from './context'
import { NetpollError } from './errors'

/** Is told what went wrong, and on which connection. */
export type ErrorListener = ((error: unknown, connection: Connection | undefined) => void) | undefined

/** Runs the user's code; what it throws, now or later, goes to `failed`. */
export function guarded(work: () => unknown, failed: (error: unknown) => void): void {
  try {
    const result = work()
    if (isThenable(result)) Promise.resolve(result).then(undefined, failed)
  } catch (error) {
    failed(error)
  }
}

/** Tells the user what went wrong: nothing is swallowed, and nothing of it ends the process. */
export function report(
  onError: ErrorListener,
  error: unknown,
  connection: Connection | undefined,
  context: Context,
): void {
  if (onError === undefined) {
    logLine(oneLine(error))
    return
  }
  guarded(
    () => context.run(onError, error, connection),
    (second) => {
      logLine(oneLine(error))
      logLine(oneLine(second))
    },
  )
}

/** As {@link report}, for a dial that nobody waits for: what the system says of it is told, and not logged. */
export function reportDial(onError: ErrorListener, error: unknown, context: Context): void {
  const isSystems = error instanceof NetpollError && error.errno !== undefined
  if (onError !== undefined || !isSystems) report(onError, error, undefined, context)
}

/** Whether a result of the user's code has to be waited for. */
export function isThenable(result: unknown): result is PromiseLike<unknown> {
  return (
    result instanceof Promise ||
    (typeof result === 'object' &&
      result !== null &&
      typeof (result as { then?: unknown }).then === 'function')
  )
}

const oneLine = (error: unknown): string => describe(error).replaceAll('\n', ' ')

/** One line about an error. */
export function describe(error: unknown): string {
  try {
    const code = error instanceof NetpollError ? `${error.code}: ` : ''
    return error instanceof Error ? `${code}${error.message}` : String(error)
  } catch {
    // Anything can be thrown, also what has no text.
    return 'an error that cannot be shown'
  }
}
