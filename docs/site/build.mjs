// Builds the documentation site: `npm run docs` leaves it in docs/site/build.
//
// TypeDoc makes the reference from src-ts. The pages beside it are the Markdown files of the repository, with links that
// hold on the site: to other pages, or to the file on GitHub.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, posix, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

import { pages, titles } from './pages.mjs'

const site = fileURLToPath(new URL('./', import.meta.url))
const root = fileURLToPath(new URL('../../', import.meta.url))
const written = join(site, 'pages')
const repository = 'https://github.com/netpoll-node/netpoll'

/** Installs TypeDoc and its TypeScript, unless they are there. */
function install() {
  const installed = join(site, 'node_modules', '.package-lock.json')
  const lock = join(site, 'package-lock.json')
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  execFileSync('npm', args, { cwd: site, stdio: 'inherit' })
}

/** Names of the files that pages are written to, by their path in the repository. */
const pageNames = new Map([
  ['README.md', 'README.md'],
  ...pages.flatMap(({ files }) =>
    files.map((file) => [file, file.replace(/^docs\//, '').replaceAll('/', '-')]),
  ),
])

/** Where a link of `file` leads on the site. */
function rewrite(file, link) {
  if (/^([a-z]+:|#)/.test(link)) return link
  const [path, fragment] = link.split('#')
  const target = posix.join(dirname(file), path)
  if (!existsSync(join(root, target))) throw new Error(`${file}: ${link} leads nowhere`)
  const suffix = fragment === undefined ? '' : `#${fragment}`
  if (pageNames.has(target)) return `${pageNames.get(target)}${suffix}`
  if (/\.(svg|png)$/.test(target)) return relative(written, join(root, target))
  const kind = statSync(join(root, target)).isDirectory() ? 'tree' : 'blob'
  return `${repository}/${kind}/main/${target}${suffix}`
}

/** A Markdown file as a page: code is left as it is. */
function convert(file) {
  const parts = readFileSync(join(root, file), 'utf8').split(/(^```[\s\S]*?^```$)/m)
  const text = parts.map((part) =>
    part.startsWith('```')
      ? part
      : part.replace(
          /(\]\()([^)\s]+)(\))/g,
          (_, open, link, close) => `${open}${rewrite(file, link)}${close}`,
        ),
  )
  return text.join('')
}

/** The page with its title where TypeDoc looks for it, too. */
function document(file, group) {
  const text = convert(file)
  const title = titles.get(file) ?? /^# (.*)$/m.exec(text)?.[1] ?? basename(file)
  return `---\ntitle: ${JSON.stringify(title)}\ngroup: ${group}\n---\n\n${text}`
}

install()
rmSync(written, { recursive: true, force: true })
mkdirSync(written)
writeFileSync(join(written, 'README.md'), convert('README.md'))
const documents = pages.flatMap(({ group, files }) =>
  files.map((file) => {
    const path = join(written, pageNames.get(file))
    writeFileSync(path, document(file, group))
    return path
  }),
)
const typedoc = join(site, 'node_modules', 'typedoc', 'bin', 'typedoc')
const options = ['--options', 'typedoc.json', ...documents.flatMap((path) => ['--projectDocuments', path])]
execFileSync(process.execPath, [typedoc, ...options], { cwd: site, stdio: 'inherit' })
