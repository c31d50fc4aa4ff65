import { processSettings } from './configuration'
import { NetpollError } from './errors'
import { pace } from './pace'

/** Taken at load. It puts the frames above a function that is named, and those who await, into the stack of what it is given. */
const { captureStackTrace } = Error

/** A public function of ours, which its caller's frame stands above. */
type Entry = (...parameters: never[]) => unknown

/** Errors of calls whose stacks are made in a turn of the event loop: each takes some microseconds, and thousands may fail at once. */
const mostInTurn = 100

let turn = 0
let made = 0

/** Errors that have the stack of the code that awaits them, made anew on their way. */
const followed = new WeakSet<Error>()

/** Where a call was made. */
export class CallSite {
  declare readonly stack: unknown

  constructor(entry: Entry) {
    captureStackTrace(this, entry)
  }

  /** Has an error of ours say where its call was made, instead of where it was found. */
  giveTo(error: Error): void {
    try {
      const { stack } = this
      const frames = typeof stack === 'string' ? /\n {4}at [\s\S]*$/.exec(stack)?.[0] : undefined
      error.stack = `${error.name}: ${error.message}${frames ?? ''}`
    } catch {
      // A `prepareStackTrace` of the user's has thrown: then it stays what it is.
    }
  }
}

/** Where a call is made that has come in by `entry`, where that was asked for: it takes about as long as a call itself. */
export function siteOf(entry: Entry): CallSite | undefined {
  return processSettings().callStacks ? new CallSite(entry) : undefined
}

/** Has the stack of an error of ours begin where `entry`, which is running, was called. */
export function beginAt(error: unknown, entry: Entry): void {
  if (!NetpollError.isOne(error)) return
  capture(error, entry)
  followed.add(error)
}

/**
 * Rejects a call by an error that is its own, whose stack says where the call was made. Where no configuration asks for that, it
 * says who awaits the call, which costs nothing until then: V8 follows promises from the function that runs to those that
 * wait for it.
 */
export function rejectCall(
  resolve: (error: Promise<never>) => void,
  reject: (error: unknown) => void,
  error: unknown,
  site: CallSite | undefined,
): void {
  if (!NetpollError.isOne(error)) {
    reject(error)
  } else if (site !== undefined) {
    site.giveTo(error)
    followed.add(error)
    reject(error)
  } else if (hasRoom()) {
    resolve(throwAwaited(error))
  } else {
    reject(error)
  }
}

/** Says of an error of ours who awaits the call that ends with it, by another `entry` that is running. */
export function follow(error: unknown, entry: Entry, site: CallSite | undefined): void {
  const own = error as Error
  if (!followed.has(own)) return
  if (site === undefined) capture(own, entry)
  else site.giveTo(own)
}

/** Has {@link follow} make the stack of an error anew that was just made. */
export function markFollowed(error: Error): void {
  if (hasRoom()) followed.add(error)
}

async function throwAwaited(error: NetpollError): Promise<never> {
  // The call's promise waits for this one by then.
  await undefined
  await undefined
  capture(error, throwAwaited)
  followed.add(error)
  throw error
}

function capture(error: Error, entry: Entry): void {
  try {
    captureStackTrace(error, entry)
  } catch {
    // A `prepareStackTrace` of the user's has thrown: then it stays what it is.
  }
}

function hasRoom(): boolean {
  if (!pace.isNow(turn)) {
    pace.step(0)
    turn = pace.turn
    made = 0
  }
  made += 1
  return made <= mostInTurn
}
