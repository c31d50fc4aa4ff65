import {
  type CallOptions,
  type ClientTlsOptions,
  type CloseOptions,
  type DialTarget,
  Mux,
  type MuxOptions,
  type Payload,
  type GetOptions,
  Pool,
  type PoolStats,
  type PoolOptions,
} from '../index'
import {
  boundOfMux,
  boundOfPool,
  callOfMux,
  callOfPool,
  muxOptionNames,
  poolOptionNames,
  saysTrue,
} from '../extension'
import { clusterOptionNames, isResolver } from '../cluster/extension'
import type { ClusterOptions, ClusterStats, Resolver } from '../cluster/index'
import { invalidValue } from '../errors'
import { type OptionNames, optionNames } from '../checks/known-options'
import { type Choice, ClusterLink } from './cluster-link'
import { type Codec, decodeMessage } from './codec'
import type { BufferBound } from './inflater'
import { checkObject } from '../checks/arguments'

/** What codec and transport decide; everything else of a pool or mux is the user's. */
type Decided =
  | 'framing'
  | 'bytes'
  | 'id'
  | 'isGoAway'
  | 'onRequest'
  | 'onMessage'
  | 'onData'
  | 'ordered'
  | 'maxInFlight'

/** Many calls at once share few connections. */
export type MuxLinkOptions = {
  /** The default. */
  readonly kind?: 'mux' | undefined
} & Omit<MuxOptions, Decided>

/** A connection belongs to one call at a time. */
export type PoolLinkOptions = {
  /** Not the default. */
  readonly kind: 'pool'
} & Omit<PoolOptions, Decided>

/** A mux for each server that a resolver finds. */
export type ClusterLinkOptions = {
  /** The default, and the only one. */
  readonly kind?: 'mux' | undefined
} & Omit<ClusterOptions, Decided | 'isUnavailable'>

/** How calls use connections. */
export type LinkOptions = MuxLinkOptions | PoolLinkOptions

/** Names of options, without those that codec and transport decide. */
function undecided<Names extends { readonly [Name in Decided]: true }>(names: Names): Omit<Names, Decided> {
  const { framing, bytes, id, isGoAway, onRequest, onMessage, onData, ordered, maxInFlight, ...others } =
    names
  return others
}

const linkOptionNames = {
  mux: optionNames<MuxLinkOptions>({ ...undecided(muxOptionNames), kind: true }),
  pool: optionNames<PoolLinkOptions>({ ...undecided(poolOptionNames), kind: true }),
  cluster: optionNames<ClusterLinkOptions>({ ...ofClusters(), kind: true }),
} as const

function ofClusters(): Omit<typeof clusterOptionNames, Decided | 'isUnavailable'> {
  const { isUnavailable, ...others } = undecided(clusterOptionNames)
  return others
}

/**
 * The names of options that mean something for their `kind`.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 */
export function linkNames(
  address: DialTarget | Resolver,
  options: LinkOptions | ClusterLinkOptions,
): Partial<OptionNames<LinkOptions>> {
  checkObject('options', options)
  const { kind = 'mux' } = options
  if (isResolver(address)) {
    if (kind === 'mux') return linkOptionNames.cluster
    throw invalidValue('options.kind', "must be 'mux' with a resolver", kind)
  }
  if (kind === 'mux' || kind === 'pool') return linkOptionNames[kind]
  throw wrongKind(kind)
}

function wrongKind(kind: unknown): TypeError {
  return invalidValue('options.kind', "must be 'mux' or 'pool'", kind)
}

/** The connections of a client: a mux, a pool, or a cluster. */
export interface Link {
  /** `cancel` makes the message that tells the server of a call that was given up. */
  call(
    request: Payload,
    options: CallOptions,
    cancel: (() => Payload) | undefined,
    choice: Choice,
  ): Promise<Buffer>
  /** Sends what is not answered. */
  send(message: Payload, options: GetOptions, choice: Choice): Promise<void>
  /** Connections that are dialed from now on go by these options of TLS. */
  setSecureContext(options: ClientTlsOptions): void
  stats(): PoolStats & { readonly cluster?: ClusterStats | undefined }
  close(options?: CloseOptions): Promise<void>
}

/**
 * A link, and what counts against its `maxBufferedBytes`.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 */
export function openLink<Sent, Received>(
  address: DialTarget | Resolver,
  codec: Codec<Sent, Received>,
  options: LinkOptions | ClusterLinkOptions,
): { readonly link: Link; readonly bound: BufferBound } {
  const { kind = 'mux', ...others } = options
  const { framing, id } = codec
  const connection = {
    ...others,
    framing,
    ...(id !== undefined && { id }),
    // Without ids a message that says so would answer the next call.
    ...(id !== undefined &&
      codec.isGoAway && { isGoAway: (bytes: Buffer): boolean => saysGoAway(codec, bytes) }),
  }
  if (isResolver(address)) {
    const link = new ClusterLink(address, {
      ...connection,
      ...(codec.isUnavailable && { isUnavailable: (bytes) => saysUnavailable(codec, bytes) }),
    })
    return { link, bound: link.bound }
  }
  if (kind === 'mux') {
    const mux = new Mux(address, connection)
    return { link: new MuxLink(mux), bound: boundOfMux(mux) }
  }
  if (kind === 'pool') {
    const pool = new Pool(address, connection)
    return { link: new PoolLink(pool), bound: boundOfPool(pool) }
  }
  throw wrongKind(kind)
}

/** Of a message that answers no call. */
function saysGoAway<Sent, Received>(codec: Codec<Sent, Received>, bytes: Buffer): boolean {
  const message = decodeMessage(codec, bytes)
  const announces: unknown =
    message.kind !== 'compressed' && message.kind !== 'cancel' && codec.isGoAway?.(message)
  return saysTrue('codec.isGoAway', announces)
}

/** Of a reply. */
function saysUnavailable<Sent, Received>(codec: Codec<Sent, Received>, bytes: Buffer): boolean {
  return saysTrue('codec.isUnavailable', codec.isUnavailable?.(bytes))
}

class MuxLink implements Link {
  readonly #mux: Mux

  constructor(mux: Mux) {
    this.#mux = mux
  }

  call(request: Payload, options: CallOptions, cancel: (() => Payload) | undefined): Promise<Buffer> {
    return callOfMux(this.#mux, request, options, cancel)
  }

  send(message: Payload): Promise<void> {
    return this.#mux.send(message)
  }

  setSecureContext(options: ClientTlsOptions): void {
    this.#mux.setSecureContext(options)
  }

  stats(): PoolStats {
    return this.#mux.stats()
  }

  close(options?: CloseOptions): Promise<void> {
    return this.#mux.close(options)
  }
}

class PoolLink implements Link {
  readonly #pool: Pool

  constructor(pool: Pool) {
    this.#pool = pool
  }

  call(request: Payload, options: CallOptions, cancel: (() => Payload) | undefined): Promise<Buffer> {
    return callOfPool(this.#pool, request, options, cancel)
  }

  async send(message: Payload, options: GetOptions): Promise<void> {
    const connection = await this.#pool.get(options)
    try {
      await connection.send(message)
    } finally {
      this.#pool.put(connection)
    }
  }

  setSecureContext(options: ClientTlsOptions): void {
    this.#pool.setSecureContext(options)
  }

  stats(): PoolStats {
    return this.#pool.stats()
  }

  close(options?: CloseOptions): Promise<void> {
    return this.#pool.close(options)
  }
}
