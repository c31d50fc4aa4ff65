// Drivers and servers of others over toDuplex(), each beside node:net in the same run: what comes of every trial must be
// the same, within ten seconds, and the process must end by itself. Their servers are Debian's packages; what is not
// installed is skipped with a line, and fails in CI.
//
//   npm run test:drivers [-- --only pg,ws] [--security core] [--write]
//
// They run in plain text, with Node's TLS over the stream, and with TLS of the core below it (`core`), which is compared with
// Node's TLS over node:net.
//
// `--write` keeps the results, and makes the table in docs/guides/node-streams.md of them.

import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { installLocked } from './install-locked.mjs'
import { killTree } from './test-drivers/services/process.mjs'
import { programPath } from './test-drivers/services/programs.mjs'
import { resultsPath, writeTable } from './test-drivers/table.mjs'
import { limit, trialNames } from './test-drivers/trials.mjs'

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    security: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
})
const folder = fileURLToPath(new URL('test-drivers/', import.meta.url))
/** Where two runs differ by chance, such as in which error comes first, another pair may show the same. */
const attempts = 3
/** For a server to start, and for all trials to hang. */
const longest = 60_000 + (trialNames.length + 2) * limit

/** Process groups that are under way. */
const running = new Set()
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    for (const group of running) killTree(group)
    process.kill(process.pid, signal)
  })
}

/** Runs one driver over one transport: what came of its trials, by name. */
async function run(driver, transport, security) {
  const temporary = mkdtempSync(join(tmpdir(), 'netpoll-drivers-'))
  // Servers of other accounts keep things there, too.
  chmodSync(temporary, 0o1777)
  const child = spawn(process.execPath, [join(folder, 'run.mjs'), driver, transport, security], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: temporary },
  })
  const outcomes = {}
  const strays = new Set()
  const groups = [child.pid]
  running.add(child.pid)
  let printed = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    printed += text
  })
  const end = (signal) => child.kill(signal)
  let timer = setTimeout(end, longest, 'SIGKILL')
  const closed = new Promise((resolve) => child.once('close', (code, signal) => resolve(signal ?? code)))
  for await (const line of createInterface(child.stdout)) {
    const message = JSON.parse(line)
    if (message.trial !== undefined) outcomes[message.trial] = message.outcome
    if (message.stray !== undefined) strays.add(message.stray)
    if (message.group !== undefined) {
      groups.push(message.group)
      running.add(message.group)
    }
    if (message.over) {
      clearTimeout(timer)
      timer = setTimeout(end, limit, 'SIGKILL')
    }
  }
  const code = await closed
  clearTimeout(timer)
  for (const group of groups) {
    killTree(group)
    running.delete(group)
  }
  rmSync(temporary, { recursive: true, force: true })
  outcomes.exit = code === 0 ? 'done' : `${code === 'SIGKILL' ? 'hangs' : code}`
  outcomes.stray = [...strays].sort().join()
  if (outcomes.end === undefined) process.stdout.write(`${driver}, ${security}, ${transport}:\n${printed}\n`)
  return outcomes
}

/** What is looked at: the trials, the end of what the driver serves, that of the process, and uncaught exceptions. */
const looked = [...trialNames, 'end', 'exit', 'stray']

const problemsOf = (net, netpoll) =>
  looked
    .filter((trial) => net[trial] !== netpoll[trial] || !isGood(trial, netpoll[trial]))
    .map((trial) => ({ trial, net: net[trial], netpoll: netpoll[trial] }))

/**
 * Node's TLS takes a peer that was killed, or has destroyed its socket, for one that has ended. TLS of the core says that it
 * has not, and drivers tell that code in place of theirs.
 */
const isTruncation = (security, { trial, netpoll = '' }) =>
  security === 'core' && ['killed', 'end'].includes(trial) && netpoll.includes('ERR_TLS_TRUNCATED')

/** What fails or hangs over both shows nothing. */
const isGood = (trial, outcome = 'failed') =>
  trial === 'stray' ? outcome === '' : !outcome.includes('hangs') && !outcome.startsWith('failed')

/** Both transports, until one pair differs in nothing but what may differ. */
async function compare(driver, security, isAllowed) {
  let problems = []
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const net = await run(driver, 'net', security)
    const netpoll = await run(driver, 'netpoll', security)
    problems = problemsOf(net, netpoll)
    if (problems.every(isAllowed)) return { outcomes: netpoll, problems }
  }
  return { problems }
}

installLocked(folder)
const only = values.only?.split(',')
const names = readdirSync(join(folder, 'drivers'))
  .map((file) => file.replace(/\.mjs$/, ''))
  .filter((name) => only === undefined || only.includes(name))
const results = existsSync(resultsPath) ? JSON.parse(readFileSync(resultsPath, 'utf8')) : {}
let [passed, failed, skipped] = [0, 0, 0]
for (const name of names) {
  const { default: driver } = await import(`./test-drivers/drivers/${name}.mjs`)
  const missing = (driver.needs ?? []).filter((program) => programPath(program) === undefined)
  if (missing.length > 0) {
    process.stdout.write(`${name}: skipped, ${missing.join(' and ')} not installed\n`)
    if (process.env.CI) failed += 1
    else skipped += 1
    continue
  }
  const result = {
    ...(values.security !== undefined && results[name]),
    title: driver.title ?? `\`${name}\``,
    beside: driver.beside,
    note: driver.note,
    exceptions: {},
  }
  for (const security of driver.securities.filter((one) => (values.security ?? one) === one)) {
    const isAllowed = (problem) =>
      isGood(problem.trial, problem.netpoll) &&
      (driver.exceptions?.[`${security} ${problem.trial}`] !== undefined || isTruncation(security, problem))
    const { problems, outcomes } = await compare(name, security, isAllowed)
    const unexpected = problems.filter((problem) => !isAllowed(problem))
    for (const problem of unexpected) {
      process.stdout.write(
        `${name}, ${security}, ${problem.trial}:\n  node:net: ${problem.net}\n  netpoll:  ${problem.netpoll}\n`,
      )
    }
    for (const problem of problems.filter(isAllowed)) {
      const { trial } = problem
      result.exceptions[`${security}, ${trial}`] = isTruncation(security, problem)
        ? '`ERR_TLS_TRUNCATED`'
        : driver.exceptions[`${security} ${trial}`]
    }
    const isSame = unexpected.length === 0
    if (isSame) passed += 1
    else failed += 1
    result[security] = isSame ? 'same' : 'other'
    const how = outcomes === undefined ? '' : `, killed: ${outcomes.killed}`
    process.stdout.write(
      `${name}, ${security}: ${isSame ? `as over node:net${how}` : 'NOT as over node:net'}\n`,
    )
  }
  results[name] = result
}
if (values.write) {
  const sorted = Object.fromEntries(Object.entries(results).sort(([a], [b]) => (a < b ? -1 : 1)))
  writeFileSync(resultsPath, `${JSON.stringify(sorted, undefined, 2)}\n`)
  writeTable(sorted)
}
process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped\n`)
process.exitCode = failed > 0 ? 1 : 0
