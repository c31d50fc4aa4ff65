// Lines of src-ts that the suite of ava has run. V8 counts in each process; c8 maps what it counted to the sources.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

import { mergeProcessCovs } from '@bcoe/v8-coverage'
import { Report } from 'c8'

import { addon, folder, profileEnvironment } from './core.mjs'

/** Where processes write, and where what they wrote is collected. */
const raw = join(folder, 'v8')
const collected = join(folder, 'v8-collected')
const dist = pathToFileURL(resolve('dist')).href
const ava = join('node_modules', 'ava', 'entrypoints', 'cli.mjs')
const collectedFile = join(collected, 'coverage.json')

function compile(...args) {
  const { status } = spawnSync(join('node_modules', '.bin', 'tsc'), args, { stdio: 'inherit' })
  if (status !== 0) throw new Error(`tsc ${args.join(' ')} has failed`)
}

/** Compiles package and tests; the former with maps, by which V8's figures become those of the sources. */
export function build() {
  for (const place of [raw, collected, 'dist', '.test']) rmSync(place, { recursive: true, force: true })
  compile('-p', join('src-ts', 'tsconfig.json'), '--sourceMap')
  compile('-p', join('__test__', 'tsconfig.json'))
}

/** Runs test files of ava, or all of them, with the instrumented add-on. */
export function test(files) {
  mkdirSync(raw, { recursive: true })
  const env = {
    ...process.env,
    ...profileEnvironment(),
    NAPI_RS_NATIVE_LIBRARY_PATH: addon,
    NODE_V8_COVERAGE: raw,
  }
  spawnSync(process.execPath, [ava, ...files], { env, stdio: 'inherit' })
  collect()
}

/** Merges what processes have left: there are thousands, and most of what they say is of other code. */
function collect() {
  mkdirSync(collected, { recursive: true })
  let whole = existsSync(collectedFile) ? JSON.parse(readFileSync(collectedFile, 'utf8')) : { result: [] }
  const maps = whole['source-map-cache'] ?? {}
  let group = [whole]
  const fold = () => {
    whole = mergeProcessCovs(group)
    group = [whole]
  }
  for (const name of readdirSync(raw)) {
    const path = join(raw, name)
    const part = readOr(path)
    rmSync(path)
    const result = part.result.filter(({ url }) => url.startsWith(`${dist}/`))
    if (result.length === 0) continue
    for (const [url, map] of Object.entries(part['source-map-cache'] ?? {})) {
      if (url.startsWith(`${dist}/`)) maps[url] = map
    }
    group.push({ result })
    if (group.length > 32) fold()
  }
  fold()
  writeFileSync(collectedFile, JSON.stringify({ ...whole, 'source-map-cache': maps }))
}

/** What a process has written that was killed while it did so counts for nothing. */
function readOr(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return { result: [] }
  }
}

/** Whether nothing is left of a file once it is compiled: it has types alone, which no process loads. */
function hasTypesOnly(path) {
  const compiled = join('dist', relative('src-ts', path)).replace(/ts$/, 'js')
  if (!existsSync(compiled)) return false
  const code = readFileSync(compiled, 'utf8')
    .replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
    .replace('"use strict";', '')
    .replace('Object.defineProperty(exports, "__esModule", { value: true });', '')
  return /^\s*(export \{\};)?\s*$/.test(code)
}

/** Each line that is code, and whether it has run: `{ file, covered, missed }`. */
export async function report() {
  mkdirSync(collected, { recursive: true })
  const c8 = Report({
    include: ['src-ts/**/*.ts', 'src-ts/**/*.mts'],
    exclude: ['**/*.d.ts', '**/*.d.mts'],
    extension: ['.ts', '.mts', '.js', '.mjs'],
    excludeAfterRemap: true,
    reporter: [],
    tempDirectory: collected,
    all: true,
    src: [resolve('src-ts')],
    resolve: '',
    omitRelative: true,
    wrapperLength: 0,
  })
  const map = await c8.getCoverageMapFromAllCoverageFiles()
  const sources = map.files().filter((path) => !hasTypesOnly(path))
  const files = sources.map((path) => {
    const lines = Object.entries(map.fileCoverageFor(path).getLineCoverage())
    const missed = lines.filter(([, count]) => count === 0).map(([line]) => Number(line))
    return { file: relative(process.cwd(), path), covered: lines.length - missed.length, missed }
  })
  return { groups: ['src-ts'], files }
}
