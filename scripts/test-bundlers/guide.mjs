// The commands and files of docs/guides/bundlers.md, as its readers would carry them out.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { hostTarget, root } from '../package/targets.mjs'

const text = readFileSync(join(root, 'docs', 'guides', 'bundlers.md'), 'utf8')

/** What follows the line that begins a part of the guide, up to the next. */
function between(source, start, next) {
  const begin = source.search(start)
  if (begin < 0) throw new Error(`the guide has no ${start}`)
  const rest = source.slice(begin)
  const length = rest.slice(1).search(next)
  return length < 0 ? rest : rest.slice(0, length + 1)
}

/** The fenced blocks of a part, with this platform's add-on in the place of the guide's. */
function blocks(part) {
  const { name } = hostTarget()
  return [...part.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language, source]) => ({
    language,
    source: source.replaceAll('linux-x64-gnu', name),
  }))
}

/** The files that a part shows, by the name in their first line, and what it has a shell do. */
function recipe(part) {
  const files = {}
  let commands = ''
  for (const { language, source } of blocks(part)) {
    if (language === 'sh') commands += source
    if (language === 'text') files[/^\/\/ (\S+)/.exec(source)[1]] = source
  }
  return { files, commands }
}

const section = (title) => between(text, new RegExp(`^## ${title}$`, 'm'), /^## /m)
const introduction = text.slice(0, text.search(/^## /m))

/** The program that all of them build. */
export const program = recipe(introduction).files

/** How the guide uses a bundler. */
export const recipeOf = (title, bundler) =>
  recipe(between(section(title), new RegExp(`^${bundler}\\b`, 'm'), /^(esbuild|webpack|ncc|rollup)\b/m))

/** How the guide makes a single executable, and the files that it shows for one with the add-on within. */
export const executable = recipe(section('Single executable applications'))

/** The configuration of one with the add-on within. */
export const executableWithAssets = blocks(section('Single executable applications')).find(
  ({ language }) => language === 'json',
).source
