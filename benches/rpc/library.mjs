// Apache Thrift's library for Node.js, which has no types of its own.

import { createRequire } from 'node:module'

/**
 * @typedef {object} Library
 * @property {object} TFramedTransport
 * @property {object} TBinaryProtocol
 * @property {(service: object, handler: object, options: object) => import('node:net').Server} createServer
 * @property {(host: string, port: number, options: object) => object} createConnection
 * @property {(service: object, connection: object) => import('./service.mjs').EchoClient} createClient
 */

/** @type {Library} */
export const thrift = createRequire(import.meta.url)('thrift')

export const framedBinary = { transport: thrift.TFramedTransport, protocol: thrift.TBinaryProtocol }
