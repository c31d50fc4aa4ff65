import { processSettings } from './settings'
import * as clock from '../time/clock'
import { isReason } from '../abort'
import { isArgumentError, isNetpollError, type NetpollError, withoutStack } from '../errors'
import { stepBudget } from '../time/step-budget'
import { whenOver } from '../checks/promises'
import { microtask } from '../time/timers'

/** Taken at load. It puts the frames above a function that is named, and those who await, into the stack of what it is given. */
const { captureStackTrace } = Error

/** A public function of ours, which its caller's frame stands above. */
export type Entry = (...parameters: never[]) => unknown

/**
 * Errors of calls whose stacks are made in a turn of the event loop, and within {@link interval}. Each stack takes some
 * microseconds and some hundred bytes. Thousands of calls may fail at once, or turn after turn.
 */
const maxAtOnce = 100
/** Milliseconds. */
const interval = 10

let turn = 0
let began = Number.NEGATIVE_INFINITY
let made = 0

/** Those that the next call to fail rejects together with. */
let together: Rejections | undefined

/** Errors that have the stack of the code that awaits them, made anew on their way. */
const followed = new WeakSet<Error>()

/** Where a call was made. */
export class CallSite {
  /** A user's `prepareStackTrace` gets it, and may read every member of an error. */
  readonly #noted = withoutStack(() => new Error())

  constructor(entry: Entry) {
    capture(this.#noted, entry)
  }

  /** Has an error of ours say where its call was made, instead of where it was found. */
  giveTo(error: Error): void {
    try {
      const { name, message } = error
      // Its text is made by now.
      const { stack } = Object.assign(this.#noted, { name, message }) as { readonly stack: unknown }
      // Where the user's is none, the error has the one that was made where it was found.
      if (typeof stack === 'string') error.stack = withHeader(stack, `${name}: ${message}`)
    } catch {
      // A user's `prepareStackTrace` has thrown: then the stack stays what it is.
    }
  }
}

/** Hosts other than Node.js make the text where the stack is noted. Users have formats of their own. */
function withHeader(stack: string, header: string): string {
  if (stack.startsWith(header)) return stack
  const frames = /\n {4}at [\s\S]*$/.exec(stack)?.[0]
  return frames === undefined ? stack : header + frames
}

/** Where a call is made that has come in by `entry`, where that was asked for: it takes about as long as a call itself. */
export function siteOf(entry: Entry): CallSite | undefined {
  return processSettings().callStacks ? new CallSite(entry) : undefined
}

/** Who waits: by a public function that is running, or where that was noted before, if it was. */
export type Caller = Entry | CallSite | undefined

/** As {@link siteOf}, of a caller that may have been noted. */
export function siteOfCaller(caller: Caller): CallSite | undefined {
  return typeof caller === 'function' ? siteOf(caller) : caller
}

/** Has the stack of an error of ours begin where `entry`, which is running, was called. */
export function beginAt(error: unknown, entry: Entry): void {
  if (isArgumentError(error) || (isNetpollError(error) && !isReason(error))) begin(error, entry)
}

function begin(error: Error, entry: Entry): void {
  capture(error, entry)
  followed.add(error)
}

/** A promise that rejects at the pace of this thread, by an error whose stack begins as {@link beginAt} has it. */
export function refuseAt(error: unknown, entry: Entry): Promise<never> {
  beginAt(error, entry)
  return stepBudget.refuse(error)
}

/**
 * Rejects a call by an error that is its own, whose stack shows where the call was made. Without that configuration, the
 * stack shows the functions that await the call, which costs nothing until then. V8 follows promises from the running
 * function to those that wait for it, through the functions that V8 itself has made to settle a promise. Calls that fail
 * together reject in order.
 */
export function rejectCall<Reply>(
  resolve: (reply: Reply) => void,
  reject: (error: unknown) => void,
  error: unknown,
  site: CallSite | undefined,
): void {
  if (isNetpollError(error)) {
    if (site !== undefined) {
      site.giveTo(error)
      followed.add(error)
    } else if (hasRoom()) {
      whenOver<Reply>(throwAwaited(error), resolve, reject)
      // Whatever fails after it rejects after it.
      together = undefined
      return
    }
  }
  together ??= new Rejections()
  together.add(reject, error)
}

/** Says of an error of ours who awaits the call that ends with it, by another `entry` that is running. */
export function follow(error: unknown, entry: Entry, site: CallSite | undefined): void {
  const own = error as Error
  if (!followed.has(own)) return
  if (site === undefined) capture(own, entry)
  else site.giveTo(own)
}

/** Has {@link follow} make the stack of an error anew that was just made; returns it. */
export function markFollowed<Made extends Error>(error: Made): Made {
  if (hasRoom()) followed.add(error)
  return error
}

async function throwAwaited(error: NetpollError): Promise<never> {
  // Who makes the call, within functions of ours, awaits it by then.
  await undefined
  await undefined
  capture(error, throwAwaited)
  followed.add(error)
  throw error
}

/**
 * Calls that fail one after the other, and reject in one microtask. Where thousands run out of time, a microtask for each
 * call costs as much as all else. Its garbage has V8 copy what waits.
 */
class Rejections {
  readonly #rejects: ((error: unknown) => void)[] = []
  readonly #errors: unknown[] = []

  constructor() {
    // As many microtasks later as by `throwAwaited`, whose error goes from promise to promise in one more.
    microtask(() => {
      if (together === this) together = undefined
      microtask(() => microtask(() => this.#reject()))
    })
  }

  add(reject: (error: unknown) => void, error: unknown): void {
    this.#rejects.push(reject)
    this.#errors.push(error)
  }

  #reject(): void {
    for (const [index, reject] of this.#rejects.entries()) reject(this.#errors[index])
  }
}

function capture(error: Error, entry: Entry): void {
  try {
    captureStackTrace(error, entry)
  } catch {
    // A user's `prepareStackTrace` has thrown: then the stack stays what it is.
  }
}

function hasRoom(): boolean {
  if (!stepBudget.isNow(turn)) {
    stepBudget.step(0)
    turn = stepBudget.turn
    const now = clock.now()
    if (now - began >= interval) {
      began = now
      made = 0
    }
  }
  made += 1
  return made <= maxAtOnce
}
