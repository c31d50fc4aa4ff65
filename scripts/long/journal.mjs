// Remembers which parts of a long run have passed, and on which state of the sources, so that a run that was ended goes on
// where it was.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** What a part is known by in the journal: the same part on another Node.js, or of another round, is another one. */
export function keyOf({ title, node, round }) {
  return JSON.stringify([title, node ?? '', round ?? 0])
}

/** The entry of a line; `undefined` for one that was cut off, or is of something else. */
function entryOf(line) {
  try {
    const entry = JSON.parse(line)
    return typeof entry?.key === 'string' && typeof entry.state === 'string' ? entry : undefined
  } catch {
    return undefined
  }
}

/** A file with one line for each part that has ended. Each line is there as soon as its part has ended. */
export class Journal {
  #path
  #state
  /** The last entry of each part, on this state of the sources. */
  #entries = new Map()

  /**
   * @param path of the file, which need not exist
   * @param state what the sources are: what has passed on another state counts for nothing
   */
  constructor(path, state) {
    this.#path = path
    this.#state = state
    const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : []
    for (const line of lines) {
      const entry = entryOf(line)
      if (entry?.state === state) this.#entries.set(entry.key, entry)
    }
  }

  /** Whether the part has passed on this state. One that has failed is run again. */
  hasPassed(part) {
    return this.#entries.get(keyOf(part))?.result === 'passed'
  }

  /** The last entry of a part; `undefined` where it has not ended yet. */
  entryOf(part) {
    return this.#entries.get(keyOf(part))
  }

  /**
   * Notes that a part has ended.
   *
   * @param result `'passed'` or `'failed'`
   */
  note(part, result, seconds) {
    const entry = { state: this.#state, key: keyOf(part), result, seconds, at: new Date().toISOString() }
    mkdirSync(dirname(this.#path), { recursive: true })
    // The line before may have been cut off. Nothing is read of an empty line.
    appendFileSync(this.#path, `\n${JSON.stringify(entry)}`)
    this.#entries.set(entry.key, entry)
  }
}

/** The commit, and a hash of what differs from it: another state has another name. */
export function stateOfSources(folder) {
  const git = (...args) => spawnSync('git', args, { cwd: folder, encoding: 'utf8', maxBuffer: 2 ** 28 })
  const commit = git('rev-parse', 'HEAD')
  if (commit.status !== 0) throw new Error(`git does not know the commit: ${commit.stderr}`)
  const changes = git('diff', 'HEAD', '--binary').stdout
  const names = git('ls-files', '--others', '--exclude-standard', '-z').stdout.split('\0').filter(Boolean)
  if (changes === '' && names.length === 0) return commit.stdout.trim()
  const hash = createHash('sha256').update(changes)
  const hashes = spawnSync('git', ['hash-object', '--stdin-paths'], {
    cwd: folder,
    encoding: 'utf8',
    input: names.join('\n'),
  })
  hash.update(names.join('\0')).update(hashes.stdout ?? '')
  return `${commit.stdout.trim()}+${hash.digest('hex').slice(0, 16)}`
}
