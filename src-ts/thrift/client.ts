import { follow, siteOf, captureContext, report } from '../extension'
import type { Resolver } from '../cluster/index'
import type { ClientTlsOptions, CloseOptions, DialTarget } from '../index'
import { clientNames, callOptionNames } from '../rpc/extension'
import {
  TransportClient,
  type ClusterClientOptions,
  type TransportClientOptions,
  type TransportClientStats,
  type RpcCallOptions,
} from '../rpc/index'
import { invalidValue } from '../errors'
import { type OptionNames, takeOptions } from '../checks/known-options'
import { checkOwn, own } from '../checks/own-constructor'
import { whenOver, whenRejected } from '../checks/promises'
import { binary } from './binary'
import { compact } from './compact'
import { FramedCodec } from './framed'
import {
  checkService,
  type GeneratedCallback,
  type GeneratedClient,
  type GeneratedClientClass,
  type ThriftService,
} from './generated'
import type { ThriftInput } from './input'
import { TApplicationException } from './library'
import { checkLimits, clientMaxLength, limitNames, type ThriftLimits } from './limits'
import type { OutputOwner, ThriftOutput } from './output'
import type { Protocol } from './protocol'
import { THeaderCodec } from './theader'
import { TTHeaderCodec } from './ttheader'
import { ApplicationError, MessageType } from './wire'

/** Options of {@link createThriftClient}: those of a `TransportClient`, and the format of calls on the wire. */
export type ThriftClientOptions = TransportClientOptions<Uint8Array, ThriftInput> & ThriftFormatOptions

/** Options of {@link createThriftClient} with a resolver: those of a cluster, and the format of calls on the wire. */
export type ThriftClusterOptions = ClusterClientOptions<Uint8Array, ThriftInput> & ThriftFormatOptions

/** The format of calls on the wire. */
export interface ThriftFormatOptions extends ThriftLimits {
  /** The transport around messages. Default `'framed'`, which has neither metadata nor deadlines. */
  readonly transport?: 'framed' | 'theader' | 'ttheader' | undefined
  /** Default `'binary'`, the only one that Kitex understands. */
  readonly protocol?: 'binary' | 'compact' | undefined
}

function thriftClientNames(
  address: DialTarget | Resolver,
  options: ThriftClientOptions | ThriftClusterOptions,
): Partial<OptionNames<ThriftClientOptions>> {
  return { ...clientNames(address, options), ...limitNames, transport: true, protocol: true }
}

const transports = { framed: FramedCodec, theader: THeaderCodec, ttheader: TTHeaderCodec }
const protocols = { binary, compact }

let newClient: <Client extends object>(
  service: ThriftService<Client>,
  address: DialTarget | Resolver,
  options: ThriftClientOptions | ThriftClusterOptions,
) => ThriftClient<Client>

/**
 * Calls a Thrift service at one address. Made by {@link createThriftClient}.
 *
 * @example
 * ```ts
 * import { createThriftClient } from 'netpoll/thrift'
 * import Echo from './gen-nodejs/Echo.js'
 *
 * const client = createThriftClient(Echo, { host: '127.0.0.1', port: 9090 })
 * const urgent = client.withOptions({ timeout: 100, metadata: { trace: 'a1' } })
 * console.log(typeof urgent.echo, client.stats().running) // function 0
 * await client.close()
 * ```
 */
export class ThriftClient<Client extends object> {
  /** The generated client. Calls reject with exceptions of the service or of Thrift, or with why there is no reply. */
  readonly service: Client
  readonly #Client: GeneratedClientClass
  readonly #transport: TransportClient<Uint8Array, ThriftInput>
  readonly #Output: Protocol['Output']
  readonly #onewayFailed: (error: unknown) => void

  static {
    newClient = (service, address, options) => new ThriftClient(own, service, address, options)
  }

  private constructor(
    given: typeof own,
    service: ThriftService<Client>,
    address: DialTarget | Resolver,
    options: ThriftClientOptions | ThriftClusterOptions,
  ) {
    checkOwn(given, 'Clients are made by createThriftClient')
    const taken = takeOptions('options', options, thriftClientNames(address, options))
    const { transport, protocol, maxLength, maxElements, maxInflatedLength, maxInflationRatio, ...others } =
      taken
    const Codec = choose('transport', transports, transport ?? 'framed')
    const chosen = choose('protocol', protocols, protocol ?? 'binary')
    const context = captureContext()
    this.#Client = service.Client as unknown as GeneratedClientClass
    this.#Output = chosen.Output
    this.#transport = new TransportClient(
      address as DialTarget,
      new Codec(chosen, checkLimits(taken, clientMaxLength)),
      others,
    )
    this.#onewayFailed = (error) => report(taken.onError, error, undefined, context)
    this.service = this.withOptions({})
  }

  /** A generated client whose calls have options: a timeout or deadline, a signal, metadata. Costs little to make. */
  withOptions(options: RpcCallOptions): Client {
    const taken = takeOptions('options', options, callOptionNames)
    const calls = new Calls(this.#transport, taken, this.#onewayFailed)
    calls.client = new this.#Client(calls, this.#Output)
    return calls.client as unknown as Client
  }

  /**
   * As `setSecureContext` of a `TransportClient`: replaces options of TLS. Connections that are dialed from now on go by them.
   *
   * @throws NetpollError `ERR_UNSUPPORTED` without `tls`; TypeError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, and
   * then nothing has changed
   *
   * @example
   * ```ts
   * import { readFileSync } from 'node:fs'
   * import { createThriftClient, createThriftServer } from 'netpoll/thrift'
   * import Echo from './gen-nodejs/Echo.js'
   *
   * const identity = () => ({ key: readFileSync('key.pem'), cert: readFileSync('certificate.pem') })
   * const server = createThriftServer(Echo, { echo: (request: object) => request }, { tls: identity() })
   * const client = createThriftClient(Echo, { host: '127.0.0.1', port: 9090 }, { tls: identity() })
   * server.setSecureContext(identity()) // once the files are others
   * client.setSecureContext(identity())
   * await client.close()
   * ```
   */
  setSecureContext(options: ClientTlsOptions): void {
    this.#transport.setSecureContext(options)
  }

  /** What the mux or pool holds now. */
  stats(): TransportClientStats {
    return this.#transport.stats()
  }

  /** As `close` of a `TransportClient`. */
  close(options: CloseOptions = {}): Promise<void> {
    return this.#transport.close(options)
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * Makes a client of a service that Apache Thrift's compiler has generated (`--gen js:node,es6`).
 *
 * @param address the server's address: `{ host, port }` or `{ path }`
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 *
 * @example
 * ```ts
 * import { createThriftClient, createThriftServer } from 'netpoll/thrift'
 * import Echo from './gen-nodejs/Echo.js'
 * import { Request, Response } from './gen-nodejs/echo_types.js'
 *
 * const server = createThriftServer(Echo, { echo: ({ message }: Request) => new Response({ message }) })
 * await server.listen({ host: '127.0.0.1', port: 9090 })
 *
 * const { service } = createThriftClient(Echo, { host: '127.0.0.1', port: 9090 }, { transport: 'ttheader' })
 * console.log((await service.echo(new Request({ message: 'hello' }))).message) // hello
 * ```
 */
export function createThriftClient<Client extends object>(
  service: ThriftService<Client>,
  address: DialTarget,
  options?: ThriftClientOptions,
): ThriftClient<Client>
/**
 * Makes a client of a service that runs on several servers, which a resolver finds.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 */
export function createThriftClient<Client extends object>(
  service: ThriftService<Client>,
  resolver: Resolver,
  options?: ThriftClusterOptions,
): ThriftClient<Client>
export function createThriftClient<Client extends object>(
  service: ThriftService<Client>,
  address: DialTarget | Resolver,
  options: ThriftClientOptions | ThriftClusterOptions = {},
): ThriftClient<Client> {
  checkService(service)
  return newClient(service, address, options)
}

function choose<Choices extends object>(name: string, choices: Choices, choice: keyof Choices) {
  if (Object.hasOwn(choices, choice)) return choices[choice]
  throw invalidValue(`options.${name}`, `must be one of ${Object.keys(choices).join(', ')}`, choice)
}

/** The calls of one generated client: what it writes is sent, and what is answered goes to its callback. */
class Calls implements OutputOwner {
  client: GeneratedClient | undefined
  output: ThriftOutput | undefined
  readonly #transport: TransportClient<Uint8Array, ThriftInput>
  readonly #options: RpcCallOptions
  readonly #onewayFailed: (error: unknown) => void

  constructor(
    transport: TransportClient<Uint8Array, ThriftInput>,
    options: RpcCallOptions,
    onewayFailed: (error: unknown) => void,
  ) {
    this.#transport = transport
    this.#options = options
    this.#onewayFailed = onewayFailed
  }

  flush(): void {
    const { client, output } = this
    if (client === undefined || output === undefined) return
    const { name, type, seqid } = output
    const body = output.take()
    if (type === MessageType.Oneway) {
      whenRejected(this.#transport.send(name, body, this.#options), this.#onewayFailed)
      return
    }
    const site = siteOf(entry)
    whenOver(
      this.#transport.call(name, body, this.#options),
      (input) => receive(client, name, seqid, input),
      (error) => {
        if (site !== undefined) follow(error, entry, site)
        takeCallback(client, seqid)?.(error)
      },
    )
  }
}

/** Where generated code sends a call, above which its caller's frame stands. */
const entry = Calls.prototype.flush

/** Has generated code read a reply. */
function receive(client: GeneratedClient, name: string, id: number, input: ThriftInput): void {
  const callback = takeCallback(client, id)
  if (callback === undefined) return
  const { fname, mtype } = input.readMessageBegin()
  if (fname !== name) {
    const problem = `The reply to ${name} is one to ${fname}`
    callback(new TApplicationException(ApplicationError.WrongMethodName, problem))
    return
  }
  // It says with nothing but a text that there is neither a result nor an exception.
  client._reqs[id] = (error, result) => {
    const isMissing = typeof error === 'string'
    callback(isMissing ? new TApplicationException(ApplicationError.MissingResult, error) : error, result)
  }
  try {
    client[`recv_${name}`]?.(input, mtype, id)
  } catch (error) {
    callback(error)
  }
}

function takeCallback(client: GeneratedClient, id: number): GeneratedCallback | undefined {
  const callback = client._reqs[id]
  delete client._reqs[id]
  return callback
}
