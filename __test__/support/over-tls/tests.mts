import { ChildProcess } from 'node:child_process'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { pathToFileURL } from 'node:url'
import workerThreads from 'node:worker_threads'

import { exclusionOf } from './excluded.mjs'
import { currentTest, note, runAs, testVariable } from './record.mjs'

const preload = new URL('./preload.mjs', import.meta.url).href

interface Run {
  readonly title: string
  readonly metadata: { readonly type: string }
  fn: (t: { pass(): void }) => unknown
  run(): Promise<{ readonly passed: boolean }>
}

/** Where ava runs a test file: tells its tests apart, leaves out those that are excluded, and notes how the others end. */
export async function watchTests(worker: string): Promise<void> {
  const require = createRequire(worker)
  const { default: Test } = (await import(new URL('../test.js', pathToFileURL(worker)).href)) as {
    readonly default: { readonly prototype: Run }
  }
  const { run } = Test.prototype
  Test.prototype.run = async function () {
    const options = require('./options.cjs') as { get(): { readonly file: string } }
    const file = options
      .get()
      .file.replace(/^.*\/\.test\//, '')
      .replace(/\.test\.mjs$/, '')
    const test = `${file} › ${this.title}`
    const exclusion = exclusionOf(file, this.title)
    if (exclusion !== undefined) {
      note('excluded', test, exclusion)
      this.fn = (t) => t.pass()
    }
    const outcome = await runAs(test, () => run.call(this))
    // A hook is no test: what it notes on its way is.
    if (this.metadata.type === 'test' || !outcome.passed) note(outcome.passed ? 'passed' : 'failed', test)
    return outcome
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
      constructor(...[program, options]: ConstructorParameters<typeof Worker>) {
        setEnvironmentData(testVariable, currentTest() ?? '')
        // Nothing is preloaded where code is evaluated.
        const isCode = options?.eval === true && typeof program === 'string'
        super(isCode ? `import('${preload}').then(() => {${program}})` : program, options)
      }
    },
  })
  syncBuiltinESMExports()
}
