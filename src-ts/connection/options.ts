import { checkLoadBalance, checkPollers, type LoadBalance, processSettings } from '../process/settings'
import { invalidType, invalidValue } from '../errors'
import { type Framing, rulesOf } from '../framing/framing'
import { type FramingRules, streamRules } from '../framing/rules'
import { checkPlace, type Hooks, type IsGoAway } from './hooks'
import { checkIds, type IdField, type IdFunction, type Ids } from '../framing/message-id'
import type { BytesOption, MessageTypes } from '../memory/message-types'
import type { NativeSettings } from '../native/binding'
import type { ConnectionOptions, CursorHandler, DataHandler, RequestHandler } from './option-types'
import { keepAliveSeconds, maxTimeout, timeLimit, timeLimits } from '../time/time-limits'
import { isAsyncFunction, isThenable } from '../checks/thenables'
import { checkBoolean, checkFunction, checkInteger } from '../checks/arguments'

export type * from './option-types'

/** The defaults, in one place. */
const defaults = {
  highWaterMark: 256 * 1024,
  maxCloseTime: 300_000,
  maxBufferedBytes: 1024 ** 3,
  maxInFlight: 1_024,
} as const

/** Everything that options may say, in whatever combination: nothing is checked yet. */
export type AnyOptions<Data = unknown, Bytes extends BytesOption = 'buffer'> = ConnectionOptions<
  Data,
  Bytes
> & {
  readonly framing?: Framing | undefined
  readonly id?: IdField | IdFunction<Bytes> | undefined
  readonly onRequest?: RequestHandler<Data, Bytes> | undefined
  readonly onMessage?: CursorHandler<Data, Bytes> | undefined
  readonly onData?: DataHandler<Data, Bytes> | undefined
  readonly requestTimeout?: number | undefined
  readonly isGoAway?: ((message: MessageTypes[Bytes]) => boolean) | undefined
}

export const sharedNames = {
  framing: true,
  id: true,
  bytes: true,
  ordered: true,
  maxInFlight: true,
  highWaterMark: true,
  maxBufferedBytes: true,
  closeTimeout: true,
  maxCloseTime: true,
  noDelay: true,
  allowHalfOpen: true,
  readTimeout: true,
  writeTimeout: true,
  idleTimeout: true,
  keepAlive: true,
  pollers: true,
  loadBalance: true,
  onPrepare: true,
  onConnect: true,
  onRequest: true,
  onMessage: true,
  onData: true,
  onDrain: true,
  onDisconnect: true,
  onError: true,
} as const

const hookNames = [
  'onPrepare',
  'onConnect',
  'onRequest',
  'onMessage',
  'onData',
  'onDrain',
  'onDisconnect',
  'onError',
] as const

/** Options after checking: nothing is optional any more. */
export interface CheckedOptions {
  readonly framing: FramingRules
  /** How replies are matched; `undefined`: in order. */
  readonly ids: Ids | undefined
  /** Whether the core counts messages in handling, so that each has to be acknowledged. */
  readonly countsMessages: boolean
  readonly bytes: BytesOption
  readonly ordered: boolean
  readonly allowHalfOpen: boolean
  readonly highWaterMark: number
  readonly maxInFlight: number
  readonly maxBufferedBytes: number
  readonly readTimeout: number
  readonly requestTimeout: number
  /** Whether connections have an `idleTimeout` from the beginning. */
  readonly watchesSilence: boolean
  readonly pollers: number
  readonly loadBalance: LoadBalance
  readonly hooks: Hooks
  readonly isGoAway: IsGoAway | undefined
  readonly settings: NativeSettings
}

/** Where messages are handled: in this thread, or by workers. */
export type Handling = 'here' | 'workers'

/** What the core counts of a stream, whose pieces are messages in flight: more than can be there. */
const uncountedPieces = 2 ** 32 - 1

type NumberOption = 'highWaterMark' | 'maxCloseTime' | 'maxInFlight' | 'maxBufferedBytes'

/** Checks what servers and dialers share. */
export function checkConnectionOptions<Data, Bytes extends BytesOption>(
  options: AnyOptions<Data, Bytes>,
  role: 'server' | 'client',
  handling: Handling = 'here',
): CheckedOptions {
  const framing =
    options.framing === undefined ? streamRules : checkFraming('options.framing', options.framing)
  const ids = checkIds(options.id)
  if (ids !== undefined && framing.isStream) {
    throw invalidValue('options.id', 'needs a framing', typeof options.id)
  }
  const hooks = checkHooks(options, framing)
  if (role === 'server' && options.isGoAway !== undefined) {
    throw invalidValue('options.isGoAway', 'is for those who dial', typeof options.isGoAway)
  }
  for (const name of ['noDelay', 'allowHalfOpen', 'ordered'] as const) checkBoolean(name, options[name])
  const { bytes = 'buffer' } = options
  if (bytes !== 'buffer' && bytes !== 'uint8array') {
    throw invalidType('options.bytes', "'buffer' or 'uint8array'", bytes)
  }
  const number = (name: NumberOption, min: number, max: number): number => {
    const { [name]: value = defaults[name] } = options
    checkInteger(`options.${name}`, value, min, max)
    return value
  }
  const time = (name: keyof typeof timeLimits.connection): number =>
    timeLimit(`options.${name}`, options[name], timeLimits.connection[name])
  const highWaterMark = number('highWaterMark', 1, 2 ** 31 - 1)
  const maxInFlight = number('maxInFlight', 1, 1_000_000)
  const maxBufferedBytes = number('maxBufferedBytes', 0, Number.MAX_SAFE_INTEGER)
  const readTimeout = time('readTimeout')
  const idleTimeout = time('idleTimeout')
  const maxCloseTime = number('maxCloseTime', 1, maxTimeout)
  const { pollers = processSettings().pollers, loadBalance = processSettings().loadBalance } = options
  const hasHandler = hooks.onRequest !== undefined || hooks.onMessage !== undefined
  const counted = role === 'server' || hasHandler ? maxInFlight : 0
  return {
    framing,
    ids,
    countsMessages: counted > 0,
    bytes,
    ordered: options.ordered ?? true,
    allowHalfOpen: options.allowHalfOpen ?? false,
    highWaterMark,
    maxInFlight,
    maxBufferedBytes,
    readTimeout,
    requestTimeout: time('requestTimeout'),
    watchesSilence: idleTimeout > 0,
    pollers: checkPollers(pollers),
    loadBalance: checkLoadBalance(loadBalance),
    hooks,
    isGoAway: checkIsGoAway(options.isGoAway, ids !== undefined),
    settings: {
      framing: framing.native,
      ...(ids?.native === undefined ? {} : { idField: ids.native }),
      maxInFlight: framing.isStream ? uncountedPieces : counted,
      highWaterMark,
      // A server does not serve a peer that does not read; a client that stopped reading might wait for itself.
      stopReadingWhenCongested: role === 'server',
      noDelay: options.noDelay ?? true,
      allowHalfOpen: options.allowHalfOpen ?? false,
      // A stream's bytes can be read within the hook; a message would go to its handler.
      startPaused: hooks.onConnect !== undefined && (hasHandler || handling === 'workers'),
      // Without a limit of its own closing still ends.
      closeTimeout: time('closeTimeout') || maxCloseTime,
      maxCloseTime,
      ordered: options.ordered ?? true,
      maxBufferedBytes,
      readTimeout,
      writeTimeout: time('writeTimeout'),
      idleTimeout,
      keepAlive: keepAliveSeconds(time('keepAlive')),
    },
  }
}

/** Checks a framing that must be there. */
export function checkFraming(name: string, framing: unknown): FramingRules {
  const rules = rulesOf(framing)
  if (rules !== undefined) return rules
  throw invalidType(name, 'made by lengthField, delimiter or varint', framing)
}

function checkHooks<Data, Bytes extends BytesOption>(
  options: AnyOptions<Data, Bytes>,
  framing: FramingRules,
): Hooks {
  for (const name of hookNames) checkFunction(name, options[name])
  for (const name of ['onRequest', 'onMessage', 'onData'] as const) {
    checkPlace(name, options[name], framing, `options.${name}`)
  }
  checkOnMessage(options)
  // Users' types of `connection.data` and of messages end here.
  const { onPrepare, onConnect, onRequest, onMessage, onData, onDrain, onDisconnect, onError } =
    options as unknown as Hooks
  return { onPrepare, onConnect, onRequest, onMessage, onData, onDrain, onDisconnect, onError }
}

/** Checks that a handler that reads by cursor is the only one, and no async function: its reader and writer expire. */
function checkOnMessage<Data, Bytes extends BytesOption>({ onRequest, onMessage }: AnyOptions<Data, Bytes>) {
  if (onMessage === undefined) return
  if (onRequest !== undefined) {
    throw invalidValue('options.onMessage', 'must not be given together with options.onRequest', 'a function')
  }
  if (isAsyncFunction(onMessage)) {
    throw invalidValue('options.onMessage', 'must not be an async function: see writer.later()', 'one')
  }
}

/**
 * Checks `isGoAway`.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 */
function checkIsGoAway(isGoAway: unknown, hasIds: boolean): IsGoAway | undefined {
  if (isGoAway === undefined) return undefined
  if (typeof isGoAway !== 'function') throw invalidType('options.isGoAway', 'of type function', isGoAway)
  if (!hasIds) throw invalidValue('options.isGoAway', 'needs options.id', typeof isGoAway)
  const ask = isGoAway as IsGoAway
  return (message) => {
    const answer: unknown = ask(message)
    // A promise would always mean yes.
    if (isThenable(answer)) throw invalidType('options.isGoAway(message)', 'of type boolean', answer)
    return Boolean(answer)
  }
}

/** Checks an optional backlog. */
export function checkBacklog(value: unknown): void {
  if (value !== undefined) checkInteger('options.backlog', value, 1, 2 ** 31 - 1)
}
