import * as http from 'node:http'
import * as https from 'node:https'
import type { ConnectionOptions } from 'node:tls'

import { invalidType, invalidValue, NetpollError } from '../errors'
import { takeMembers } from '../checks/known-options'
import { clearTimeout, setTimeout } from '../extension'

/** Milliseconds until an answer of etcd is given up. */
const answerTimeout = 3_000
/** So many timers count them, one after the other: while the process stands still, one of them runs out at most. */
const answerParts = 3

/** Bytes of an answer, or of a message of a watch, at most. */
const maxBytes = 64 * 1024 * 1024

/** Milliseconds of silence until the system asks whether the other end is still there. */
const keepAlive = 10_000

/** How an etcd is reached. */
export interface EtcdConnectionOptions {
  /** Its address, such as `http://127.0.0.1:2379`, or those of all members: another is asked where one does not answer. */
  readonly url: string | readonly string[]
  /** Options of `node:tls`, for `https`: `ca`, and `cert` and `key` of a client. */
  readonly tls?: ConnectionOptions | undefined
  /** Headers of each request, such as `authorization`. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** Whether the process stays alive for an answer. */
export type Liveness = 'awaited' | 'background'

/** etcd's gateway: its calls as JSON over HTTP. */
export class EtcdGateway {
  readonly #urls: readonly URL[]
  readonly #tls: ConnectionOptions
  readonly #headers: Readonly<Record<string, string>>
  #next = 0

  /** @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE` */
  constructor({ url, tls = {}, headers = {} }: EtcdConnectionOptions) {
    const texts: readonly unknown[] = Array.isArray(url) ? url : [url]
    if (texts.length === 0) throw invalidValue('options.url', 'must not be empty', '')
    this.#urls = texts.map(checkUrl)
    // Members that are set later change nothing. Lists and bytes are `node:tls`'s to read, with each connection.
    this.#tls = Object.fromEntries(takeMembers('options.tls', tls as Readonly<Record<string, unknown>>))
    this.#headers = takeHeaders(headers)
  }

  /**
   * Makes a call of one answer.
   *
   * @throws (as a rejection) NetpollError `ERR_ETCD` where etcd says no; what the system says
   */
  async call(path: string, body: object, liveness: Liveness, signal?: AbortSignal): Promise<unknown> {
    const response = await this.#request(path, body, liveness, signal)
    let text = ''
    const limit = new AnswerLimit(liveness, () => response.destroy(tooLate(path)))
    try {
      response.setEncoding('utf8')
      for await (const piece of response) {
        text += piece
        if (text.length > maxBytes) throw new NetpollError('ERR_ETCD', `The answer of ${path} is too long`)
      }
    } finally {
      limit.stop()
    }
    const answer = parseObject(text)
    const { error } = answer
    if (error === undefined && response.statusCode === 200) return answer
    throw new NetpollError('ERR_ETCD', `${path}: ${textOf(error) ?? `status ${response.statusCode}`}`)
  }

  /** Makes a call whose answers go on, one after the other. It keeps no process alive. */
  async *stream(path: string, body: object, signal: AbortSignal): AsyncGenerator<unknown> {
    const response = await this.#request(path, body, 'background', signal)
    response.setEncoding('utf8')
    let rest = ''
    try {
      for await (const piece of response) {
        const lines = (rest + String(piece)).split('\n')
        rest = lines.pop() ?? ''
        if (rest.length > maxBytes) throw new NetpollError('ERR_ETCD', `A message of ${path} is too long`)
        for (const line of lines) if (line !== '') yield parseObject(line)
      }
    } finally {
      response.destroy()
    }
    throw new NetpollError('ERR_ETCD', `${path}: etcd has ended the answer`)
  }

  #request(
    path: string,
    body: object,
    liveness: Liveness,
    signal: AbortSignal | undefined,
  ): Promise<http.IncomingMessage> {
    const url = new URL(path, this.#urls[this.#next % this.#urls.length])
    const { request } = url.protocol === 'https:' ? https : http
    return new Promise((resolve, reject) => {
      const sent = request(url, {
        ...this.#tls,
        method: 'POST',
        headers: { ...this.#headers, 'content-type': 'application/json' },
        agent: false,
        ...(signal !== undefined && { signal }),
      })
      const limit = new AnswerLimit(liveness, () => sent.destroy(tooLate(path)))
      sent.on('socket', (socket) => {
        socket.setKeepAlive(true, keepAlive)
        if (liveness === 'background') socket.unref()
      })
      sent.once('response', (response) => {
        limit.stop()
        resolve(response)
      })
      sent.on('error', (error) => {
        limit.stop()
        // Another member may answer.
        this.#next += 1
        reject(error)
      })
      sent.end(JSON.stringify(body))
    })
  }
}

/** The time that an answer may take. While the process stands still at most a part of it passes: nothing can come then. */
class AnswerLimit {
  readonly #liveness: Liveness
  readonly #over: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(liveness: Liveness, over: () => void) {
    this.#liveness = liveness
    this.#over = over
    this.#wait(answerParts)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #wait(left: number): void {
    if (left === 0) {
      this.#over()
      return
    }
    this.#timer = setTimeout(() => this.#wait(left - 1), answerTimeout / answerParts)
    if (this.#liveness === 'background') this.#timer.unref()
  }
}

/** @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE` */
function takeHeaders(headers: unknown): Readonly<Record<string, string>> {
  const taken: Record<string, string> = {}
  for (const [name, value] of takeMembers('options.headers', headers as Readonly<Record<string, unknown>>)) {
    if (value === undefined) continue
    if (typeof value !== 'string') throw invalidType(`options.headers.${name}`, 'of type string', value)
    try {
      http.validateHeaderName(name)
      http.validateHeaderValue(name, value)
    } catch {
      // It may be a secret.
      throw invalidValue(`options.headers.${name}`, 'must be a header of HTTP', typeof value)
    }
    taken[name] = value
  }
  return taken
}

function checkUrl(text: unknown): URL {
  if (typeof text !== 'string') throw invalidType('options.url', 'of type string', text)
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url
  throw invalidValue('options.url', 'must be a URL of http or https', text)
}

/** @throws NetpollError `ERR_ETCD` where it is no object */
function parseObject(text: string): { readonly [name: string]: unknown } {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new NetpollError('ERR_ETCD', `etcd has answered ${text.slice(0, 200)}`, { cause })
  }
  if (typeof value === 'object' && value !== null) return value as { readonly [name: string]: unknown }
  throw new NetpollError('ERR_ETCD', `etcd has answered ${text.slice(0, 200)}`)
}

/** What an error of etcd says: a text, or an object of a stream. */
function textOf(error: unknown): string | undefined {
  if (typeof error === 'string') return error
  const { message } = (error ?? {}) as { readonly message?: unknown }
  return typeof message === 'string' ? message : undefined
}

function tooLate(path: string): NetpollError {
  return new NetpollError('ERR_ETCD', `${path}: no answer within ${answerTimeout} ms`)
}

/** Text as etcd takes and gives it. */
export const toBase64 = (text: string): string => Buffer.from(text).toString('base64')

export const fromBase64 = (text: unknown): string =>
  typeof text === 'string' ? Buffer.from(text, 'base64').toString() : ''
