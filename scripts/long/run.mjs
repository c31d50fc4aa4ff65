// Runs the parts of a long run that the journal does not have, and prints one table of all of them.

import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { tableOf } from './table.mjs'

/** How much of what a failed part has printed is shown. All of it is in its log. */
const shown = 20_000

/** Ends a part with all that it has started. Each part is a process group of its own. */
function endGroup(pid) {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}

/** Groups that run: the end of this process ends them. */
const running = new Set()
function endAll() {
  for (const pid of running) endGroup(pid)
}
process.on('exit', endAll)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130))

/** Starts a group; resolves to its status, or the signal that it has ended by. */
function start(command, args, { env, output, limit }) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', output, output],
      detached: true,
    })
    const timer = limit && setTimeout(() => endGroup(child.pid), limit)
    if (child.pid !== undefined) running.add(child.pid)
    const ended = (end) => {
      clearTimeout(timer)
      if (child.pid !== undefined) {
        endGroup(child.pid)
        running.delete(child.pid)
      }
      resolve(end)
    }
    child.on('error', (error) => ended(error.message))
    child.on('exit', (status, signal) => ended(signal ?? status))
  })
}

const nameOfLog = ({ title, node, round }) =>
  `${[title, node, round]
    .filter((word) => word !== undefined)
    .join(' ')
    .replaceAll(/[^\w.-]+/g, '-')}.log`

/** Processes that do nothing but compute, so that everything happens at unusual moments. */
function keepBusy() {
  const children = [0, 1].map(() =>
    spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore', detached: true }),
  )
  for (const { pid } of children) running.add(pid)
  return () => {
    for (const { pid } of children) {
      endGroup(pid)
      running.delete(pid)
    }
  }
}

/** Runs one part, and notes how it has ended. */
async function attempt(part, { journal, folder, write }) {
  mkdirSync(folder, { recursive: true })
  const log = join(folder, nameOfLog(part))
  const output = openSync(log, 'w')
  const began = performance.now()
  const rest = part.busy ? keepBusy() : () => {}
  const end = await start(part.command, part.args, { env: part.env, output, limit: part.minutes * 60_000 })
  rest()
  closeSync(output)
  const seconds = Math.round((performance.now() - began) / 1_000)
  journal.note(part, end === 0 ? 'passed' : 'failed', seconds)
  const name = [part.title, part.node, part.round].filter((word) => word !== undefined).join(', ')
  write(`${end === 0 ? 'passed' : 'FAILED'} after ${seconds} s: ${name}\n`)
  if (end !== 0) write(`${end}, see ${log}\n${readFileSync(log, 'utf8').slice(-shown)}\n`)
}

/** Parts that follow one another with the same lane run two at a time, and every other one by itself. */
function* lanes(parts) {
  let lane = []
  for (const part of parts) {
    if (lane.length > 0 && (part.lane === undefined || part.lane !== lane[0].lane || lane.length === 2)) {
      yield lane
      lane = []
    }
    lane.push(part)
  }
  if (lane.length > 0) yield lane
}

/**
 * Runs what has not passed yet.
 *
 * @param parts each with `title`, `node` (a version) and `round` where it has them, `command`, `args`, `minutes` that it may
 * take, and where wanted `env`, `busy`, `lane`
 * @param options.folder for what the parts print
 * @returns how many parts have failed
 */
export async function runParts(parts, { journal, folder, write }) {
  const left = parts.filter((part) => !journal.hasPassed(part))
  write(`${parts.length - left.length} of ${parts.length} have passed before on this state of the sources\n`)
  for (const lane of lanes(left)) {
    await Promise.all(lane.map((part) => attempt(part, { journal, folder, write })))
  }
  const entries = parts.map((part) => ({ part, entry: journal.entryOf(part) }))
  const failed = entries.filter(({ entry }) => entry?.result !== 'passed').length
  write(`\n${tableOf(entries)}\n\n${parts.length - failed} passed, ${failed} failed\n`)
  return failed
}
