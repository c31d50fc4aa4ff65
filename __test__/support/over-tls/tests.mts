import { ChildProcess } from 'node:child_process'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { pathToFileURL } from 'node:url'
import workerThreads from 'node:worker_threads'

import { exclusionOf } from './excluded.mjs'
import { currentTest, note, runAs, testVariable } from './record.mjs'

interface Run {
  readonly title: string
  fn: (t: { pass(): void }) => unknown
  run(): unknown
}

/** Where ava runs a test file: tells its tests apart, and leaves out those that are excluded. */
export async function watchTests(worker: string): Promise<void> {
  const require = createRequire(worker)
  const { default: Test } = (await import(new URL('../test.js', pathToFileURL(worker)).href)) as {
    readonly default: { readonly prototype: Run }
  }
  const { run } = Test.prototype
  Test.prototype.run = function () {
    const options = require('./options.cjs') as { get(): { readonly file: string } }
    const file = options
      .get()
      .file.replace(/^.*\/\.test\//, '')
      .replace(/\.test\.mjs$/, '')
    const test = `${file} › ${this.title}`
    if (exclusionOf(test) !== undefined) {
      note('excluded', test)
      this.fn = (t) => t.pass()
    }
    return runAs(test, () => run.call(this))
  }
}

/** Processes and threads that a test starts are its own, too. */
export function followTests(): void {
  const processes = ChildProcess.prototype as unknown as {
    spawn(options: { envPairs?: string[] }): unknown
  }
  const { spawn } = processes
  processes.spawn = function (options) {
    const test = currentTest()
    if (test !== undefined) options.envPairs?.push(`${testVariable}=${test}`)
    return spawn.call(this, options)
  }
  const { Worker, setEnvironmentData } = workerThreads
  Object.assign(workerThreads, {
    Worker: class extends Worker {
      constructor(...values: ConstructorParameters<typeof Worker>) {
        setEnvironmentData(testVariable, currentTest() ?? '')
        super(...values)
      }
    },
  })
  syncBuiltinESMExports()
}
