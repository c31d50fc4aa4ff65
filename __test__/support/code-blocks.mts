// The code blocks of the documentation, and the examples in comments of the sources, as programs: written to files, compiled, and run to see what they print.

import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { freePort } from './listeners.mjs'

/** A fenced block of a Markdown file, or of a comment. */
export interface CodeBlock {
  /** Path of the file, from the root of the repository. */
  readonly file: string
  /** Line of the opening fence. */
  readonly line: number
  readonly language: string
  readonly source: string
}

/** The Markdown files whose blocks are for users. */
export function documentationFiles(root: string): readonly string[] {
  const guides = readdirSync(join(root, 'docs', 'guides')).sort()
  return ['README.md', ...guides.map((name) => `docs/guides/${name}`)]
}

/** The sources of the package, whose comments have examples. */
export function sourceFiles(root: string): readonly string[] {
  const paths = readdirSync(join(root, 'src-ts'), { recursive: true, encoding: 'utf8' })
  return paths
    .filter((path) => /\.m?ts$/.test(path))
    .map((path) => `src-ts/${path}`)
    .sort()
}

/** The blocks of one file, in their order: of a source those in its comments. */
export function codeBlocks(root: string, file: string): readonly CodeBlock[] {
  const whole = readFileSync(join(root, file), 'utf8')
  const text = file.endsWith('.md') ? whole : commentsOf(whole)
  return blocksOf(file, text)
}

/** What the comments of a source say, each line where it was. */
function commentsOf(source: string): string {
  let isComment = false
  const lines = source.split('\n').map((line) => {
    if (/^\s*\/\*\*/.test(line)) isComment = true
    const said = isComment ? line.replace(/^\s*(?:\/\*\*|\*\/|\*) ?/, '') : ''
    if (line.includes('*/')) isComment = false
    return said
  })
  return lines.join('\n')
}

function blocksOf(file: string, all: string): readonly CodeBlock[] {
  const blocks: CodeBlock[] = []
  let open: { readonly line: number; readonly language: string; readonly lines: string[] } | undefined
  for (const [index, text] of all.split('\n').entries()) {
    const fence = /^\s*```(.*)$/.exec(text)
    if (fence === null) open?.lines.push(text)
    else if (open === undefined) open = { line: index + 1, language: fence[1] ?? '', lines: [] }
    else {
      blocks.push({ file, line: open.line, language: open.language, source: open.lines.join('\n') })
      open = undefined
    }
  }
  if (open !== undefined) throw new Error(`${file}:${open.line}: the block has no end`)
  return blocks
}

/** Puts into `folder` the key and the certificate that programs read there. */
export function addCertificate(root: string, folder: string): void {
  for (const name of ['key.pem', 'certificate.pem']) {
    copyFileSync(join(root, '__test__', 'fixtures', 'tls', name), join(folder, name))
  }
}

/** Whether a block is a program. */
export function isProgram(block: CodeBlock): boolean {
  return block.language === 'ts' && declaredFile(block) === undefined
}

/** The file of types that a block is, where its first line names one. */
function declaredFile({ source }: CodeBlock): string | undefined {
  return /^\/\/ (\S+\.d\.ts)$/m.exec(source.split('\n', 1)[0] ?? '')?.[1]
}

/** Name of the module that a block becomes, without its extension. */
export function moduleName({ file, line }: CodeBlock): string {
  return `${file.replace(/\.(md|m?ts)$/, '').replaceAll('/', '-')}-${line}`
}

/** As strict as can be. */
const compilerOptions = {
  target: 'es2022',
  lib: ['es2023', 'esnext.disposable'],
  types: ['node'],
  rootDir: '.',
  strict: true,
  exactOptionalPropertyTypes: true,
  noImplicitOverride: true,
  noPropertyAccessFromIndexSignature: true,
  noUncheckedIndexedAccess: true,
  verbatimModuleSyntax: true,
}

/** How users have their modules resolved: what to tell the compiler, and how it knows that a file is an ES module. */
export const resolutions = {
  nodenext: { extension: 'mts', options: { module: 'nodenext', moduleResolution: 'nodenext' } },
  bundler: { extension: 'ts', options: { module: 'esnext', moduleResolution: 'bundler' } },
  node10: {
    extension: 'ts',
    options: { module: 'esnext', moduleResolution: 'node10', esModuleInterop: true },
  },
} as const

/** A compiler, and what it is told. */
export interface Compilation {
  /** Path of `tsc`. */
  readonly tsc: string
  readonly resolution: keyof typeof resolutions
  /** More options, such as `noEmit`. */
  readonly options?: Readonly<Record<string, unknown>>
}

/**
 * Writes the programs and types among `blocks` into `folder`, which is emptied, and compiles them. The folder is of a package
 * that `netpoll` can be imported from.
 *
 * @returns what the compiler complains about
 */
export function checkBlocks(
  folder: string,
  blocks: readonly CodeBlock[],
  { tsc, resolution, options }: Compilation,
): string {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const { extension, options: resolving } = resolutions[resolution]
  for (const block of blocks.filter(({ language }) => language === 'ts')) {
    const declared = declaredFile(block)
    const path = join(folder, declared ?? `${moduleName(block)}.${extension}`)
    mkdirSync(dirname(path), { recursive: true })
    const end = declared === undefined ? '\nexport {}\n' : '\n'
    writeFileSync(path, `// ${block.file}, line ${block.line}\n${block.source}${end}`)
  }
  const all = { ...compilerOptions, ...resolving, ...options }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: all, include: ['*'] }))
  return spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' }).stdout
}

/** As {@link checkBlocks} by the compiler of the project, so that the programs can be run. */
export function compileBlocks(root: string, folder: string, blocks: readonly CodeBlock[]): string {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const complaints = checkBlocks(folder, blocks, {
    tsc,
    resolution: 'nodenext',
    options: { outDir: 'compiled' },
  })
  // What Apache Thrift's compiler has made of the service that examples are about.
  const generated = join(root, '__test__', 'fixtures', 'documentation', 'gen-nodejs')
  cpSync(generated, join(folder, 'compiled', 'gen-nodejs'), { recursive: true })
  return complaints
}

/** What a block prints according to the comments behind its calls of `console.log`. */
export function promisedOutput({ source }: CodeBlock): readonly string[] {
  return [...source.matchAll(/console\.log\(.*\) \/\/ (.*)$/gm)].map(([, promised = '']) => promised)
}

/** Ends with the process what a server or a timer would keep alive; who has forked waits for the others to end. */
const epilogue = `
import nodeCluster from 'node:cluster'
import { isMainThread as isMain } from 'node:worker_threads'
if (isMain) setImmediate(() => {
  if (Object.keys(nodeCluster.workers ?? {}).length === 0) process.exit()
})
`

/** What running a block came to. */
export interface BlockOutcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs a compiled block until its last statement is done, in a process of its own with `cwd` as its folder. Ports and
 * socket paths that it names are replaced by free ones.
 */
export async function runBlock(
  block: CodeBlock,
  {
    folder,
    cwd,
    node = process.execPath,
  }: { readonly folder: string; readonly cwd: string; readonly node?: string },
): Promise<BlockOutcome> {
  const name = moduleName(block)
  const compiled = readFileSync(join(folder, 'compiled', `${name}.mjs`), 'utf8')
  const program = join(folder, 'compiled', `${name}-run.mjs`)
  const ports = new Map<string, number>()
  for (const [, port = ''] of compiled.matchAll(/\b(?:port: |listen\()(\d{4,})\b/g)) {
    if (!ports.has(port)) ports.set(port, await freePort())
  }
  const moved = compiled
    .replace(/\b(port: |listen\(|:)(\d{4,})\b/g, (all, before: string, port: string) =>
      ports.has(port) ? `${before}${ports.get(port)}` : all,
    )
    .replaceAll('/run/', `${cwd}/`)
  writeFileSync(program, `${moved}\n${epilogue}`)
  const child = spawn(node, [program], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  const output = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text
    })
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  return { code, ...output }
}
