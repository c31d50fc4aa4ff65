import test from 'ava'

import { fixed } from '../../dist/cluster/index.mjs'
import { NetpollError, type Payload } from '../../dist/index.mjs'
import { clusterOf, members, ready } from '../support/cluster.mjs'
import { deferred, until } from '../support/deferred.mjs'
import { request } from '../support/leaving.mjs'
import { rejection } from '../support/netpoll.mjs'

type Options = { readonly timeout?: number; readonly idempotent?: boolean }

const failures: Readonly<
  Record<string, { readonly code: string; readonly options: Options; make(): Payload }>
> = {
  'its time is over': { code: 'ERR_REQUEST_TIMEOUT', options: { timeout: 20 }, make: () => request('a') },
  'it has no id': { code: 'ERR_NO_ID', options: {}, make: () => Buffer.alloc(2) },
  'the connection is gone': { code: 'ERR_CONN_CLOSED', options: {}, make: () => request('lose me') },
  'the last try has failed': {
    code: 'ERR_CONN_CLOSED',
    options: { idempotent: true },
    make: () => request('lose me'),
  },
}

for (const [failure, { code, options, make }] of Object.entries(failures)) {
  test(`a call of a cluster says who awaits it: ${failure}`, async (t) => {
    const [one] = await members(t, 1, async (message) => {
      if (message.toString('utf8', 4) === 'lose me') for (const own of one?.accepted.all ?? []) own.destroy()
      return await deferred<Buffer>().promise
    })
    if (one === undefined) return
    const cluster = clusterOf(t, fixed([one.endpoint]), { retry: { tries: 1 }, onError: () => {} })
    await ready(cluster, 1)
    async function theCaller(): Promise<unknown> {
      return await cluster.call(make(), options)
    }
    const error = await rejection(theCaller())
    t.true(error instanceof NetpollError)
    const { stack = '', code: found } = error as NetpollError
    t.true([code, 'ECONNRESET'].includes(found), found)
    const [, ...frames] = stack.split(/\n {4}at /)
    const [first = ''] = frames.filter((frame) => !frame.includes('node:'))
    t.regex(first, /theCaller/, stack)
    await until(() => cluster.stats().running === 0)
  })
}
