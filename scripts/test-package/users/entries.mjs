// Every entry of the installed package gives ES modules and CommonJS the same things, but those that are named.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const { name, exports } = require('netpoll/package.json')
const left = process.argv.slice(2)
for (const entry of Object.keys(exports).filter((path) => !path.endsWith('.json') && !left.includes(path))) {
  const specifier = `${name}${entry.slice(1)}`
  const required = require(specifier)
  const imported = await import(specifier)
  assert.deepEqual(Object.keys(imported).sort(), Object.keys(required).sort(), specifier)
  for (const key of Object.keys(required)) assert.equal(imported[key], required[key], `${specifier}: ${key}`)
}
console.log('the same')
