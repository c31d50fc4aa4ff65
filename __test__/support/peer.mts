import { connect, type Socket } from 'node:net'

import { deferred } from './deferred.mjs'

export type Target = { readonly port: number; readonly host?: string } | { readonly path: string }

/** The other end of a connection, by `node:net` alone. It ends its direction only when told to. */
export class Peer {
  readonly socket: Socket
  /** Resolves once the socket is closed: with its error, if there was one. */
  readonly closed: Promise<NodeJS.ErrnoException | undefined>
  #received: Buffer[] = []
  #length = 0
  #over = false
  #reading = false
  #progress = deferred()

  private constructor(socket: Socket) {
    this.socket = socket
    let error: NodeJS.ErrnoException | undefined
    socket.on('error', (reason) => {
      error = reason
    })
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#over = true
        this.#advance()
        resolve(error)
      })
    })
  }

  /** Connects. With `reading: false` it takes nothing until the first {@link read}. */
  static async connect(target: Target, options: { readonly reading?: boolean } = {}): Promise<Peer> {
    const socket = connect({ ...target, allowHalfOpen: true, noDelay: true })
    const peer = new Peer(socket)
    const ready = deferred()
    socket.once('connect', ready.resolve)
    socket.once('error', ready.reject)
    await ready.promise
    socket.off('error', ready.reject)
    if (options.reading !== false) peer.startReading()
    return peer
  }

  /** The peer that has `socket`, which was accepted. */
  static of(socket: Socket): Peer {
    const peer = new Peer(socket)
    peer.startReading()
    return peer
  }

  /** Writes, and resolves when the system has taken it. */
  write(bytes: Uint8Array | string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.write(bytes, (error) => (error ? reject(error) : resolve()))
    })
  }

  startReading(): void {
    if (this.#reading) return
    this.#reading = true
    this.socket.on('data', (chunk: Buffer) => {
      this.#received.push(chunk)
      this.#length += chunk.length
      this.#advance()
    })
    this.socket.once('end', () => {
      this.#over = true
      this.#advance()
    })
  }

  /** The next `length` bytes. */
  async read(length: number): Promise<Buffer> {
    this.startReading()
    while (this.#length < length) {
      if (this.#over) throw new Error(`the connection ended after ${this.#length} of ${length} bytes`)
      await this.#progress.promise
    }
    const all = Buffer.concat(this.#received)
    this.#received = [all.subarray(length)]
    this.#length = all.length - length
    return all.subarray(0, length)
  }

  /** Everything until the other side's end. */
  async readToEnd(): Promise<Buffer> {
    this.startReading()
    while (!this.#over) await this.#progress.promise
    return this.read(this.#length)
  }

  /** Ends this direction. */
  end(): void {
    this.socket.end()
  }

  reset(): void {
    this.socket.resetAndDestroy()
  }

  destroy(): void {
    this.socket.destroy()
  }

  #advance(): void {
    this.#progress.resolve()
    this.#progress = deferred()
  }
}
