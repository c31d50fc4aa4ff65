// What a handler's result or error may be, where nobody means well or knows better.
import { runInNewContext } from 'node:vm'

/** What one handler does, and what its peer gets: a reply, or the end of its connection. */
export interface Hostile {
  readonly answer: string | 'closed'
  /** `owner` is the connection, or what a worker's handler gets instead. */
  readonly handle: (owner: object) => unknown
}

function thrower(): never {
  throw new Error('hostile')
}

function revoked(target: object = {}): object {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

/** Every trap throws. */
function trapped(target: object): object {
  return new Proxy(target, new Proxy({}, { get: () => thrower }))
}

function detached(): Uint8Array {
  const bytes = Uint8Array.of(97)
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  return bytes
}

/** Says of itself what is not so. */
class Liar extends Uint8Array {
  override get length(): number {
    return 1_000_000
  }

  override get byteLength(): number {
    return 3
  }

  override get byteOffset(): number {
    return 77
  }

  override get buffer(): never {
    return thrower()
  }
}

class Species extends Promise<string> {
  static override get [Symbol.species](): never {
    return thrower()
  }
}

/** Whose promises throw when they are settled by `then`, where nothing catches it. */
class Throwing extends Promise<string> {
  constructor(executor: ConstructorParameters<typeof Promise<string>>[0]) {
    // Those that `resolve` and `reject` make are settled at once.
    let isMade = false
    super((resolve, reject) =>
      executor(
        (value) => (isMade ? thrower() : resolve(value)),
        (error) => (isMade ? thrower() : reject(error)),
      ),
    )
    queueMicrotask(() => {
      isMade = true
    })
  }
}

class Breeding extends Promise<string> {
  static override get [Symbol.species](): PromiseConstructor {
    return Throwing as unknown as PromiseConstructor
  }
}

class Heir extends Promise<string> {}

function withMembers<Target extends object>(
  target: Target,
  members: Readonly<Record<string, () => unknown>>,
): Target {
  for (const [name, get] of Object.entries(members)) Object.defineProperty(target, name, { get })
  return target
}

/** Throws what throws again when it is looked at. */
function rethrow(error: unknown): () => never {
  return () => {
    throw error
  }
}

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text))

function shared(text: string): Uint8Array {
  const memory = new Uint8Array(new SharedArrayBuffer(text.length))
  memory.set(Buffer.from(text))
  return memory
}

function resizable(text: string): Uint8Array {
  const Growing = ArrayBuffer as unknown as new (length: number, options: object) => ArrayBuffer
  const memory = new Uint8Array(new Growing(text.length, { maxByteLength: 64 }))
  memory.set(Buffer.from(text))
  return memory
}

/** A list whose second element is asked for by `get`. */
function list(first: unknown, get: () => unknown): unknown[] {
  return withMembers([first], { 1: get })
}

const closed = 'closed'

/** Members that the package might use of what users have. */
const internals = [
  'owner',
  'slot',
  'generation',
  'poller',
  'context',
  'flow',
  'alarm',
  'receive',
  'identify',
  'inactive',
  'closed',
  'fail',
  'refuse',
  'destroy',
  'close',
  'open',
  'begin',
  'submit',
  'isOpen',
  'isOpening',
  'isClean',
  'isActive',
  'takesReplies',
  'onRequest',
  'data',
  'facade',
]

export const hostile: Readonly<Record<string, Hostile>> = {
  'a proxy of a promise': { answer: closed, handle: () => new Proxy(Promise.resolve('a'), {}) },
  'a proxy whose traps throw': { answer: closed, handle: () => trapped({}) },
  'a revoked proxy': { answer: closed, handle: () => revoked() },
  'a revoked proxy of a list': { answer: closed, handle: () => revoked([]) },
  'a promise of a revoked proxy': {
    answer: closed,
    handle: () => new Promise((_, reject) => reject(revoked())),
  },
  // biome-ignore lint/suspicious/noThenProperty: what thenables may do is what is tested
  'a thenable that throws': { answer: closed, handle: () => ({ then: thrower }) },
  // biome-ignore lint/suspicious/noThenProperty: as above
  'a thenable whose member throws': { answer: closed, handle: () => withMembers({}, { then: thrower }) },
  'a thenable whose member throws later': {
    answer: closed,
    handle: () => {
      let asked = 0
      // biome-ignore lint/suspicious/noThenProperty: as above
      return withMembers({}, { then: () => (asked++ === 0 ? () => {} : thrower()) })
    },
  },
  'a thenable that calls back twice': {
    answer: 'a',
    // biome-ignore lint/suspicious/noThenProperty: as above
    handle: () => ({ then: (done: (value: string) => void) => [done('a'), done('b')] }),
  },
  'a thenable that calls back and throws': {
    answer: 'a',
    // biome-ignore lint/suspicious/noThenProperty: as above
    handle: () => ({ then: (done: (value: string) => void) => [done('a'), thrower()] }),
  },
  'a thenable that fulfils and rejects': {
    answer: 'a',
    handle: () => ({
      // biome-ignore lint/suspicious/noThenProperty: as above
      then: (done: (value: string) => void, failed: (error: unknown) => void) => [done('a'), failed('b')],
    }),
  },
  'a promise with a then of its own': {
    answer: 'a',
    handle: () =>
      Object.assign(Promise.resolve('x'), {
        // biome-ignore lint/suspicious/noThenProperty: as above
        then: (done: (value: string) => void) => [done('a'), done('b')],
      }),
  },
  'a promise whose constructor throws': {
    answer: closed,
    handle: () => withMembers(Promise.resolve('a'), { constructor: thrower }),
  },
  'a promise whose constructor changes': {
    answer: closed,
    handle: () => {
      let asked = 0
      return withMembers(Promise.resolve('a'), { constructor: () => (asked++ === 0 ? Promise : Throwing) })
    },
  },
  'a promise whose constructor changes, and can be replaced': {
    answer: 'a',
    handle: () => {
      let asked = 0
      return Object.defineProperty(Promise.resolve('a'), 'constructor', {
        get: () => (asked++ === 0 ? Promise : Throwing),
        configurable: true,
      })
    },
  },
  'a promise whose constructor throws the second time': {
    answer: closed,
    handle: () => {
      let asked = 0
      return withMembers(Promise.resolve('a'), { constructor: () => (asked++ === 0 ? Promise : thrower()) })
    },
  },
  'a promise that makes promises which throw': { answer: 'a', handle: () => Throwing.resolve('a') },
  'a promise that makes promises which throw, rejected': {
    answer: closed,
    handle: () => Throwing.reject(new Error('hostile')),
  },
  'a frozen promise that makes promises which throw': {
    answer: closed,
    handle: () => Object.freeze(Throwing.resolve('a')),
  },
  'a promise whose species makes promises which throw': { answer: 'a', handle: () => Breeding.resolve('a') },
  'a frozen promise': { answer: 'a', handle: () => Object.freeze(Promise.resolve('a')) },
  'a promise of a subclass': { answer: 'a', handle: () => Heir.resolve('a') },
  'a promise whose species throws': { answer: closed, handle: () => Species.resolve('a') },
  'what only inherits from promises': { answer: closed, handle: () => Object.create(Promise.prototype) },
  'a promise of another realm': { answer: 'a', handle: () => runInNewContext("Promise.resolve('a')") },
  'bytes of another realm': { answer: 'a', handle: () => runInNewContext('Uint8Array.of(97)') },
  'a list of another realm': { answer: 'ab', handle: () => runInNewContext("['a', Uint8Array.of(98)]") },
  'an error of another realm': { answer: closed, handle: () => runInNewContext("throw new TypeError('a')") },
  'a list whose element throws': { answer: closed, handle: () => list('a'.repeat(900), thrower) },
  'a list that throws within': {
    answer: closed,
    handle: () =>
      new Proxy(['a', 'b', 'c'], { get: (of, name) => (name === '2' ? thrower() : Reflect.get(of, name)) }),
  },
  'a list that changes': {
    answer: 'ab',
    handle: () => {
      let asked = 0
      return list('a', () => (asked++ === 0 ? 'b' : 'b'.repeat(100_000)))
    },
  },
  'a list whose iterator throws': {
    answer: 'ab',
    handle: () => Object.assign(['a', 'b'], { [Symbol.iterator]: thrower }),
  },
  'a list that detaches its first piece': {
    answer: closed,
    handle: () => {
      const first = bytes('a'.repeat(600))
      return list(first, () => {
        structuredClone(first.buffer, { transfer: [first.buffer as ArrayBuffer] })
        return 'b'
      })
    },
  },
  'a frozen list': { answer: 'ab', handle: () => Object.freeze(['a', 'b']) },
  'bytes that lie': { answer: 'abcd', handle: () => new Liar(bytes('abcd')) },
  'a list of bytes that lie': { answer: 'abcde', handle: () => [new Liar(bytes('abcd')), 'e'] },
  'bytes with members of their own': {
    answer: 'abcd',
    handle: () => withMembers(bytes('abcd'), { length: thrower, buffer: thrower, byteOffset: thrower }),
  },
  'bytes that are detached': { answer: closed, handle: detached },
  'a list of bytes that are detached': { answer: closed, handle: () => [detached(), 'b'] },
  'memory that may be resized': { answer: 'abcd', handle: () => resizable('abcd') },
  'memory that is shared': { answer: 'abcd', handle: () => shared('abcd') },
  'half a surrogate pair': { answer: '\ufffda\ufffd', handle: () => '\ud800a\udc00' },
  'a list of halves': { answer: '\ufffd\ufffd', handle: () => ['\ud83d', '\ude00'] },
  'what has no text': { answer: closed, handle: () => ({ [Symbol.toPrimitive]: thrower }) },
  'throws a revoked proxy': { answer: closed, handle: rethrow(revoked()) },
  'throws a proxy whose traps throw': { answer: closed, handle: rethrow(trapped(new Error('a'))) },
  'throws an error whose members throw': {
    answer: closed,
    handle: rethrow(
      withMembers(new TypeError('a'), { stack: thrower, message: thrower, code: thrower, name: thrower }),
    ),
  },
  'throws what has no text': { answer: closed, handle: rethrow({ [Symbol.toPrimitive]: thrower }) },
  'throws nothing': { answer: closed, handle: rethrow(undefined) },
  'sets what the package keeps': {
    answer: 'a',
    handle: (owner) => {
      for (const name of internals) {
        if (name !== 'onRequest') Reflect.set(owner, name, 'user')
      }
      return 'a'
    },
  },
  'replaces what the package calls': {
    answer: 'a',
    handle: (owner) => {
      for (const name of internals) Reflect.defineProperty(owner, name, { get: thrower, configurable: true })
      return 'a'
    },
  },
  'deletes what the package keeps': {
    answer: 'a',
    handle: (owner) => {
      for (const name of Reflect.ownKeys(owner)) Reflect.deleteProperty(owner, name)
      return 'a'
    },
  },
  'freezes its owner': {
    answer: 'a',
    handle: (owner) => {
      Object.freeze(owner)
      return 'a'
    },
  },
  'changes the prototype of its owner': {
    answer: 'a',
    handle: (owner) => {
      Object.setPrototypeOf(owner, trapped({}))
      return 'a'
    },
  },
}
