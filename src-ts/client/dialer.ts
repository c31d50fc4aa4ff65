import { constants } from 'node:os'

import { CallSite } from '../process/call-site'
import { leaving } from '../connection/calls/connection-calls'
import type { ConnectionCore } from '../connection/core'
import { type Connection, createConnection } from '../connection/connection'
import { type Context, captureContext } from '../process/async-context'
import { DialDeadline } from './dial-deadline'
import {
  type CheckedDialSettings,
  checkDialSettings,
  checkFamily,
  type DialOptions,
  defaultDialSettings,
} from './dial-options'
import { isNetpollError, isOurs, NetpollError, systemError } from '../errors'
import { pollersFor } from '../poller/pollers'
import { type Attempt, type AttemptOutcome, interleaveFamilies, type Loss, Race } from './happy-eyeballs'
import { endedEarly } from './ended-early'
import { errnoOf } from '../process/report'
import { handshakeOf } from './handshake'
import { nameFault } from '../connection/name-fault'
import { isOfTls, ofTls } from '../native/reasons'
import type { ClientTlsOptions } from '../tls/options'
import { ClientSecurity, withoutTls } from '../tls/secure-context'
import { asciiName } from '../tls/server-name'
import { type Inspection, inspectCustom, show } from '../process/inspection'
import { takeOptions } from '../checks/known-options'
import { LaterAttempt } from './later-attempt'
import type { BytesOption } from '../memory/message-types'
import { checkConnectionOptions, type CheckedOptions } from '../connection/options'
import { stepBudget } from '../time/step-budget'
import {
  boundOf,
  type BufferBound,
  createGroups,
  moveGroups,
  type GroupOwner,
  type ConnectionGroup,
} from '../connection/group'
import { whenOver } from '../checks/promises'
import { checkDestination, connectError, findRoutes, type Route } from './routes'
import { forgetSignal, isAborted, reasonOf, takeSignal, throwIfAborted } from '../abort'
import { deadlineOf, endOf } from '../time/time-limits'
import { clearTimeout, setTimeout } from '../time/timers'
import { checkInteger, checkObject } from '../checks/arguments'
import { dialerOptionNames, type DialerOptions } from './options'
import { Spread, type SpreadDial } from './spread'

/** What a dialer has done and holds. */
export interface DialerStats {
  /** Connections now: established, and not gone. */
  readonly connections: number
  /** Dials that have resolved since the start, `fromFd` included. */
  readonly dialed: number
  /** Dials that have failed or were aborted since the start, `fromFd` included. Wrong arguments are no dials. */
  readonly failed: number
  /** Calls that were sent since the start, answered or not. */
  readonly calls: number
}

/** @internal The options of a dialer. */
export let checkedOf: (dialer: Dialer) => CheckedOptions

/** @internal What counts against its `maxBufferedBytes`. */
export let boundOfDialer: (dialer: Dialer) => BufferBound

/** @internal As {@link Dialer.dial}, port 0 included, which the system refuses: so sockets of Node.js have it. */
export let dialAnyPort: (dialer: Dialer, options: DialOptions) => Promise<Connection>

/** @internal Spreads its connections over the addresses of the one name that it dials. */
export let spreadDials: (dialer: Dialer) => Spread

/** @internal Whether it is one, of this copy of the package. */
export let isDialer: (value: unknown) => value is Dialer

/**
 * Makes connections to servers.
 *
 * @typeParam Data what the user keeps in `connection.data`
 * @typeParam Bytes the option `bytes`: inferred, unless `Data` is given
 *
 * @example
 * ```ts
 * import { createServer, Dialer, lengthField } from 'netpoll'
 *
 * const framing = lengthField({ size: 4 })
 * const server = createServer({ framing }, (request) => request)
 * await server.listen({ host: '127.0.0.1', port: 8000 })
 *
 * const dialer = new Dialer({ framing, connectTimeout: 5_000, requestTimeout: 1_000 })
 * const connection = await dialer.dial({ host: 'localhost', port: 8000 })
 * console.log(String(await connection.call('hello'))) // hello
 * await connection.close()
 * console.log(dialer.stats().dialed, dialer.stats().connections) // 1 0
 * ```
 */
export class Dialer<Data = unknown, Bytes extends BytesOption = 'buffer'> {
  readonly #checked: CheckedOptions
  readonly #settings: CheckedDialSettings
  /** The TLS of dials that begin now. Each keeps what it has begun with. */
  #security: ClientSecurity | undefined
  readonly #dialing = new Map<ConnectionCore, Dialing>()
  readonly #established = new Set<ConnectionCore>()
  /** One for each event loop. */
  #groups: readonly ConnectionGroup[] = []
  #turn = 0
  #dialed = 0
  #failed = 0
  #spread: Spread | undefined

  static {
    checkedOf = (dialer) => dialer.#checked
    boundOfDialer = (dialer) => boundOf(() => dialer.#groups)
    dialAnyPort = (dialer, options) => {
      const site = new CallSite(entries.dial)
      return stepBudget.attempt(() => dialer.#dial(options, site, 0))
    }
    spreadDials = (dialer) => {
      dialer.#spread = new Spread()
      return dialer.#spread
    }
    isDialer = (value): value is Dialer => typeof value === 'object' && value !== null && #checked in value
  }

  /** @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE` */
  constructor(options: DialerOptions<Data, Bytes> = {}) {
    const taken = takeOptions<DialerOptions<Data, Bytes>>('options', options, dialerOptionNames)
    this.#checked = checkConnectionOptions(taken, 'client')
    this.#settings = checkDialSettings(taken, defaultDialSettings)
    this.#security = taken.tls === undefined ? undefined : new ClientSecurity(taken.tls)
  }

  /**
   * Replaces options of TLS. Dials that begin from now on go by them, and no earlier session is resumed. Those under way
   * keep what they have begun with.
   *
   * @throws NetpollError `ERR_UNSUPPORTED` for a dialer without `tls`; TypeError `ERR_INVALID_ARG_TYPE`,
   * `ERR_INVALID_ARG_VALUE`, and then nothing has changed
   */
  setSecureContext(options: ClientTlsOptions): void {
    if (this.#security === undefined) throw withoutTls()
    this.#security = this.#security.with(options)
  }

  /**
   * Connects. Of a name's addresses the first that answers is taken: they are tried one after the other, families in
   * turns. The next is tried as soon as the last one failed or has not answered for `connectionAttemptDelay` (Happy
   * Eyeballs, RFC 8305). When this resolves or rejects, nothing is left of the other attempts, or they are being
   * closed.
   *
   * @throws NetpollError (as a rejection) the system's code, such as `ECONNREFUSED`. For several addresses it is that
   * of the first, with those of all in `errors`, and as the `cause` in an `AggregateError`. `ERR_DIAL_TIMEOUT`;
   * `EAFNOSUPPORT` when no address is of the family of `localAddress`; `ERR_UNSUPPORTED`. The signal's reason when it
   * was aborted; the lookup's own error for an unknown name
   */
  dial(options: DialOptions): Promise<Connection<Data, Bytes>> {
    const site = new CallSite(entries.dial)
    return stepBudget.attempt(() => this.#dial(options, site))
  }

  async #dial(options: DialOptions, site: CallSite, leastPort: 0 | 1 = 1): Promise<Connection<Data, Bytes>> {
    checkObject('options', options)
    const signal = takeSignal(options.signal)
    const family = checkFamily(options.family)
    const settings = checkDialSettings(options, this.#settings)
    const latest = deadlineOf('options.deadline', options.deadline)
    throwIfAborted(signal)
    const deadline = new DialDeadline(Math.min(endOf(settings.connectTimeout), latest))
    const destination = checkDestination(options, leastPort)
    const host = 'path' in destination ? undefined : asciiName(destination.host)
    const dial = { deadline, context: captureContext(), host, security: this.#security }
    return await this.#counted(async () => {
      if (deadline.isOver) {
        throw new NetpollError('ERR_DIAL_TIMEOUT', 'The deadline had passed before the dial began')
      }
      const limits = { signal, timeout: deadline.remaining(), family }
      const found = await findRoutes(destination, settings, limits)
      throwIfAborted(signal)
      const spread = this.#spread?.begin(found)
      const routes = spread?.routes ?? interleaveFamilies(found)
      return await this.#race({ routes, settings, dial, signal, spread })
    }, site)
  }

  /**
   * Makes a connection of a connected TCP or unix stream socket that was opened elsewhere, such as by
   * {@link Connection.detach}. From then on no other code may use or close it; refused, it is left alone.
   *
   * @throws NetpollError (as a rejection) the system's code, such as `EBADF`, `ENOTSOCK`, `ENOTCONN`;
   * `ERR_CONN_CLOSED` when a hook closes it; TypeError `ERR_INVALID_ARG_VALUE`
   *
   * @example
   * ```ts
   * import { createServer, Dialer, lengthField } from 'netpoll'
   *
   * const framing = lengthField({ size: 4 })
   * const server = createServer({ framing }, (request) => request)
   * await server.listen({ host: '127.0.0.1', port: 8000 })
   *
   * const dialer = new Dialer({ framing })
   * const first = await dialer.dial({ host: '127.0.0.1', port: 8000 })
   * const second = await dialer.fromFd(first.detach())
   * console.log(String(await second.call('still there'))) // still there
   * ```
   */
  fromFd(fd: number): Promise<Connection<Data, Bytes>> {
    const site = new CallSite(entries.fromFd)
    return stepBudget.attempt(async () => {
      const connection = await this.#adopt(fd, site)
      // A user that detaches it again at once waits for nothing else.
      await stepBudget.pass()
      return connection
    })
  }

  async #adopt(fd: number, site: CallSite): Promise<Connection<Data, Bytes>> {
    checkInteger('fd', fd, 0, 2 ** 31 - 1)
    const context = captureContext()
    return await this.#counted(async () => {
      const group = this.#chooseGroup()
      const { poller, settings } = group
      const security = this.#security
      const { id, errno } = poller.native.adoptStream(fd, security?.settingsOf(settings) ?? settings)
      if (id === undefined) throw systemError(errno ?? 0, 'adopt')
      const connection = createConnection(id, group, security === undefined ? 'open' : 'connecting', context)
      poller.attach(connection)
      if (security !== undefined) await this.#shaken(connection, security)
      return this.#opened(connection)
    }, site)
  }

  /** What the dialer has done and holds. */
  stats(): DialerStats {
    return {
      connections: this.#established.size,
      dialed: this.#dialed,
      failed: this.#failed,
      calls: this.#groups[0]?.counts.calls ?? 0,
    }
  }

  /** @internal For `util.inspect`. */
  [inspectCustom](depth?: number | null, options?: Inspection): unknown {
    if (!(#checked in this)) return this
    return show(this, 'Dialer', { ...Dialer.prototype.stats.call(this) }, depth, options)
  }

  async #counted(dial: () => Promise<ConnectionCore>, site: CallSite): Promise<Connection<Data, Bytes>> {
    try {
      const connection = await dial()
      this.#dialed += 1
      return connection.facade as Connection & Connection<Data, Bytes>
    } catch (error) {
      this.#failed += 1
      if (isNetpollError(error)) site.giveTo(error)
      throw error
    }
  }

  /** Runs the hooks of a connection that won its race. */
  async #opened(connection: ConnectionCore, signal?: AbortSignal): Promise<ConnectionCore> {
    this.#established.add(connection)
    const abandon = (): void => connection.destroy(reasonOf(signal))
    await unlessAborted(() => connection.open(), signal, abandon)
    // Others may have called the dial off since, before its promise could tell a caller.
    if (isAborted(signal)) {
      abandon()
      throw reasonOf(signal)
    }
    if (!connection.isOpen) {
      throw connection.life.isLeaving ? leaving() : endedEarly(connection)
    }
    return connection
  }

  #race({ routes, settings, dial, signal, spread }: RaceOfDial): Promise<ConnectionCore> {
    return new Promise((resolve, reject) => {
      let winner: Route | undefined
      const abandon = (): void => race.abandon(reasonOf(signal))
      const race = new Race<Route, ConnectionCore>({
        addresses: routes,
        attemptDelay: settings.connectionAttemptDelay,
        startTimer,
        begin: (route, { connected, failed }) =>
          this.#connect(route, dial, {
            connected: (connection) => {
              winner ??= route
              connected(connection)
            },
            failed: (error) => {
              // The attempts have one deadline: when the first notices, it has passed for all.
              if (isDialTimeout(error) || isOfTls(error)) race.abandon(error)
              failed(error)
            },
          }),
        won: (connection) => {
          forgetSignal(signal, abandon)
          if (winner !== undefined) spread?.won(connection, winner)
          whenOver(this.#opened(connection, signal), resolve, reject)
        },
        lost: (loss) => {
          forgetSignal(signal, abandon)
          if (loss.kind === 'exhausted' || isDialTimeout(loss.reason)) spread?.failed()
          else spread?.abandoned()
          reject(lossError(loss))
        },
      })
      signal?.addEventListener('abort', abandon, { once: true })
      race.start()
    })
  }

  #connect(route: Route, dial: Dial, outcome: AttemptOutcome<ConnectionCore>): Attempt {
    const begin = (): Attempt | undefined => this.#begin(route, dial, outcome)
    return begin() ?? new LaterAttempt({ begin, failed: outcome.failed, deadline: dial.deadline, startTimer })
  }

  /** Begins to connect; `undefined` where the backlog of a unix socket is full. */
  #begin(
    route: Route,
    { deadline, context, host, security }: Dial,
    outcome: AttemptOutcome<ConnectionCore>,
  ): Attempt | undefined {
    const group = this.#chooseGroup()
    const { remote, local } = route
    const settings = security?.settingsOf(group.settings) ?? group.settings
    const begun = group.poller.native.dial(remote, local, deadline.remaining(), settings, host)
    if (begun.id === undefined) {
      if (begun.errno === constants.errno.EAGAIN && remote.path !== undefined) return undefined
      throw connectError(begun.errno ?? 0, route)
    }
    const connection = createConnection(begun.id, group, 'connecting', context)
    connection.dialedHost = host
    group.poller.attach(connection)
    this.#dialing.set(connection, {
      security,
      connected: outcome.connected,
      failed: (error) => {
        const errno = errnoOf(error)
        outcome.failed(errno === undefined ? error : connectError(-errno, route))
      },
    })
    return { abandon: () => connection.destroy() }
  }

  /** The group whose event loop gets the next connection. */
  #chooseGroup(): ConnectionGroup {
    const groups = this.#currentGroups()
    const [first] = groups as readonly [ConnectionGroup]
    this.#turn = (this.#turn + 1) % groups.length
    switch (this.#checked.loadBalance) {
      case 'roundRobin':
        return groups[this.#turn] ?? first
      case 'random':
        return groups[Math.floor(Math.random() * groups.length)] ?? first
      case 'leastConnections':
        return groups.reduce((best, group) =>
          group.poller.connections < best.poller.connections ? group : best,
        )
    }
  }

  /** Those of before, as long as their loops are there: those end while nothing is open. */
  #currentGroups(): readonly ConnectionGroup[] {
    const known = this.#groups
    if (known.length === 0) this.#groups = this.#makeGroups()
    else if (known.some(({ poller }) => poller.isOver))
      this.#groups = moveGroups(known, pollersFor(this.#checked.pollers))
    return this.#groups
  }

  /** Waits for the handshake of a socket that was opened elsewhere. */
  #shaken(connection: ConnectionCore, security: ClientSecurity): Promise<void> {
    return handshakeOf(connection, this.#settings.connectTimeout, (outcome) =>
      this.#dialing.set(connection, { ...outcome, security }),
    )
  }

  #makeGroups(): readonly ConnectionGroup[] {
    const owner: GroupOwner = {
      role: 'client',
      goAway: undefined,
      opened: (connection) => {
        const dialing = this.#dialing.get(connection)
        const fault =
          dialing?.security && nameFault(dialing.security, connection.socket, connection.dialedHost)
        if (dialing !== undefined && fault !== undefined) {
          // Nothing else is told of it.
          this.#dialing.set(connection, { ...dialing, failed: () => dialing.failed(ofTls(fault)) })
          connection.destroy(fault)
          return
        }
        // That function has given the dial up: the end of the connection tells.
        if (connection.life.isClosing) return
        this.#dialing.delete(connection)
        dialing?.connected(connection)
      },
      closed: (connection, error) => {
        this.#established.delete(connection)
        this.#spread?.release(connection)
        const outcome = this.#dialing.get(connection)
        this.#dialing.delete(connection)
        outcome?.failed(error ?? new NetpollError('ERR_CONN_CLOSED', givenUp))
        return outcome === undefined
      },
    }
    return createGroups(pollersFor(this.#checked.pollers), this.#checked, owner)
  }
}

/** Begins work, and waits for it; once the signal is aborted, from the beginning on, calls `abandon` and rejects with the reason. */
function unlessAborted(
  begin: () => void | Promise<void>,
  signal: AbortSignal | undefined,
  abandon: () => void,
): void | Promise<void> {
  if (signal === undefined) return begin()
  return new Promise((resolve, reject) => {
    const aborted = (): void => {
      abandon()
      reject(reasonOf(signal))
    }
    try {
      signal.addEventListener('abort', aborted, { once: true })
    } catch (error) {
      abandon()
      throw error
    }
    const done = (): void => {
      forgetSignal(signal, aborted)
      resolve()
    }
    const work = begin()
    if (work === undefined) done()
    else whenOver(work, done, reject)
  })
}

/** Where users call. */
const entries = { dial: Dialer.prototype.dial, fromFd: Dialer.prototype.fromFd }

const givenUp = 'The dial was given up'

/** What the attempts of one dial have in common. */
interface Dial {
  readonly deadline: DialDeadline
  readonly context: Context
  /** What the server is called; `undefined` where a path is dialed. */
  readonly host: string | undefined
  /** The TLS of the dialer when it began. */
  readonly security: ClientSecurity | undefined
}

/** What is told of a connection that is not there yet, and the TLS that it goes by. */
interface Dialing extends AttemptOutcome<ConnectionCore> {
  readonly security: ClientSecurity | undefined
}

/** One dial, once its addresses are known. */
interface RaceOfDial {
  readonly routes: readonly Route[]
  readonly settings: CheckedDialSettings
  readonly dial: Dial
  readonly signal: AbortSignal | undefined
  readonly spread: SpreadDial | undefined
}

function startTimer(milliseconds: number, callback: () => void): () => void {
  const timer = setTimeout(callback, milliseconds)
  return () => clearTimeout(timer)
}

function isDialTimeout(error: unknown): boolean {
  return isOurs(error) && error.code === 'ERR_DIAL_TIMEOUT'
}

/** What a dial rejects with. */
function lossError(loss: Loss): unknown {
  if (loss.kind === 'abandoned') return loss.reason
  const { errors } = loss
  const first = errors[0]
  if (errors.length === 1 || !isOurs(first)) return first
  const { code, errno, syscall, address, port } = first
  const message = `${first.message}; no other of ${errors.length} addresses could be connected to either`
  const cause = new AggregateError(errors, 'Each address failed')
  return new NetpollError(code, message, { errno, syscall, address, port, errors, cause })
}
