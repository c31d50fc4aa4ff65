// Uses the package as it lies here under jest, vitest and sinon, which are installed into a temporary folder: each file of
// tests loads it again, in a realm of its own where the runner has that, with the globals of Node.js, jsdom or happy-dom,
// with and without fake timers.
//
//   npm run test:runners

import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'netpoll-runners-'))
const packages = ['jest@30', 'jest-environment-jsdom@30', 'vitest', 'jsdom', 'happy-dom', 'sinon']
/** Copies of each file, so that the modules are loaded more than once under each condition. */
const copies = 3

function run(command, ...args) {
  const options = { cwd: folder, encoding: 'utf8', timeout: 600_000 }
  const { status, stdout, stderr } = spawnSync(command, args, options)
  const output = `${stdout}\n${stderr}`
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} has failed\n${output}`)
  return output
}

const body = `for (const pollers of [0, 1]) {
  test('everyday with ' + pollers + ' pollers', async () => {
    during()
    expect(await everyday(pollers)).toEqual(answers)
  }, 20_000)
}
`

function writeJestTests() {
  const environments = ['node', 'jsdom']
  const fakes = {
    none: ['', ''],
    before: ['jest.useFakeTimers()', ''],
    modern: ['', 'jest.useFakeTimers()'],
    legacy: ['', 'jest.useFakeTimers({ legacyFakeTimers: true })'],
  }
  for (const environment of environments) {
    for (const [name, [before, during]] of Object.entries(fakes)) {
      const text = `/** @jest-environment ${environment} */
${before}
const { everyday, answers } = require('./everyday.cjs')
const during = () => { ${during} }
${body}`
      for (let copy = 1; copy <= copies; copy += 1)
        writeFileSync(join(folder, `${environment}-${name}-${copy}.jest.cjs`), text)
    }
  }
  const config = {
    rootDir: folder,
    testMatch: ['**/*.jest.cjs'],
    moduleFileExtensions: ['js', 'cjs', 'mjs', 'json', 'node'],
  }
  writeFileSync(join(folder, 'jest.config.json'), JSON.stringify({ ...config, transform: {} }))
}

function writeVitestTests() {
  for (const environment of ['node', 'jsdom', 'happy-dom']) {
    for (const [name, during] of [
      ['none', ''],
      ['fake', 'vi.useFakeTimers()'],
    ]) {
      const text = `// @vitest-environment ${environment}
import { expect, test, vi } from 'vitest'
import { answers, everyday } from './everyday.cjs'
const during = () => { ${during} }
${body}`
      for (let copy = 1; copy <= copies; copy += 1)
        writeFileSync(join(folder, `${environment}-${name}-${copy}.vitest.mjs`), text)
    }
  }
  writeFileSync(
    join(folder, 'vitest.config.mjs'),
    "export default { test: { include: ['**/*.vitest.mjs'] } }\n",
  )
}

/** Sinon's fakes, whose `nextTick` would stop the streams of Node.js themselves. */
function writeSinonPrograms() {
  const toFake =
    '["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "Date", "performance", "hrtime"]'
  const install = `require('sinon').useFakeTimers({ toFake: ${toFake} })`
  const work = "require('./everyday.cjs').everyday"
  const orders = {
    before: `${install}\nconst everyday = ${work}`,
    after: `const everyday = ${work}\n${install}`,
  }
  for (const [name, order] of Object.entries(orders)) {
    const text = `${order}
everyday(0).then(() => everyday(1)).then((all) => console.log(all.join()))
`
    writeFileSync(join(folder, `sinon-${name}.cjs`), text)
  }
}

try {
  writeFileSync(join(folder, 'package.json'), '{ "name": "runners", "version": "1.0.0", "private": true }\n')
  cpSync(join(root, 'scripts', 'test-runners'), folder, { recursive: true })
  run('npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts', ...packages)
  symlinkSync(root, join(folder, 'node_modules', 'netpoll'))
  writeJestTests()
  writeVitestTests()
  writeSinonPrograms()
  const jest = run('npx', 'jest', '--config', 'jest.config.json', '--runInBand', '--detectOpenHandles')
  if (/open handle/i.test(jest)) throw new Error(`jest has found what is open\n${jest}`)
  process.stdout.write('jest: passed, nothing is open\n')
  for (const pool of ['forks', 'threads', 'vmThreads']) {
    run('npx', 'vitest', 'run', '--config', 'vitest.config.mjs', `--pool=${pool}`)
    process.stdout.write(`vitest, ${pool}: passed\n`)
  }
  for (const name of ['before', 'after']) {
    const output = run('node', `sinon-${name}.cjs`)
    if (output.trim() !== 'hi,ho,hello') throw new Error(`sinon, installed ${name}: ${output}`)
    process.stdout.write(`sinon, installed ${name}: passed\n`)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
