import assert from 'node:assert'
import test from 'node:test'

import { failuresOf } from './failures.mjs'

const cargo = `running 3 tests
test fine ... ok
test planted ... FAILED
test silent ... FAILED

failures:

---- planted stdout ----

thread 'planted' (1) panicked at crates/core/tests/pure.rs:9:5:
it is planted
stack backtrace:
   0: __rustc::rust_begin_unwind


failures:
    planted
    silent

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
`
const tap = `TAP version 13
# file › fine
ok 1 - file › fine
# file › planted
not ok 2 - file › planted
  ---
    name: AssertionError
    message: why not
  ...
ok 3 - file › later
not ok 4 - file › not yet # TODO

1..4
`

test('each failing test is named, with what it said', () => {
  const rust = { name: 'cargo test', output: cargo, errors: 'error: test failed', status: 101 }
  const ava = { name: 'ava', output: tap, errors: '', status: 1 }
  assert.deepStrictEqual(failuresOf(rust, ava), [
    'test planted ... FAILED',
    "thread 'planted' (1) panicked at crates/core/tests/pure.rs:9:5:",
    'it is planted',
    'test silent ... FAILED',
    'cargo test has ended with status 101',
    'error: test failed',
    'not ok 2 - file › planted',
    '  ---',
    '    name: AssertionError',
    '    message: why not',
    'ava has ended with status 1',
  ])
})

test('a run that broke without a failing test says it by the end of its errors', () => {
  const errors = Array.from({ length: 50 }, (_, index) => `line ${index}`).join('\n')
  const lines = failuresOf({ name: 'cargo test', output: '', errors, status: null })
  assert.strictEqual(lines[0], 'cargo test has ended with status null')
  assert.strictEqual(lines.at(-1), 'line 49')
})

test('nothing is said of what passes', () => {
  assert.deepStrictEqual(
    failuresOf({ name: 'ava', output: 'ok 1 - fine\n', errors: 'a warning', status: 0 }),
    [],
  )
})

test('it is no longer than the end of a log', () => {
  const many = Array.from(
    { length: 500 },
    (_, index) => `not ok ${index} - ${'x'.repeat(1_000)}\n  ---\n  ...\n`,
  )
  const lines = failuresOf({ name: 'ava', output: many.join(''), errors: '', status: 1 })
  assert.strictEqual(lines.length, 60)
  assert(lines.every((line) => line.length <= 301))
})
