import { spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'

import { isOverTls } from './over-tls/record.mjs'
import { openTunnel } from './over-tls/tunnel.mjs'

/** The sources of the programs in other languages. */
const sources = fileURLToPath(new URL('../../__test__/interop/', import.meta.url))
/** What is built of them, kept for the next run. */
const cache = fileURLToPath(new URL('../../.interop/', import.meta.url))
const idl = join(sources, 'interop.thrift')

/** Only a hang takes so long: tools and libraries are downloaded and compiled. */
export const buildTimeout = 10 * 60_000

/** A program in another language, and how to run it. */
export interface Program {
  readonly command: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  /** Whether it uses this package, and so has TLS where the suite runs with it. */
  readonly isOurs?: true
}

/** Go is looked for where it installs itself, too. */
const env: NodeJS.ProcessEnv = {
  ...process.env,
  PATH: [process.env['PATH'], '/usr/local/go/bin'].join(delimiter),
}

/** Which of these commands are missing, as a line to say so; undefined if none is. */
export function missing(
  what: string,
  ...commands: readonly (readonly [string, ...string[]])[]
): string | undefined {
  const absent = commands.filter(([command, ...args]) => spawnSync(command, args, { env }).status !== 0)
  if (absent.length === 0) return undefined
  return `${absent.map(([command]) => command).join(' and ')} missing: ${what} is not tested\n`
}

export const thriftCompiler = ['thrift', '--version'] as const
export const go = ['go', 'version'] as const
export const python = ['python3', '-m', 'venv', '--help'] as const

/** Builds the program of Apache Thrift's library for Go. */
export async function buildApache(): Promise<Program> {
  const folder = copyOf('go/apache')
  const generated = join(folder, 'gen')
  rmSync(generated, { recursive: true, force: true })
  mkdirSync(generated)
  await run('thrift', ['--gen', 'go:package_prefix=interop/gen/', '-out', generated, idl], folder)
  for (const service of ['base', 'interop']) {
    rmSync(join(generated, 'interop', `${service}-remote`), { recursive: true, force: true })
  }
  await run('go', ['build', '-o', 'program', '.'], folder)
  return { command: join(folder, 'program'), args: [], env }
}

/** Builds the program that speaks TLS by Go's own library. */
export async function buildTls(): Promise<Program> {
  const folder = copyOf('go/tls')
  await run('go', ['build', '-o', 'program', '.'], folder)
  return { command: join(folder, 'program'), args: [], env }
}

/** Builds the program of Kitex, whose tool generates code of its own. */
export async function buildKitex(): Promise<Program> {
  const folder = copyOf('go/kitex')
  const generate = ['tool', 'kitex', '-module', 'kitexinterop', '-no-dependency-check', idl]
  await run('go', generate, folder)
  await run('go', ['build', '-o', 'program', '.'], folder)
  return { command: join(folder, 'program'), args: [], env }
}

/** Makes an environment with Apache Thrift's library for Python; gives its programs. */
export async function buildPython(): Promise<Readonly<Record<'client' | 'failing' | 'server', Program>>> {
  const folder = copyOf('python')
  const command = join(folder, 'venv', 'bin', 'python')
  if (!existsSync(command)) await run('python3', ['-m', 'venv', 'venv'], folder)
  await run(
    command,
    ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', 'thrift==0.25.0'],
    folder,
  )
  await run('thrift', ['--gen', 'py', '-out', folder, idl], folder)
  const program = (name: string): Program => ({ command, args: [join(folder, `${name}.py`)], env })
  return { client: program('client'), failing: program('failing'), server: program('server') }
}

/** Runs a client to its end; rejects with what it said if that was no success. */
export async function runClient(
  t: ExecutionContext,
  program: Program,
  port: number,
  flags: readonly string[],
): Promise<void> {
  const near = await portForPrograms(t, port)
  await outputOf(program, ['client', '--port', String(near), ...flags])
}

/** Runs a program to its end, and gives what it has printed; rejects with that if it was no success. */
export function outputOf({ command, args }: Program, words: readonly string[]): Promise<string> {
  return run(command, [...args, ...words], cache)
}

/** Has a client make one call; gives the exception that the generated code of its language throws, and its type. */
export async function exceptionOf(
  t: ExecutionContext,
  program: Program,
  port: number,
  call: string,
  flags: readonly string[],
): Promise<string> {
  const near = await portForPrograms(t, port)
  return (await outputOf(program, ['failing', '--port', String(near), '--call', call, ...flags])).trim()
}

/** Where a program that has no TLS reaches a server of this package that listens at `port`; gone with the test. */
export async function portForPrograms(t: ExecutionContext, port: number): Promise<number> {
  if (!isOverTls) return port
  const tunnel = await openTunnel(port, 'target')
  t.teardown(tunnel.close)
  return tunnel.port
}

/** A program in another language's place: `fixtures/`, run by this Node.js. */
export function fixtureProgram(name: string): Program {
  const file = fileURLToPath(new URL(`../fixtures/${name}.mjs`, import.meta.url))
  return { command: process.execPath, args: [file], env, isOurs: true }
}

/** Starts a server, which is gone with the test, and gives its port. */
export async function startServer(
  t: ExecutionContext,
  { command, args, isOurs }: Program,
  flags: readonly string[],
): Promise<{ readonly port: number; readonly stop: () => Promise<void> }> {
  const server = spawn(command, [...args, 'server', ...flags], { env, stdio: ['pipe', 'pipe', 'inherit'] })
  const closed = new Promise<void>((resolve) => server.once('close', () => resolve()))
  const stop = (): Promise<void> => {
    server.stdin.end()
    return closed
  }
  t.teardown(() => {
    server.kill('SIGKILL')
    return closed
  })
  for await (const line of createInterface(server.stdout)) {
    const port = /^listening (\d+)$/.exec(line)?.[1]
    if (port === undefined) continue
    server.stdout.resume()
    if (isOurs || !isOverTls) return { port: Number(port), stop }
    const tunnel = await openTunnel(Number(port), 'callers')
    t.teardown(tunnel.close)
    // One that ends by itself.
    server.once('exit', tunnel.refuse)
    const refuseAndStop = (): Promise<void> => {
      tunnel.refuse()
      return stop()
    }
    return { port: tunnel.port, stop: refuseAndStop }
  }
  throw new Error(`${command} has not begun to listen`)
}

/** A copy of a folder of the sources, to build in. */
function copyOf(name: string): string {
  const folder = join(cache, name)
  cpSync(join(sources, name), folder, { recursive: true })
  return folder
}

/** Runs a program to its end; gives what it has printed, or rejects with it where that was no success. */
function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: buildTimeout })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => {
      output += data.toString()
    })
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (code === 0) resolve(output)
      else reject(new Error(`${command} ${args.join(' ')}: ${signal ?? code}\n${output}`))
    })
  })
}
