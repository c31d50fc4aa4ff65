// The part of Bun's sockets that the benchmark uses. Bun's own types would be types of everything else, too.

interface BunSocket<Data> {
  data: Data
  /** Returns how many bytes the socket took. */
  write(bytes: Uint8Array): number
  end(): void
}

interface BunHandlers<Data> {
  open(socket: BunSocket<Data>): void
  data(socket: BunSocket<Data>, bytes: Buffer): void
  drain(socket: BunSocket<Data>): void
  close(socket: BunSocket<Data>): void
  error(socket: BunSocket<Data>, error: Error): void
}

declare namespace Bun {
  function listen<Data>(
    options: ({ hostname: string; port: number } | { unix: string }) & {
      socket: BunHandlers<Data>
      tls?: { key: string; cert: string }
    },
  ): { hostname: string; port: number }

  class ArrayBufferSink {
    start(options: { asUint8Array: true; stream: true; highWaterMark: number }): void
    write(bytes: Uint8Array): void
    flush(): Uint8Array
  }
}
