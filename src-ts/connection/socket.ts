import { invalidType, systemError } from '../errors'
import { type Address, toAddress } from '../native/address'
import type { NativeId } from '../native/binding'
import { Operation } from '../native/protocol-numbers'
import type { CommandTarget } from '../poller/command-queue'
import type { Poller } from '../poller/poller'
import { type ConnectionTls, connectionTls } from '../tls/connection-tls'
import { keepAliveSeconds, requiredLimit } from '../time/time-limits'

/** Bytes that went through a connection. */
interface Totals {
  read: number
  written: number
}

/** What users ask the core of one socket, and set of it. */
export class Socket {
  readonly #target: CommandTarget
  readonly #poller: Pick<Poller, 'native' | 'commandQueue'>
  #remoteAddress: Address | undefined
  #totals: Totals | undefined
  #tls: ConnectionTls | undefined
  /** What is wrong with the name of the peer, which was accepted all the same. */
  #nameFault: string | undefined

  constructor(target: CommandTarget, poller: Pick<Poller, 'native' | 'commandQueue'>) {
    this.#target = target
    this.#poller = poller
  }

  get remoteAddress(): Address | undefined {
    this.#remoteAddress ??= toAddress(this.#poller.native.peerAddress(this.#id()))
    return this.#remoteAddress
  }

  /** Asks where the peer is, or was: the core knows until the hooks have been told of the end. */
  keepAddress(): void {
    void this.remoteAddress
  }

  get localAddress(): Address | undefined {
    return toAddress(this.#poller.native.localAddress(this.#id()))
  }

  /** What TLS has agreed on; the core knows as long as it has the connection. */
  get tls(): ConnectionTls | undefined {
    const agreement = this.#tls === undefined ? this.#poller.native.tlsAgreement(this.#id()) : undefined
    // Without TLS the core says `null`.
    if (agreement) this.#tls = connectionTls(agreement, this.#nameFault)
    return this.#tls
  }

  /** Has `tls` tell what is wrong with the peer's name. */
  noteNameFault(code: string): void {
    this.#nameFault = code
    this.#tls = undefined
  }

  get bytesRead(): number {
    return this.#totals?.read ?? this.#poller.native.bytesRead(this.#id())
  }

  get bytesWritten(): number {
    return this.#totals?.written ?? this.#poller.native.bytesWritten(this.#id())
  }

  /** Bytes that it had written in all, once it is gone. */
  get writtenInAll(): number | undefined {
    return this.#totals?.written
  }

  /** Whether the core still takes what is to be sent. */
  get acceptsOutput(): boolean {
    return this.#poller.native.acceptsOutput(this.#id())
  }

  /** Whether the core has told of silence, and nothing has ended that since, what was just asked for included. */
  get isSilent(): boolean {
    return this.#poller.native.isSilent(this.#id())
  }

  /** How much went through it, told right before its last record. */
  totals(part: keyof Totals, bytes: number): void {
    this.#totals ??= { read: 0, written: 0 }
    this.#totals[part] = bytes
  }

  /** Returns what it was set to. */
  setReadTimeout(milliseconds: number): number {
    return this.#setTimeout(Operation.ReadTimeout, milliseconds)
  }

  setWriteTimeout(milliseconds: number): void {
    this.#setTimeout(Operation.WriteTimeout, milliseconds)
  }

  setIdleTimeout(milliseconds: number): void {
    this.#setTimeout(Operation.IdleTimeout, milliseconds)
  }

  setNoDelay(on = true): void {
    if (typeof on !== 'boolean') throw invalidType('on', 'of type boolean', on)
    checkOption(this.#poller.native.setNoDelay(this.#id(), on))
  }

  setKeepAlive(milliseconds: number): void {
    const seconds = keepAliveSeconds(requiredLimit('milliseconds', milliseconds))
    checkOption(this.#poller.native.setKeepAlive(this.#id(), seconds))
  }

  /**
   * Gives the descriptor away. What went through it, and where its peer is, can still be asked.
   *
   * @throws NetpollError the system's code
   */
  detach(): number {
    const totals = { read: this.bytesRead, written: this.bytesWritten }
    this.keepAddress()
    const { fd, errno } = this.#poller.native.detach(this.#id())
    if (fd === undefined) throw systemError(errno ?? 0, 'detach')
    this.#totals = totals
    return fd
  }

  #setTimeout(operation: Operation, milliseconds: number): number {
    const limit = requiredLimit('milliseconds', milliseconds)
    this.#poller.commandQueue.command(operation, this.#target, limit)
    return limit
  }

  #id(): NativeId {
    const { slot, generation } = this.#target
    return { slot, generation }
  }
}

function checkOption(errno: number): void {
  if (errno !== 0) throw systemError(errno, 'setsockopt')
}
