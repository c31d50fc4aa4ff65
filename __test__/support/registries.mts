import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'

import { freePort } from './listeners.mjs'

/** Debian puts servers where ordinary users do not look. */
const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` }

/** Whether a program is installed. In CI on Debian one that is not is a failure; elsewhere a line says what is skipped. */
export function isInstalled(t: ExecutionContext, program: string, what: string): boolean {
  if (spawnSync(program, ['--version'], { env }).status === 0) return true
  if (process.env['CI'] === 'true' && existsSync('/etc/debian_version'))
    t.fail(`${program} is missing: ${what} is not tested`)
  else {
    t.log(`${program} is missing: ${what} is not tested`)
    t.pass()
  }
  return false
}

/** What runs work at its end: a test, or a program. */
export type Teardown = Pick<ExecutionContext, 'teardown'>

const encode = (text: string): string => Buffer.from(text).toString('base64')

/** An etcd of a test, on ports and in a folder of its own. */
export class Etcd {
  readonly url: string
  readonly #folder: string
  readonly #peer: string
  #process: ChildProcess | undefined

  private constructor(port: number, peerPort: number) {
    this.url = `http://127.0.0.1:${port}`
    this.#peer = `http://127.0.0.1:${peerPort}`
    this.#folder = mkdtempSync(join(tmpdir(), 'netpoll-etcd-'))
  }

  static async start(t: Teardown): Promise<Etcd> {
    const etcd = new Etcd(await freePort(), await freePort())
    t.teardown(async () => {
      await etcd.kill()
      rmSync(etcd.#folder, { recursive: true, force: true })
    })
    await etcd.restart()
    return etcd
  }

  /** Starts it with what it had; resolves once it answers. */
  async restart(): Promise<void> {
    const args = [
      ...['--data-dir', this.#folder, '--listen-client-urls', this.url, '--advertise-client-urls', this.url],
      ...['--listen-peer-urls', this.#peer, '--initial-advertise-peer-urls', this.#peer],
      ...['--initial-cluster', `default=${this.#peer}`, '--log-level', 'error'],
    ]
    this.#process = spawn('etcd', args, { env, stdio: 'ignore' })
    for (;;) {
      const health = await fetch(`${this.url}/health`).then(
        (response) => response.text(),
        () => '',
      )
      if (health.includes('"true"')) return
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  async kill(): Promise<void> {
    if (this.#process === undefined) return
    const exit = once(this.#process, 'exit')
    this.#process.kill('SIGCONT')
    this.#process.kill('SIGKILL')
    this.#process = undefined
    await exit
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal)
  }

  /** Forgets everything, as after the loss of its disk. */
  async lose(): Promise<void> {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async call(path: string, body: object): Promise<Record<string, unknown>> {
    const response = await fetch(`${this.url}${path}`, { method: 'POST', body: JSON.stringify(body) })
    return (await response.json()) as Record<string, unknown>
  }

  async put(key: string, value: string): Promise<void> {
    await this.call('/v3/kv/put', { key: encode(key), value: encode(value) })
  }

  async remove(key: string): Promise<void> {
    await this.call('/v3/kv/deleterange', { key: encode(key) })
  }

  /** The value of a key, where there is one. */
  async get(key: string): Promise<string | undefined> {
    const { kvs } = (await this.call('/v3/kv/range', { key: encode(key) })) as {
      readonly kvs?: readonly { readonly value: string }[]
    }
    return kvs?.[0] && Buffer.from(kvs[0].value, 'base64').toString()
  }

  /** Forgets all revisions but the present one. */
  async compact(): Promise<void> {
    const { header } = (await this.call('/v3/kv/range', { key: encode('none') })) as {
      readonly header: { readonly revision: string }
    }
    await this.call('/v3/kv/compaction', { revision: header.revision, physical: true })
  }
}

/** What grants each lease and keeps nothing, in the place of an etcd; gives its URL. It keeps no process alive. */
export async function startGateway(): Promise<string> {
  const server = createServer((incoming, outgoing) => {
    incoming.resume()
    outgoing.end('{"ID":"1","result":{"TTL":"10"}}')
  })
  server.unref()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A dnsmasq of a test, with these lines of configuration; gives its address. */
export async function startDnsmasq(t: ExecutionContext, args: readonly string[]): Promise<string> {
  const port = await freePort()
  const common = ['--no-daemon', '--no-resolv', '--no-hosts', '--conf-file=/dev/null', '--bind-interfaces']
  const places = ['--listen-address=127.0.0.1', `--port=${port}`, '--pid-file', '--user=root']
  const server = spawn('dnsmasq', [...common, ...places, ...args], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const exit = once(server, 'exit')
  t.teardown(() => {
    server.kill('SIGKILL')
    return exit
  })
  await once(server.stderr, 'data')
  server.stderr.resume()
  return `127.0.0.1:${port}`
}

/** What a {@link NameServer} answers: addresses with their time to live, an empty answer, an error, or nothing. */
export type NameAnswer =
  | { readonly addresses: readonly string[]; readonly ttl: number }
  | 'servfail'
  | 'nothing'

/** A server of DNS that says what a test wants. It knows one kind of question, for A. */
export class NameServer {
  answer: NameAnswer
  questions = 0
  readonly #socket: Socket

  private constructor(socket: Socket, answer: NameAnswer) {
    this.#socket = socket
    this.answer = answer
    socket.on('message', (question, { address, port }) => {
      this.questions += 1
      if (this.answer !== 'nothing') socket.send(reply(question, this.answer), port, address)
    })
  }

  static async start(t: Teardown, answer: NameAnswer): Promise<NameServer> {
    const socket = createSocket('udp4')
    t.teardown(() => void socket.close())
    await new Promise<void>((resolve) => void socket.bind(0, '127.0.0.1', resolve))
    return new NameServer(socket, answer)
  }

  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`
  }
}

function reply(question: Buffer, answer: Exclude<NameAnswer, 'nothing'>): Buffer {
  const records = answer === 'servfail' ? [] : answer.addresses
  const header = Buffer.from(question.subarray(0, 12))
  header.writeUInt16BE(answer === 'servfail' ? 0x8182 : 0x8180, 2)
  header.writeUInt16BE(records.length, 6)
  header.writeUInt32BE(0, 8)
  // Without what the question adds behind its name, such as the size of answers.
  let end = 12
  while (question[end] !== 0) end += (question[end] as number) + 1
  const answers = records.map((address) => {
    const record = Buffer.alloc(16)
    record.writeUInt16BE(0xc00c, 0)
    record.writeUInt16BE(1, 2)
    record.writeUInt16BE(1, 4)
    record.writeUInt32BE(answer === 'servfail' ? 0 : answer.ttl, 6)
    record.writeUInt16BE(4, 10)
    for (const [index, part] of address.split('.').entries()) record[12 + index] = Number(part)
    return record
  })
  return Buffer.concat([header, question.subarray(12, end + 5), ...answers])
}
