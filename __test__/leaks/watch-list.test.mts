// What the detector of leaks does where more is made than it watches.
import test from 'ava'

import { maxWatched, WatchList } from '../../dist/leaks/watch-list.js'
import { alwaysOwed, WatchedDebt } from '../../dist/leaks/watched.js'
import { type Leak, LeakDetector } from '../../dist/process/leak-detector.js'
import { deferred } from '../support/deferred.mjs'

test('where more is made than is watched, that is told once', async (t) => {
  const list = new WatchList()
  const add = (stack: string, looked = (): void => {}) => {
    const look = () => {
      looked()
      return 'fine' as const
    }
    return list.add(new WatchedDebt({}, alwaysOwed, look, stack))
  }
  let looks = 0
  const looked = deferred()
  add('counts looks', () => {
    looks += 1
    if (looks === 4) looked.resolve()
  })
  while (list.size < maxWatched) add('watched')
  list.remove(add('one too many'))
  const told: Leak[] = []
  const alive = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(alive))
  const noCollection = (): void => {}
  new LeakDetector(list, 100, noCollection, (leak) => told.push(leak)).start()
  await looked.promise
  t.deepEqual(told, [
    {
      kind: 'request',
      what: `may leak and not be told, as ${maxWatched} others are watched`,
      age: 0,
      stack: 'one too many',
      lines: [],
      count: 1,
    },
  ])
})
