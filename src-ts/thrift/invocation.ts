import { isThenable } from '../hooks'
import { isError } from '../kinds'
import { RpcError } from '../rpc/errors'
import type { GeneratedCallback } from './generated'
import { TApplicationException } from './library'

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
    if (this.#isOneway) return this.#runOneway(args)
    if (typeof callback === 'function') return this.#runWithCallback(args, callback as GeneratedCallback)
    try {
      const result = this.#call(args)
      if (!isThenable(result)) return result
      return Promise.resolve(result).catch((error) => this.#rejection(error))
    } catch (error) {
      return this.#rejection(error)
    }
  }

  #call(args: unknown[]): unknown {
    return this.#method.apply(this.#implementation, args)
  }

  async #runOneway(args: unknown[]): Promise<void> {
    try {
      await this.#call(args)
      this.#observer.done()
    } catch (error) {
      this.#observer.failed(error)
    }
  }

  /**
   * Generated code wants to be called back where a method does not have exactly the parameters of the service. Only one
   * that has more of them does so.
   */
  #runWithCallback(args: unknown[], callback: GeneratedCallback): void {
    const own = args.slice(0, -1)
    const answer: GeneratedCallback = (error, result) => {
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
    try {
      if (this.#method.length <= own.length) {
        Promise.resolve(this.#call(own)).then(succeed, fail)
        return
      }
      const settle: GeneratedCallback = (error, result) => {
        if (error === undefined || error === null) succeed(result)
        else fail(error)
      }
      const pending = this.#call([...own, settle])
      if (isThenable(pending)) Promise.resolve(pending).catch(fail)
    } catch (error) {
      fail(error)
    }
  }

  /** What generated code gets, which passes on exceptions that the service declares. */
  #rejection(error: unknown): Promise<never> {
    if (!travelsAsItIs(error)) return Promise.reject(toError(error))
    this.#observer.failed(error)
    return new Promise(() => {})
  }
}

function travelsAsItIs(error: unknown): boolean {
  return error instanceof TApplicationException || error instanceof RpcError
}

function toError(error: unknown): Error {
  return isError(error) ? error : new Error(String(error))
}
