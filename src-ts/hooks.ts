import type { Connection } from './connection'
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
export function report(onError: ErrorListener, error: unknown, connection: Connection | undefined): void {
  if (onError === undefined) {
    logLine(error)
    return
  }
  guarded(
    () => onError(error, connection),
    (second) => {
      logLine(error)
      logLine(second)
    },
  )
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

function logLine(error: unknown): void {
  const code = error instanceof NetpollError ? `${error.code}: ` : ''
  const text = error instanceof Error ? `${code}${error.message}` : String(error)
  process.stderr.write(`netpoll: ${text.replaceAll('\n', ' ')}\n`)
}
