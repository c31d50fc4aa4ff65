// Reads which files of a folder import which others of it, types included.

import { readFileSync } from 'node:fs'
import { join, posix } from 'node:path'

import { filesIn } from './tree.mjs'

const imports = /\bfrom\s+['"](\.[^'"]*)['"]|\bimport\(\s*['"](\.[^'"]*)['"]|^import\s+['"](\.[^'"]*)['"]/gm

/** The imports of all files in `folder`, whose names begin with that of the folder. */
export function typescriptImports(tree, folder) {
  const files = new Set(filesIn(tree, folder).filter((file) => /\.m?ts$/.test(file)))
  const read = (file) => {
    const text = readFileSync(join(tree, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
    const names = Array.from(text.matchAll(imports), ([, ...found]) => found.find((name) => name))
    const targets = names.map((name) => fileOf(posix.join(posix.dirname(file), name), files))
    return new Set(targets.filter((target) => target !== undefined && target !== file))
  }
  return new Map([...files].sort().map((file) => [file, read(file)]))
}

function fileOf(path, files) {
  const stem = path.replace(/\.(m?)js$/, '.$1')
  const names = [path, `${path}.ts`, `${path}.d.ts`, `${path}/index.ts`, `${stem}ts`]
  return names.find((name) => files.has(name))
}
