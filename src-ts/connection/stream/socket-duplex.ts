import { Duplex, type DuplexOptions } from 'node:stream'

import { invalidType, NetpollError } from '../../errors'
import type { Address, TcpAddress } from '../../native/address'
import { errnoOf } from '../../process/report'
import type { Facade } from '../hooks'
import { maxKeepAlive, maxTimeout, outOfRange } from '../../time/time-limits'
import { addTlsMembers, removeTlsMembers, type TlsMembers } from './tls-members'
import type { ConnectionTls } from '../../tls/connection-tls'
import type { StreamTransport } from './transport'

/** Seconds after which `setKeepAlive` has a silent peer probed, where no time is named: what systems come with. */
const usualKeepAlive = 7_200

/** @internal The connection of a stream; `undefined` until one that dials is connected. */
export let transportOf: (duplex: SocketDuplex) => StreamTransport | undefined

/** The same, and `undefined` of a prototype: programs read the members of that, too. */
let knownOf: (duplex: SocketDuplex) => StreamTransport | undefined

/** @internal Gives a stream its connection, or takes it away. */
export let setTransport: (duplex: SocketDuplex, transport: StreamTransport | undefined) => void

/** @internal Has the stream tell that its connection was silent for {@link SocketDuplex.timeout}. */
export let tellSilence: (duplex: SocketDuplex) => void

/**
 * A stream with the members that libraries use of `net.Socket`, as far as they tell or set what its connection is. One whose
 * connection has TLS has those of `tls.TLSSocket`, too.
 */
export class SocketDuplex<Owner extends Facade = Facade> extends Duplex {
  /** True, where the connection has TLS. */
  declare readonly encrypted?: TlsMembers['encrypted'] | undefined
  /** As {@link ConnectionTls.authorized}. */
  declare readonly authorized?: TlsMembers['authorized'] | undefined
  /** As {@link ConnectionTls.authorizationError}; `null` where nothing is wrong. */
  declare readonly authorizationError?: TlsMembers['authorizationError'] | undefined
  /** The application protocol; `false` where there is none. */
  declare readonly alpnProtocol?: TlsMembers['alpnProtocol'] | undefined
  /** The name that the client has asked for; `false` where it has asked for none. */
  declare readonly servername?: TlsMembers['servername'] | undefined
  /** The version of TLS. */
  declare readonly getProtocol?: TlsMembers['getProtocol'] | undefined
  /** The cipher. */
  declare readonly getCipher?: TlsMembers['getCipher'] | undefined
  /** The peer's certificate, without those that have issued it; `{}` where it has shown none. */
  declare readonly getPeerCertificate?: TlsMembers['getPeerCertificate'] | undefined
  /** Whether an earlier session was resumed. */
  declare readonly isSessionReused?: TlsMembers['isSessionReused'] | undefined
  /** Milliseconds of silence after which `'timeout'` is emitted, as {@link setTimeout} has set them. */
  timeout: number | undefined
  /** Bytes that had gone either way when `'timeout'` was last emitted: a silence is told once. */
  #silentAt = -1
  #transport: StreamTransport | undefined

  static {
    transportOf = (duplex) => duplex.#transport
    knownOf = (duplex) => (#transport in duplex ? duplex.#transport : undefined)
    setTransport = (duplex, transport) => {
      duplex.#transport = transport
      duplex.#silentAt = -1
      duplex.#followTls()
    }
    tellSilence = (duplex) => duplex.#tellSilence()
  }

  /** @internal */
  constructor(transport: StreamTransport | undefined, options: DuplexOptions) {
    super(options)
    this.#transport = transport
    if (transport !== undefined) this.#followTls()
  }

  /** A connection has TLS or has none as long as it is a stream. */
  #followTls(): void {
    const tls = this.#transport?.core.socket.tls
    if (tls !== undefined) addTlsMembers(this, tls)
    else removeTlsMembers(this)
  }

  /**
   * The connection that this is the stream of, for its `data` and limits. Do not send or close by it.
   *
   * @throws NetpollError `ERR_CONN_CLOSED` of a {@link DialedSocket} that is not connected yet
   */
  get connection(): Owner {
    const transport = knownOf(this)
    if (transport === undefined) throw new NetpollError('ERR_CONN_CLOSED', 'The socket is not connected')
    return transport.core.facade as Owner
  }

  /** Always false: a connection is established before the user has it. */
  get connecting(): boolean {
    return false
  }

  /** Whether there is no connection: from `destroy` on. */
  get pending(): boolean {
    return this.destroyed
  }

  /** `'open'`, `'readOnly'`, `'writeOnly'` or `'closed'`. */
  get readyState(): string {
    if (this.readable) return this.writable ? 'open' : 'readOnly'
    return this.writable ? 'writeOnly' : 'closed'
  }

  /** As `writableLength`; `undefined` once it is destroyed. */
  get bufferSize(): number | undefined {
    return this.destroyed ? undefined : this.writableLength
  }

  /** The peer's IP address; `undefined` on a unix socket. */
  get remoteAddress(): string | undefined {
    return host(knownOf(this)?.core.socket.remoteAddress)?.address
  }

  /** The peer's port; `undefined` on a unix socket. */
  get remotePort(): number | undefined {
    return host(knownOf(this)?.core.socket.remoteAddress)?.port
  }

  /** `'IPv4'` or `'IPv6'`; `undefined` on a unix socket. */
  get remoteFamily(): 'IPv4' | 'IPv6' | undefined {
    return host(knownOf(this)?.core.socket.remoteAddress)?.family
  }

  /** This end's IP address; `undefined` on a unix socket, and once the stream is destroyed. */
  get localAddress(): string | undefined {
    return localHost(this)?.address
  }

  /** This end's port; as {@link localAddress}. */
  get localPort(): number | undefined {
    return localHost(this)?.port
  }

  /** This end's family; as {@link localAddress}. */
  get localFamily(): 'IPv4' | 'IPv6' | undefined {
    return localHost(this)?.family
  }

  /** This end's address, family and port; `{}` where there is none. */
  address(): Partial<TcpAddress> {
    return { ...localHost(this) }
  }

  /**
   * Has `'timeout'` emitted after `milliseconds` without a byte in either direction; 0 turns it off. The connection
   * stays open. It takes the place of the connection's `idleTimeout`.
   *
   * @param callback a listener for the next `'timeout'`; with 0 it is removed instead
   * @throws RangeError `ERR_OUT_OF_RANGE` for what is negative or not finite; TypeError `ERR_INVALID_ARG_TYPE`
   */
  setTimeout(milliseconds: number, callback?: () => void): this {
    if (this.destroyed) return this
    if (typeof milliseconds !== 'number') throw invalidType('msecs', 'of type number', milliseconds)
    if (!(milliseconds >= 0 && Number.isFinite(milliseconds))) {
      throw outOfRange('msecs', 'a non-negative finite number', milliseconds)
    }
    if (callback !== undefined && typeof callback !== 'function') {
      throw invalidType('callback', 'of type function', callback)
    }
    this.timeout = milliseconds
    this.#silentAt = -1
    this.#transport?.core.socket.setIdleTimeout(Math.min(Math.ceil(milliseconds), maxTimeout))
    if (callback !== undefined) {
      if (milliseconds === 0) this.removeListener('timeout', callback)
      else this.once('timeout', callback)
    }
    return this
  }

  #tellSilence(): void {
    const socket = this.#transport?.core.socket
    // The user may have written, or set the time anew, since the silence was told.
    if (socket === undefined || !socket.isSilent) return
    const moved = socket.bytesRead + socket.bytesWritten
    if (moved === this.#silentAt) return
    this.#silentAt = moved
    this.emit('timeout')
  }

  /** See {@link Connection.setNoDelay}. As of `net.Socket`, anything says yes or no, and what the system refuses is no error. */
  setNoDelay(on: unknown = true): this {
    return this.#setOption((socket) => socket.setNoDelay(Boolean(on)))
  }

  /**
   * Has the system probe a silent peer, or no longer. As of `net.Socket`, anything says yes or no, and what the system
   * refuses is no error.
   *
   * @param initialDelay milliseconds of silence before it does, rounded down to seconds; below 1,000: two hours
   */
  setKeepAlive(enable: unknown = false, initialDelay = 0): this {
    // As Node.js reads it: whatever is no number is 0.
    const seconds = Math.min(~~(initialDelay / 1_000), maxKeepAlive)
    return this.#setOption((socket) =>
      socket.setKeepAlive(enable ? 1_000 * (seconds > 0 ? seconds : usualKeepAlive) : 0),
    )
  }

  #setOption(set: (socket: StreamTransport['core']['socket']) => void): this {
    try {
      if (this.#transport !== undefined) set(this.#transport.core.socket)
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
    }
    return this
  }

  /** See {@link Connection.ref}. */
  ref(): this {
    this.#transport?.core.ref()
    return this
  }

  /** See {@link Connection.unref}. */
  unref(): this {
    this.#transport?.core.unref()
    return this
  }

  /** Destroys it once everything that was written is sent. */
  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', this.destroy)
  }

  /** Destroys it and resets the peer (TCP only; a unix socket just closes). */
  resetAndDestroy(): this {
    if (!this.destroyed) this.#transport?.core.closing.resetAndDestroy()
    return this.destroy()
  }
}

function localHost(duplex: SocketDuplex): TcpAddress | undefined {
  return duplex.destroyed ? undefined : host(knownOf(duplex)?.core.socket.localAddress)
}

function host(address: Address | undefined): TcpAddress | undefined {
  return typeof address === 'string' ? undefined : address
}
