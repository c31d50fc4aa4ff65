// Prints what CHANGELOG.md says about the version of a tag, which must be the version of everything here.
//
//   node scripts/package/release-notes.mjs v1.2.3

import { readFileSync } from 'node:fs'

import { manifest, root } from './targets.mjs'

const [tag = ''] = process.argv.slice(2)
const read = (path) => readFileSync(`${root}${path}`, 'utf8')

const crates = /^\[workspace\.package\]\nversion = "(.*)"$/m.exec(read('Cargo.toml'))?.[1]
for (const [file, version] of Object.entries({ 'package.json': manifest.version, 'Cargo.toml': crates })) {
  if (tag !== `v${version}`) throw new Error(`the tag is ${tag}, and the version in ${file} ${version}`)
}
const section = read('CHANGELOG.md')
  .split(/^## /m)
  .find((text) => text.startsWith(`[${manifest.version}]`))
if (section === undefined) throw new Error(`CHANGELOG.md has nothing about ${manifest.version}`)
process.stdout.write(`${section.slice(section.indexOf('\n')).trim()}\n`)
