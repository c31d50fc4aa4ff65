import type { TransportHandler, ServerCall } from '../rpc/index'
import type { GeneratedProcessor, ThriftService } from './generated'
import type { ThriftInput } from './input'
import { type CallObserver, Invocation, type Method } from './invocation'
import { TApplicationException } from './library'
import type { OutputOwner, ThriftOutput } from './output'
import { readException } from './exceptions'
import { ApplicationError, MessageType } from './wire'

/** A call of a Thrift service. Its body is read by generated code. */
export type ThriftCall = ServerCall<ThriftInput>

/** A handler's methods by their name in the service, or what gives them for each call. */
export type HandlerSource<Handler extends object> = Handler | ((call: ThriftCall) => Handler)

/** Runs calls by a generated processor. */
export class ThriftServiceHandler<Handler extends object>
  implements TransportHandler<Uint8Array, ThriftInput>
{
  readonly #Processor: new (
    handler: object,
  ) => GeneratedProcessor
  readonly #methods: ReadonlyMap<string, MethodKind>
  readonly #source: HandlerSource<Handler>

  constructor(service: ThriftService, source: HandlerSource<Handler>) {
    this.#Processor = service.Processor as new (handler: object) => GeneratedProcessor
    this.#methods = methodsOf(this.#Processor)
    this.#source = source
  }

  onRequest(call: ThriftCall): Promise<Uint8Array> {
    const { method: name, body: input } = call
    const kind = this.#methods.get(name)
    const implementation = typeof this.#source === 'function' ? this.#source(call) : this.#source
    const method = kind === undefined ? undefined : (implementation as Record<string, unknown>)[name]
    if (typeof method !== 'function') throw unknownMethod(name)
    const isOneway = kind === 'oneway'
    // Apache's Go sends one-way calls as any other, and waits for no answer.
    if (isOneway) call.expectsReply = false
    return new Promise((resolve, reject) => {
      const answer = new Answer(input, resolve, reject)
      const invocation = new Invocation(implementation, { name, method: method as Method, isOneway }, answer)
      const output = isOneway ? undefined : new input.protocol.Output(answer)
      new this.#Processor(invocation).process(input, output)
    })
  }
}

/** What a processor writes for one call. */
class Answer implements OutputOwner, CallObserver {
  output: ThriftOutput | undefined
  readonly #input: ThriftInput
  readonly #resolve: (body: Uint8Array) => void
  readonly failed: (error: unknown) => void

  constructor(input: ThriftInput, resolve: (body: Uint8Array) => void, reject: (error: unknown) => void) {
    this.#input = input
    this.#resolve = resolve
    this.failed = reject
  }

  flush(): void {
    const { output } = this
    if (output === undefined) return
    const body = output.take()
    if (output.type === MessageType.Reply) this.#resolve(body)
    // What the service does not declare. Generated code knows it by its text, and by no type.
    else this.failed(new Error(readException(this.#input.protocol.openBody(body)).message))
  }

  done(): void {
    this.#resolve(nothing)
  }
}

const nothing = new Uint8Array(0)

type MethodKind = 'answered' | 'oneway'

/** The methods that a processor knows, those of services that its service extends included. */
function methodsOf(Processor: new (handler: object) => object): ReadonlyMap<string, MethodKind> {
  const methods = new Map<string, MethodKind>()
  for (let part: object | null = Processor.prototype; part !== null; part = Object.getPrototypeOf(part)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(part))) {
      const method = name.startsWith('process_') ? name.slice('process_'.length) : undefined
      if (method === undefined || methods.has(method)) continue
      // What is generated of a one-way method is told from others by this alone: it never flushes an answer.
      methods.set(method, String(value).includes('flush') ? 'answered' : 'oneway')
    }
  }
  return methods
}

function unknownMethod(name: string): TApplicationException {
  return new TApplicationException(ApplicationError.UnknownMethod, `Unknown function ${name}`)
}
