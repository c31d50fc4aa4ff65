// The build of this package under test: that of this checkout, or the one that `NETPOLL_BUILD` names, to measure two
// builds in one run.

import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const folder = process.env['NETPOLL_BUILD']

/** @param {'' | '/cluster' | '/thrift'} part */
const locate = (part) =>
  folder === undefined ? `netpoll${part}` : pathToFileURL(join(folder, 'dist', part, 'index.mjs')).href

/** @type {typeof import('netpoll')} */
export const netpoll = await import(locate(''))

/** @returns {Promise<typeof import('netpoll/cluster')>} */
export const loadCluster = () => import(locate('/cluster'))

/** @returns {Promise<typeof import('netpoll/thrift')>} */
export const loadThrift = () => import(locate('/thrift'))
