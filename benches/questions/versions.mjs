// Which versions were measured.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'

import { fromRoot } from '../runner/paths.mjs'

/** @param {string} path */
const read = (path) => readFileSync(fromRoot(path), 'utf8')

/** What a pattern captures in a file of the repository. @param {string} path @param {RegExp} pattern */
const find = (path, pattern) => (existsSync(fromRoot(path)) && pattern.exec(read(path))?.[1]) || 'unknown'

/**
 * What a command prints.
 *
 * @param {string} command
 * @param {readonly string[]} words
 * @param {RegExp} pattern Captures the version in it.
 */
function ask(command, words, pattern) {
  const PATH = `${process.env['PATH']}:/usr/local/go/bin`
  const { stdout, stderr } = spawnSync(command, words, {
    cwd: fromRoot(''),
    encoding: 'utf8',
    env: { ...process.env, PATH },
  })
  return pattern.exec(`${stdout}${stderr}`)?.[1] ?? 'not installed'
}

/** @param {string} name */
const lockedCrate = (name) => find('Cargo.lock', new RegExp(`name = "${name}"\nversion = "(.+)"`))

/** @param {string} node That of servers and clients. @returns {Readonly<Record<string, string>>} */
export function versions(node) {
  return {
    netpoll: `${find('package.json', /"version": "(.+)"/)} (${ask('git', ['rev-parse', '--short', 'HEAD'], /^(\w+)/)})`,
    'Node.js': node,
    Bun: find('benches/peers/package.json', /"@oven\/bun-linux-x64": "(.+)"/),
    Go: ask('go', ['version'], /go(\d\S+)/),
    'cloudwego/netpoll': find('benches/peers/go/go.mod', /cloudwego\/netpoll v(\S+)/),
    gnet: find('benches/peers/go/go.mod', /gnet\/v2 v(\S+)/),
    evio: find('benches/peers/go/go.mod', /evio v(\S+)/),
    Java: ask('java', ['-version'], /version "(.+)"/),
    Netty: find('benches/peers/netty/pom.xml', /<netty.version>(.+)<\/netty.version>/),
    tokio: lockedCrate('tokio'),
    mio: lockedCrate('mio'),
  }
}
