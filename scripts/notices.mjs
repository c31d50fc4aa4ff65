// Writes the notices of what the add-on and the program netpoll-bench are linked with, as binaries carry code of
// others. With --check it only tells whether the files are up to date. Needs no network once the crates are there.

import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'

import { root, targets } from './package/targets.mjs'

const notices = [
  { crate: 'netpoll-node', file: 'THIRD-PARTY-NOTICES.md', product: 'the add-on of netpoll' },
  {
    crate: 'netpoll-bench',
    file: 'crates/bench/THIRD-PARTY-NOTICES.md',
    product: 'the program netpoll-bench',
  },
]

/** Licences that what we ship may have, those that we choose first at the front. */
const acceptable = [
  'MIT',
  'ISC',
  'Zlib',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'Apache-2.0',
  'Unicode-3.0',
  'Apache-2.0 AND ISC',
]

/** Where a crate may keep the text of a licence, by licence. */
const textFiles = {
  MIT: /^(LICENSE|LICENCE|COPYING)([-.]MIT)?(\.(md|txt))?$/i,
  ISC: /^LICENSE(\.(md|txt))?$/i,
  'BSD-3-Clause': /^LICENSE(\.(md|txt))?$/i,
  // Of ring: the parts that are of BoringSSL, and the others.
  'Apache-2.0 AND ISC': /^LICENSE([-.].*)?$/i,
  'Apache-2.0': /^LICENSE([-.]APACHE.*)?(\.(md|txt))?$/i,
}

const mit = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`

function metadata(triple) {
  const args = ['metadata', '--format-version', '1', '--locked', '--filter-platform', triple]
  return JSON.parse(execFileSync('cargo', args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 28 }))
}

/** The crates that `crate` is linked with on one platform: what only builds, tests or expands macros is not. */
function linkedCrates({ packages, resolve }, crate) {
  const byId = new Map(packages.map((each) => [each.id, each]))
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]))
  const isMacro = ({ targets: built }) => built.some(({ kind }) => kind.includes('proc-macro'))
  const found = new Map()
  const visit = (id) => {
    const each = byId.get(id)
    if (found.has(id) || isMacro(each)) return
    found.set(id, each)
    for (const { pkg, dep_kinds: kinds } of nodes.get(id).deps) {
      if (kinds.some(({ kind }) => kind === null)) visit(pkg)
    }
  }
  visit(packages.find(({ name, source }) => name === crate && source === null).id)
  return [...found.values()].filter(({ source }) => source !== null)
}

/** The licence by which we use a crate, of those that it offers. */
function chosenLicence({ name, license }) {
  const offered = (license ?? '').split(/\s+OR\s+|\//)
  const chosen = acceptable.find((each) => offered.includes(each))
  if (chosen === undefined) throw new Error(`${name}: is ${license} a licence that we may ship under?`)
  return chosen
}

/** The text of a crate's licence, or, where it brings none, that of MIT with the authors' names. */
function licenceText(crate, licence) {
  const folder = dirname(crate.manifest_path)
  const named = readdirSync(folder).filter((name) => textFiles[licence]?.test(name))
  // `LICENSE-MIT` says more than `LICENSE`, which may point to the others.
  named.sort((one, other) => other.length - one.length)
  const files = licence.includes(' AND ') ? named : named.slice(0, 1)
  const texts = files.map((file) => readFileSync(join(folder, file), 'utf8').replaceAll('\r\n', '\n').trim())
  if (texts.length > 0) return texts.join('\n\n')
  if (licence !== 'MIT') throw new Error(`${crate.name} has no text of ${licence}`)
  const holders = crate.authors.map((author) => author.replace(/\s*<.*>/, '')).join(', ')
  return `Copyright (c) ${holders || `the authors of ${crate.name}`}\n\n${mit}`
}

function describe({ crate, product }, platforms) {
  const crates = new Map(
    platforms.flatMap((each) => linkedCrates(each, crate)).map((each) => [each.id, each]),
  )
  const byText = new Map()
  for (const each of [...crates.values()].sort((one, other) => (one.id < other.id ? -1 : 1))) {
    const licence = chosenLicence(each)
    const text = licenceText(each, licence)
    byText.set(text, [...(byText.get(text) ?? []), `${each.name} ${each.version} (${licence})`])
  }
  const sections = [...byText].map(
    ([text, names]) => `## ${names.join(', ')}\n\n\`\`\`text\n${text}\n\`\`\`\n`,
  )
  return `# Third-party notices

Code of others that ${product} is linked with on some platform, and its licences. Made by \`scripts/notices.mjs\`.

${sections.join('\n')}
## The Rust standard library (MIT or Apache-2.0) and, on musl, musl libc (MIT)

\`\`\`text
Copyright (c) The Rust Project contributors
Copyright (c) 2005-2020 Rich Felker, et al.

${mit}
\`\`\`
`
}

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
const platforms = targets.map(({ triple }) => metadata(triple))
for (const notice of notices) {
  const path = join(root, notice.file)
  const wanted = describe(notice, platforms)
  if (existsSync(path) && readFileSync(path, 'utf8') === wanted) continue
  if (values.check) {
    process.stderr.write(`${notice.file} is out of date: run node scripts/notices.mjs\n`)
    process.exitCode = 1
  } else writeFileSync(path, wanted)
}
