// Reads which files of a folder import which others of it, types included.

import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'

const imports = /\bfrom\s+['"](\.[^'"]*)['"]|\bimport\(\s*['"](\.[^'"]*)['"]|^import\s+['"](\.[^'"]*)['"]/gm

/** The imports of all files in `folder`, whose names begin with that of the folder. */
export function typescriptImports(root, folder) {
  const paths = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  const files = new Set(paths.filter((path) => /\.m?ts$/.test(path)).map((path) => `${folder}/${path}`))
  const read = (file) => {
    const text = readFileSync(join(root, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
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
