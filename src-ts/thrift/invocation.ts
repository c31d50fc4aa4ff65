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
export class Invocation {
  readonly #implementation: object
  readonly #method: Method
  readonly #observer: CallObserver
  readonly #isOneway: boolean

  constructor(
    implementation: object,
    {
      name,
      method,
      isOneway,
    }: { readonly name: string; readonly method: Method; readonly isOneway: boolean },
    observer: CallObserver,
  ) {
    this.#implementation = implementation
    this.#method = method
    this.#observer = observer
    this.#isOneway = isOneway
    Object.assign(this, { [name]: Invocation.#guard(method.length) })
  }

  /** By their number of parameters, from which generated code tells whether a method wants a callback. */
  static readonly #guards: Method[] = []

  static #guard(length: number): Method {
    const known = Invocation.#guards[length]
    if (known !== undefined) return known
    const guard = function (this: Invocation, ...args: unknown[]): unknown {
      return this.#run(args)
    }
    Object.defineProperty(guard, 'length', { value: length })
    Invocation.#guards[length] = guard
    return guard
  }

  #run(args: unknown[]): unknown {
    const callback = args.at(-1)
    const observer = this.#observer
    if (this.#isOneway) {
      settle(
        () => this.#call(args),
        () => observer.done(),
        (error) => observer.failed(error),
      )
    } else if (typeof callback === 'function') {
      this.#runWithCallback(args, callback as GeneratedCallback)
    } else {
      return this.#outcome(args)
    }
    return undefined
  }

  #call(args: unknown[]): unknown {
    return this.#method.apply(this.#implementation, args)
  }

  /**
   * A native promise, whatever the method returns. Generated code calls its `then` and `catch`. What that code throws while
   * it writes an exception, such as an error of a user's member, would end the process.
   */
  #outcome(args: unknown[]): Promise<unknown> {
    const failed = (error: unknown): void => this.#observer.failed(error)
    const outcome = new OwnPromise((resolve, reject) => {
      const refuse = (error: unknown): void => {
        if (travelsAsItIs(error)) failed(error)
        else reject(toError(error))
      }
      settle(() => this.#call(args), resolve, refuse)
    })
    return Object.assign(outcome, {
      // biome-ignore lint/suspicious/noThenProperty: it is that of a promise
      then: (answer: (result: unknown) => unknown, fail?: (error: unknown) => unknown) => {
        const answered = then.call(outcome, answer, fail)
        if (fail !== undefined) then.call(answered, undefined, failed)
        return Object.assign(answered, {
          catch: (refuse: (error: unknown) => unknown) =>
            then.call(then.call(answered, undefined, refuse), undefined, failed),
        })
      },
    })
  }

  /**
   * Generated code wants to be called back where a method does not have exactly the parameters of the service. Only one
   * that has more of them does so.
   */
  #runWithCallback(args: unknown[], callback: GeneratedCallback): void {
    const own = args.slice(0, -1)
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

/** Of the language, whatever users make of it later. */
const OwnPromise = Promise
const { then } = OwnPromise.prototype

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
