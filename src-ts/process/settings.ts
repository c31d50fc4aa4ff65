import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads'
import { checkInteger } from '../checks/arguments'
import { invalidType } from '../errors'

/** The defaults of servers and dialers. */
export interface ProcessSettings {
  readonly pollers: number
  readonly loadBalance: LoadBalance
  /** Whether each call, and each send that waits, notes where it was made. */
  readonly callStacks: boolean
}

/** Takes a line about a failure that reaches no listener. */
export type Logger = (line: string) => void

/** Threads that are started later begin with what this says. */
const key = 'netpoll.configuration'

let settings: ProcessSettings | undefined

/** The user's. */
let logger: Logger | undefined

/** Where everything goes without a logger. If `process.stderr` was replaced and throws, the text is lost. */
function toStandardError(text: () => string): void {
  try {
    process.stderr.write(`netpoll: ${text()}\n`)
  } catch {}
}

/** The defaults of this thread. */
export function processSettings(): ProcessSettings {
  settings ??= (getEnvironmentData(key) as unknown as ProcessSettings | undefined) ?? {
    pollers: 0,
    loadBalance: 'roundRobin',
    callStacks: false,
  }
  return settings
}

/** Replaces them, for this thread and those that are started later. */
export function replaceSettings(next: ProcessSettings): void {
  settings = next
  setEnvironmentData(key, { ...next })
}

/** From now on lines go to `next`. */
export function replaceLogger(next: Logger): void {
  logger = next
}

/** Logs: one line to the user's logger, else all of it to stderr. */
export function logLine(line: string, text: () => string): void {
  if (logger === undefined) {
    toStandardError(text)
    return
  }
  try {
    const done: unknown = logger(line)
    if (done === undefined) return
    new Promise((resolve) => resolve(done)).catch(() => toStandardError(text))
  } catch {
    toStandardError(text)
  }
}

/** Which poller gets the next connection: each in turn, any, or the one with the fewest. */
export type LoadBalance = 'roundRobin' | 'random' | 'leastConnections'

/** Checks a number of threads that poll. */
export function checkPollers(value: number): number {
  checkInteger('options.pollers', value, 0, 64)
  return value
}

/** Checks how connections are dealt out. */
export function checkLoadBalance(value: unknown): LoadBalance {
  if (value === 'roundRobin' || value === 'random' || value === 'leastConnections') return value
  throw invalidType('options.loadBalance', "'roundRobin', 'random' or 'leastConnections'", value)
}
