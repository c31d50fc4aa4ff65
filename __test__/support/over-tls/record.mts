import { AsyncLocalStorage } from 'node:async_hooks'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { getEnvironmentData, threadId } from 'node:worker_threads'

/** What is noted of a test: it has a connection of this package, encrypted or not, or is left out; and how it has ended. */
export type Fact = 'encrypted' | 'plain' | 'excluded' | 'passed' | 'failed'

/** Where the facts are collected; without it, nothing here does anything. */
export const folder = process.env['NETPOLL_TEST_TLS']

/** Whether TLS is under every connection. */
export const isOverTls = folder !== undefined

/** The name under which a process or thread that a test starts learns whose it is. */
export const testVariable = 'NETPOLL_TEST_TLS_TEST'

const running = new AsyncLocalStorage<string>()
const noted = new Set<string>()

/** Runs the code of a test, so that what it begins is known to be its own. */
export function runAs<Result>(test: string, work: () => Result): Result {
  return running.run(test, work)
}

/** The test whose code this is: of this process, or the one that has started it. */
export function currentTest(): string | undefined {
  const inherited = getEnvironmentData(testVariable) ?? process.env[testVariable]
  return running.getStore() ?? (inherited as string | undefined)
}

/** Notes a fact about a test, once; of one that is left out also by what. */
export function note(fact: Fact, test = currentTest(), by?: string): void {
  const line = JSON.stringify({ fact, test, by })
  if (folder === undefined || noted.has(line)) return
  noted.add(line)
  appendFileSync(join(folder, `facts-${process.pid}-${threadId}`), `${line}\n`)
}
