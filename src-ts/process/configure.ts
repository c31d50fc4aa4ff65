import {
  checkLoadBalance,
  checkPollers,
  type LoadBalance,
  type Logger,
  processSettings,
  replaceLogger,
  replaceSettings,
} from './settings'
import { invalidValue } from '../errors'
import { optionNames, takeOptions } from '../checks/known-options'
import { nativeBinding } from '../native/binding'
import { checkBoolean, checkFunction, checkInteger } from '../checks/arguments'

/** Options of {@link configure}. An absent option keeps its value. */
export interface ProcessOptions {
  /** `pollers` of servers and dialers without this option. Default 0. */
  readonly pollers?: number | undefined
  /** `loadBalance` of servers and dialers without this option. Default `'roundRobin'`. */
  readonly loadBalance?: LoadBalance | undefined
  /**
   * Bytes of the chunks that messages arrive in, a multiple of 4,096 from 16 KiB to 16 MiB. Default 256 KiB. A message that
   * is kept keeps its whole chunk; larger chunks are exchanged less often. The same for all threads of the process.
   */
  readonly chunkSize?: number | undefined
  /**
   * Whether errors of calls, and of sends that wait, show where these were made, even without an `await`. Each then records
   * its stack, which takes some microseconds, several times as long as a call takes. Without this option, errors show the
   * functions that await the call. Default false.
   */
  readonly callStacks?: boolean | undefined
  /**
   * Takes one line, without its end, for each error that reaches no `onError`. Default: the error with its stack, on
   * stderr. For this thread alone. If it throws, that error goes to stderr, too.
   */
  readonly logger?: Logger | undefined
}

const processOptionNames = optionNames<ProcessOptions>({
  pollers: true,
  loadBalance: true,
  chunkSize: true,
  callStacks: true,
  logger: true,
})

const page = 4_096
const minChunk = 16 * 1024
const maxChunk = 16 * 1024 * 1024

/**
 * Sets options of the whole process: Netpoll's `Configure`. `pollers` and `loadBalance` apply to servers and dialers that
 * are made later, `callStacks` to calls and sends that are made later. This includes worker threads that are started later. After an
 * error nothing has changed.
 *
 * @throws TypeError `ERR_INVALID_ARG_TYPE`; `ERR_INVALID_ARG_VALUE`, also for another `chunkSize` than that of existing
 * chunks, which the first `listen` or `dial` of the process makes.
 * @throws NetpollError `ERR_UNSUPPORTED`, with a `chunkSize` on an unsupported host
 *
 * @example
 * ```ts
 * import { configure } from 'netpoll'
 *
 * configure({ pollers: 2, loadBalance: 'leastConnections', logger: (line) => process.stdout.write(`${line}\n`) })
 * ```
 */
export function configure(options: ProcessOptions): void {
  const current = processSettings()
  const taken = takeOptions('options', options, processOptionNames)
  const { chunkSize, logger, callStacks = current.callStacks } = taken
  const pollers = checkPollers(taken.pollers === undefined ? current.pollers : taken.pollers)
  const loadBalance = checkLoadBalance(
    taken.loadBalance === undefined ? current.loadBalance : taken.loadBalance,
  )
  checkFunction('logger', logger)
  checkBoolean('callStacks', callStacks)
  if (chunkSize !== undefined) decideChunkSize(chunkSize)
  if (logger !== undefined) replaceLogger(logger)
  replaceSettings({ pollers, loadBalance, callStacks })
}

function decideChunkSize(bytes: number): void {
  checkInteger('options.chunkSize', bytes, minChunk, maxChunk)
  if (bytes % page !== 0) throw invalidValue('options.chunkSize', `must be a multiple of ${page}`, bytes)
  if (!nativeBinding().Memory.decideChunkSize(bytes)) {
    throw invalidValue('options.chunkSize', 'must be given before the first listen or dial', bytes)
  }
}
