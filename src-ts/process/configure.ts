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

/** Options of {@link configure}. What is not given stays as it is. */
export interface ProcessOptions {
  /** `pollers` of servers and dialers that do not say. Default 0. */
  readonly pollers?: number | undefined
  /** `loadBalance` of servers and dialers that do not say. Default `'roundRobin'`. */
  readonly loadBalance?: LoadBalance | undefined
  /**
   * Bytes of the chunks that messages arrive in, a multiple of 4,096 from 16 KiB to 16 MiB. Default 256 KiB. A message that
   * is kept keeps its whole chunk; larger chunks are exchanged less often. The same for all threads of the process.
   */
  readonly chunkSize?: number | undefined
  /**
   * Whether errors of calls say where the call was made, also of one without an `await`: each call then notes its stack,
   * which takes some microseconds, several times what a call takes. Without it, they say who awaits the call. Default false.
   */
  readonly callStacks?: boolean | undefined
  /**
   * Takes one line, without its end, for each error that no `onError` is told of. Default: the error with its stack, on
   * stderr. Of this thread alone. Where it throws, that goes to stderr, too.
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
const leastChunk = 16 * 1024
const largestChunk = 16 * 1024 * 1024

/**
 * Says what holds for the whole process: Netpoll's `Configure`. `pollers` and `loadBalance` are for servers and dialers that
 * are made later, `callStacks` for calls that are made later, in this thread and in worker threads that are started later.
 *
 * @throws TypeError `ERR_INVALID_ARG_TYPE`; `ERR_INVALID_ARG_VALUE`, also for a `chunkSize` other than that of chunks which
 * are there already, since the first `listen` or `dial` of the process; NetpollError `ERR_UNSUPPORTED`, with a `chunkSize`
 * on a host that the package is not for. Nothing has changed then.
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
  checkInteger('options.chunkSize', bytes, leastChunk, largestChunk)
  if (bytes % page !== 0) throw invalidValue('options.chunkSize', `must be a multiple of ${page}`, bytes)
  if (!nativeBinding().Memory.decideChunkSize(bytes)) {
    throw invalidValue('options.chunkSize', 'must be given before the first listen or dial', bytes)
  }
}
