// The library of Apache Thrift, an optional peer of netpoll: users of netpoll/thrift install it. The registry of the
// tests gets it, and what it depends on, from node_modules of the checkout.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { root } from '../package/targets.mjs'

/** Versions of Node.js that cannot load it: it requires an ES module, which they do from 20.19 on. */
export const isTooOldForThrift = (version) => {
  const [major, minor] = version.replace('v', '').split('.').map(Number)
  return major === 20 && minor < 19
}

const folderOf = (name) => join(root, 'node_modules', name)

/** `name` and everything that it needs, each after those that it needs itself. */
function withDependencies(name, found = new Set()) {
  const manifest = JSON.parse(readFileSync(join(folderOf(name), 'package.json'), 'utf8'))
  for (const other of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
    // Optional peers of these are not there.
    if (existsSync(folderOf(other)) && !found.has(other)) withDependencies(other, found)
  }
  return found.add(name)
}

/** @param {import('./project.mjs').Project} publisher */
export function publishThriftLibrary(publisher) {
  for (const name of withDependencies('thrift')) {
    publisher.run('npm', ['publish', '--ignore-scripts', '--access', 'public'], { cwd: folderOf(name) })
  }
}
