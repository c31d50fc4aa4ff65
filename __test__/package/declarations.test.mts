// Options are often put together from what may be missing: `{ timeout: maybeUndefined }`. For each that is undefined the
// types allow it, also those of users who compile with `exactOptionalPropertyTypes`, and it is as if it were absent.

import { fileURLToPath } from 'node:url'
import test from 'ava'

import { declarationsIn, membersOf } from '../support/declarations.mjs'

const declarations = declarationsIn(fileURLToPath(new URL('../../dist/', import.meta.url)))

test('declarations: every optional property takes undefined', (t) => {
  const properties = declarations.flatMap(({ file, name, optional }) =>
    optional.map((property) => ({ ...property, where: `${file}: ${name}.${property.name}` })),
  )
  t.true(properties.length > 90, String(properties.length))
  const refusing = properties.filter(
    ({ type }) => !membersOf(type).some((member) => member === 'undefined' || member === 'unknown'),
  )
  t.deepEqual(
    refusing.map(({ where, type }) => `${where}: ${type}`),
    [],
  )
})

test('declarations: no method is optional, because it could not be undefined', (t) => {
  const methods = declarations.flatMap(({ file, name, optionalMethods }) =>
    optionalMethods.map((method) => `${file}: ${name}.${method}`),
  )
  t.deepEqual(methods, [])
})
