import { NetpollError } from '../errors'
import { Operation } from '../native/protocol-numbers'
import type { Poller } from '../poller/poller'
import type { CommandTarget } from '../poller/command-queue'
import { streamRules } from '../framing/rules'
import * as clock from '../time/clock'
import { onceTimer } from '../time/lazy-timer'
import { stepBudget } from '../time/step-budget'
import { ClientSecurity } from '../tls/secure-context'
import {
  checkStartTls,
  type CheckedTlsSwitch,
  type ClientStartTlsOptions,
  type ServerStartTlsOptions,
} from '../tls/start-tls-options'
import type { Closing } from './closing'
import type { Life } from './life'
import { nameFault } from './name-fault'
import type { Socket } from './socket'
import type { StreamInput } from './stream/stream-input'

/** A connection, as far as it goes over to TLS. */
export interface UpgradableConnection extends CommandTarget {
  readonly life: Life
  readonly socket: Socket
  readonly closing: Pick<Closing, 'closedError'>
  readonly group: {
    readonly role: 'server' | 'client'
    readonly poller: Pick<Poller, 'native' | 'commandQueue'>
  }
  /** `undefined` with a framing. */
  readonly input: StreamInput | undefined
  /** What was dialed, where that is a host. */
  readonly dialedHost: string | undefined
  /** The one that goes on. */
  upgrade: Upgrade | undefined
  end(): void
  retire(): void
  wasBusy(): void
  destroy(error?: unknown): void
}

/** Has a stream go over to TLS, which it has not been so far. */
export function startTls(
  connection: UpgradableConnection,
  options: ServerStartTlsOptions | ClientStartTlsOptions,
): Promise<void> {
  return stepBudget.attempt(async () => {
    const { life, socket, input, group } = connection
    if (input === undefined) {
      throw new NetpollError('ERR_UNSUPPORTED', 'A connection with a framing goes over to nothing else')
    }
    const checked = checkStartTls(group.role, options)
    if (connection.upgrade !== undefined) {
      throw new NetpollError('ERR_UNSUPPORTED', 'The connection goes over to TLS already')
    }
    if (life.isWhole && socket.tls !== undefined) {
      throw new NetpollError('ERR_UNSUPPORTED', 'The connection has TLS already')
    }
    if (!life.isWhole) throw connection.closing.closedError()
    input.stop()
    await begun(connection, input, checked).over
  })
}

/** What has arrived is kept apart by now: a connection whose last plaintext cannot be sent is of no use. */
function begun(connection: UpgradableConnection, input: StreamInput, checked: CheckedTlsSwitch): Upgrade {
  try {
    return new Upgrade(connection, input, checked)
  } catch (error) {
    connection.destroy(error)
    throw error
  }
}

/** A connection on its way from plaintext to TLS: first nothing more is read, and then the two ends shake hands. */
export class Upgrade {
  /** Resolves when it is secured. */
  readonly over: Promise<void>
  readonly #connection: UpgradableConnection
  readonly #input: StreamInput
  readonly #checked: CheckedTlsSwitch
  readonly #timer = onceTimer(() => this.#fail(late()))
  /** What its user has asked of the connection meanwhile. */
  readonly #asked = new Set<'end' | 'retire'>()
  #resolve!: () => void
  #reject!: (error: unknown) => void

  constructor(connection: UpgradableConnection, input: StreamInput, checked: CheckedTlsSwitch) {
    this.#connection = connection
    this.#input = input
    this.#checked = checked
    this.over = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    const { lastPlaintext, handshakeTimeout } = checked
    const { commandQueue } = connection.group.poller
    // One command, so that the poller reads nothing of the peer's handshake as plaintext.
    commandQueue.message(Operation.StartTls, connection, streamRules, lastPlaintext)
    connection.upgrade = this
    connection.life.secures()
    // Silence counts from here.
    connection.wasBusy()
    if (handshakeTimeout > 0) this.#timer.arm(clock.now() + handshakeTimeout)
  }

  /** The last plaintext has left, and everything was told that was read before. */
  plainEnded(): void {
    const { group, slot, generation, dialedHost } = this.#connection
    const { security, unread } = this.#checked
    const begun = this.#input.takeUnread()
    if (begun.length > 0 && unread === 'refuse') {
      this.#fail(injected())
      return
    }
    const { native, commandQueue } = group.poller
    const errno = native.secure({ slot, generation }, security.context, dialedHost, begun, unread)
    // One that has failed meanwhile refuses it, and its last record says why. Any other ends here: nothing more would come.
    if (errno !== 0) commandQueue.command(Operation.Destroy, this.#connection)
  }

  /** The handshake is done. */
  secured(): void {
    const { socket, life, dialedHost } = this.#connection
    const { security } = this.#checked
    const fault = security instanceof ClientSecurity ? nameFault(security, socket, dialedHost) : undefined
    if (fault !== undefined) {
      this.#fail(fault)
      return
    }
    this.#timer.stop()
    // One that closes tells `failed` of its end.
    if (!life.connected()) return
    this.#end()
    this.#resolve()
    for (const asked of this.#asked) this.#connection[asked]()
  }

  /** Has that done to the connection once it is secured. */
  afterwards(asked: 'end' | 'retire'): void {
    this.#asked.add(asked)
  }

  /** The connection has gone. */
  failed(error: unknown): void {
    this.#end()
    this.#reject(error)
  }

  #fail(error: unknown): void {
    const connection = this.#connection
    this.failed(error)
    connection.destroy(error)
  }

  #end(): void {
    this.#timer.stop()
    this.#connection.upgrade = undefined
  }
}

function late(): NetpollError {
  return new NetpollError(
    'ERR_TLS_HANDSHAKE_TIMEOUT',
    'The TLS handshake was not done within handshakeTimeout',
  )
}

function injected(): NetpollError {
  return new NetpollError('ERR_TLS_PROTOCOL', 'The peer has sent more plaintext before TLS began')
}
