// What has to be built or installed before anything can be measured.

import { arch, platform } from 'node:process'
import { fileURLToPath } from 'node:url'

import { fromRoot } from './paths.mjs'
import { findProgram } from './program.mjs'

const bunArchitecture = arch === 'arm64' ? 'aarch64' : arch

/** The package itself. */
export const PACKAGE = fileURLToPath(import.meta.resolve('netpoll'))
/** What Go servers show as theirs; the others find it themselves. */
export const CERTIFICATE = fromRoot('benches/certificate')
/** The load client and bare server; another build may be named for tests. */
export const BENCH_PROGRAM = findProgram()
export const TOKIO_SERVER = fromRoot('target/release/netpoll-bench-tokio')
export const BUN = fromRoot(`benches/peers/node_modules/@oven/bun-${platform}-${bunArchitecture}/bin/bun`)
export const GRPC = fromRoot('benches/peers/node_modules/@grpc/grpc-js')
export const GO_PEERS = fromRoot('benches/peers/go/peers')
export const NETTY_CLASSES = fromRoot('benches/peers/netty/target/classes')
export const NETTY_LIBRARIES = fromRoot('benches/peers/netty/target/libraries')
