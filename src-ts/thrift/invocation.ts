import { describe } from '../extension'
import { isRpcError } from '../rpc/extension'
import { isError } from '../checks/kinds'
import type { GeneratedCallback } from './generated'
import { TApplicationException } from './library'
import { ignore, isThenable, whenSettled } from '../checks/thenables'

/** A method of a handler. */
export type Method = (...args: unknown[]) => unknown

/** Who waits for a call of a handler. */
export interface CallObserver {
  /** A one-way call is done. */
  done(): void
  /** It has failed with something that generated code would not pass on as it is. */
  failed(error: unknown): void
}

/**
 * One call of a method, as the handler that a generated processor is given. Generated code lets what a method throws at
 * once escape, forgets promises of one-way calls, and reduces exceptions to their text; this stands between.
 */
abstract class Invocation {
  readonly #implementation: object
  readonly #method: Method
  readonly #observer: CallObserver
  readonly #isOneway: boolean

  constructor(implementation: object, method: Method, isOneway: boolean, observer: CallObserver) {
    this.#implementation = implementation
    this.#method = method
    this.#observer = observer
    this.#isOneway = isOneway
  }

  /** A service may have methods of any name: what is ours is private. */
  static run(invocation: Invocation, args: unknown[]): void {
    invocation.#run(args)
  }

  /** What generated code calls, with the arguments, and for a reply with a callback. */
  #run(args: unknown[]): void {
    const observer = this.#observer
    if (this.#isOneway) {
      settle(
        () => this.#call(args),
        () => observer.done(),
        (error) => observer.failed(error),
      )
    } else {
      this.#runWithCallback(args, args.pop() as GeneratedCallback)
    }
  }

  #call(args: unknown[]): unknown {
    return this.#method.apply(this.#implementation, args)
  }

  /** A method that has more parameters than the service wants to be called back; any other returns what it gives. */
  #runWithCallback(own: unknown[], callback: GeneratedCallback): void {
    let isOver = false
    const answer: GeneratedCallback = (error, result) => {
      if (isOver) return
      isOver = true
      try {
        callback(error, result)
      } catch (problem) {
        // The result cannot be written.
        this.#observer.failed(problem)
      }
    }
    // Where there is no error, `null` is what it understands.
    const succeed = (result: unknown): void => answer(null, result)
    const fail = (error: unknown): void => {
      if (travelsAsItIs(error)) this.#observer.failed(error)
      else answer(toError(error))
    }
    if (this.#method.length <= own.length) {
      settle(() => this.#call(own), succeed, fail)
      return
    }
    const told: GeneratedCallback = (error, result) => {
      if (error === undefined || error === null) succeed(result)
      else fail(error)
    }
    settle(() => this.#call([...own, told]), ignore, fail)
  }
}

type InvocationClass = new (...given: ConstructorParameters<typeof Invocation>) => Invocation

/** By the names of methods: generated code finds the method by its name. */
const classes = new Map<string, InvocationClass>()

/** A call of `method`, which the service knows as `name`. */
export function invocationOf(
  implementation: object,
  name: string,
  method: Method,
  isOneway: boolean,
  observer: CallObserver,
): object {
  const known = classes.get(name) ?? newClass(name)
  return new known(implementation, method, isOneway, observer)
}

function newClass(name: string): InvocationClass {
  const made = class extends Invocation {}
  const method = function (this: Invocation, ...args: unknown[]): void {
    Invocation.run(this, args)
  }
  // Generated code wants to be called back where a method does not have exactly the parameters of the service. That
  // makes no promise.
  Object.defineProperty(method, 'length', { value: manyParameters })
  Object.defineProperty(made.prototype, name, { value: method, configurable: true })
  classes.set(name, made)
  return made
}

/** More than any method has. */
const manyParameters = 10_000

/** Calls one of the two, at once or later, by what the user's code gives or throws. */
function settle(
  work: () => unknown,
  onFulfilled: (result: unknown) => void,
  onRejected: (error: unknown) => void,
): void {
  let result: unknown
  try {
    result = work()
    if (isThenable(result)) {
      whenSettled(result, onFulfilled, onRejected)
      return
    }
  } catch (error) {
    onRejected(error)
    return
  }
  onFulfilled(result)
}

/** Asks the user's value, which may be a proxy. */
function travelsAsItIs(error: unknown): boolean {
  try {
    return isRpcError(error) || error instanceof TApplicationException
  } catch {
    return false
  }
}

function toError(error: unknown): Error {
  try {
    return isError(error) ? error : new Error(String(error))
  } catch {
    return new Error(describe(error))
  }
}
