import { checkBoolean, checkFunction, checkInteger } from '../checks/arguments'
import { optionNames, takeOptions } from '../checks/known-options'
import type { BytesOption } from '../memory/message-types'
import { maxTimeout, timeLimit, timeLimits } from '../time/time-limits'
import type { BackoffOptions, CheckedBackoff } from './backoff'
import { dialerOptionNames, type DialerOptions, type FramedDialerOptions } from './options'
import type { ReadyChange } from './readiness'

/** Options of `new Mux`. */
export interface MuxOptions<Data = unknown, Bytes extends BytesOption = 'buffer'>
  extends FramedDialerOptions<Data, Bytes> {
  /** Connections that the calls share. Default 2. */
  readonly connections?: number | undefined
  /** Calls of all connections that wait for their reply at most; others wait until one has it. Default 4,096. */
  readonly maxConcurrentCalls?: number | undefined
  /** How long to wait between attempts to connect. */
  readonly backoff?: BackoffOptions | undefined
  /**
   * Whether a call or `send` without a connection rejects with the error of the last dial at once, whatever its timeout,
   * until a dial succeeds. While the first dial is under way it waits for that. Default false: it waits as its timeout
   * allows.
   */
  readonly failFast?: boolean | undefined
  /**
   * Milliseconds after which a connection is replaced, less up to a tenth by chance, so that not all go at once. It serves
   * until another one is established in its place, and closes after its last call. 0, the default, for never.
   */
  readonly maxLifetime?: number | undefined
  /** Milliseconds without a call or `send` after which all connections are closed; 0, the default, for never. */
  readonly maxIdleTime?: number | undefined
  /** Is told when {@link Mux.isReady} has changed, and why. */
  readonly onReadyChange?: ((isReady: boolean, why: ReadyChange) => void) | undefined
}

/** Of `new Mux`. */
export const muxOptionNames = optionNames<MuxOptions>({
  ...dialerOptionNames,
  connections: true,
  maxConcurrentCalls: true,
  backoff: true,
  failFast: true,
  maxLifetime: true,
  maxIdleTime: true,
  onReadyChange: true,
})

/** The members that the option `backoff` may have. */
export const backoffNames = optionNames<BackoffOptions>({ min: true, max: true })

/** Options after checking. */
export interface CheckedMuxOptions {
  readonly connections: number
  readonly maxConcurrentCalls: number
  readonly backoff: CheckedBackoff
  readonly failFast: boolean
  readonly maxLifetime: number
  readonly maxIdleTime: number
  readonly onReadyChange: ((isReady: boolean, why: ReadyChange) => void) | undefined
}

/**
 * Parts what is said about the mux from what is said about its dials.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 */
export function partMuxOptions<Data, Bytes extends BytesOption>(
  options: MuxOptions<Data, Bytes>,
): { readonly ofMux: CheckedMuxOptions; readonly ofDialer: DialerOptions } {
  const taken = takeOptions<MuxOptions<Data, Bytes>>('options', options, muxOptionNames)
  const {
    maxConcurrentCalls,
    connections,
    backoff,
    failFast,
    maxLifetime,
    maxIdleTime,
    onReadyChange,
    ...ofDialer
  } = taken
  return { ofMux: checkMuxOptions(taken), ofDialer: ofDialer as typeof ofDialer & DialerOptions }
}

function checkMuxOptions<Data, Bytes extends BytesOption>(
  options: MuxOptions<Data, Bytes>,
): CheckedMuxOptions {
  const { connections = 2, maxConcurrentCalls = 4_096, backoff = {}, failFast, onReadyChange } = options
  checkInteger('options.connections', connections, 1, 1_024)
  checkInteger('options.maxConcurrentCalls', maxConcurrentCalls, 1, 1_000_000)
  const takenBackoff = takeOptions('options.backoff', backoff, backoffNames)
  const { min = 100 } = takenBackoff
  checkInteger('options.backoff.min', min, 1, maxTimeout)
  const { max = Math.max(min, 10_000) } = takenBackoff
  checkInteger('options.backoff.max', max, min, maxTimeout)
  checkBoolean('failFast', failFast)
  checkFunction('onReadyChange', onReadyChange)
  const time = (name: keyof typeof timeLimits.mux): number =>
    timeLimit(`options.${name}`, options[name], timeLimits.mux[name])
  return {
    connections,
    maxConcurrentCalls,
    backoff: { min, max },
    failFast: failFast ?? false,
    maxLifetime: time('maxLifetime'),
    maxIdleTime: time('maxIdleTime'),
    onReadyChange,
  }
}
