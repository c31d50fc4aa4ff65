import type { TransportHandler, ServerCall } from '../rpc/index'
import type { GeneratedProcessor, ThriftService } from './generated'
import type { ThriftInput } from './input'
import { type CallObserver, invocationOf, type Method } from './invocation'
import { TApplicationException } from './library'
import type { OutputOwner, ThriftOutput } from './output'
import { readException } from './exceptions'
import { ApplicationError, MessageType } from './wire'

/** A call of a Thrift service. Its body is read by generated code. */
export type ThriftCall = ServerCall<ThriftInput>

/** A handler's methods by their name in the service, or what gives them for each call. */
export type HandlerSource<Handler extends object> = Handler | ((call: ThriftCall) => Handler)

/** What a call is answered with: once, by one of the two. */
export interface CallAnswer {
  answered(body: Uint8Array): void
  failed(error: unknown): void
}

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
    return new Promise((resolve, reject) => {
      this.answer(call, { answered: resolve, failed: reject })
    })
  }

  /** As {@link onRequest}, without a promise. */
  answer(call: ThriftCall, answer: CallAnswer): void {
    const { method: name, body: input } = call
    const kind = this.#methods.get(name)
    const implementation = typeof this.#source === 'function' ? this.#source(call) : this.#source
    const method = kind === undefined ? undefined : (implementation as Record<string, unknown>)[name]
    if (typeof method !== 'function') throw unknownMethod(name)
    const isOneway = kind === 'oneway'
    // Apache's Go sends one-way calls as any other, and waits for no answer.
    if (isOneway) call.expectsReply = false
    const observer = new Answer(input, answer)
    const invocation = invocationOf(implementation, name, method as Method, isOneway, observer)
    const output = isOneway ? undefined : new input.protocol.Output(observer)
    new this.#Processor(invocation).process(input, output)
  }
}

/** What a processor writes for one call. */
class Answer implements OutputOwner, CallObserver {
  output: ThriftOutput | undefined
  readonly #input: ThriftInput
  readonly #answer: CallAnswer

  constructor(input: ThriftInput, answer: CallAnswer) {
    this.#input = input
    this.#answer = answer
  }

  failed(error: unknown): void {
    this.#answer.failed(error)
  }

  flush(): void {
    const { output } = this
    if (output === undefined) return
    const body = output.take()
    if (output.type === MessageType.Reply) this.#answer.answered(body)
    // What the service does not declare. Generated code knows it by its text, and by no type.
    else this.failed(new Error(readException(this.#input.protocol.openBody(body)).message))
  }

  done(): void {
    this.#answer.answered(nothing)
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
