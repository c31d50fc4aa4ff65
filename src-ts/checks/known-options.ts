import { types } from 'node:util'

import { invalidType, invalidValue, wrongType } from '../errors'

/** Every name of options, whichever of several kinds they may be of. */
type NameOf<Options> = Options extends unknown ? keyof Options & string : never

/** The names of options: all of them, and no other. */
export type OptionNames<Options> = { readonly [Name in NameOf<Options>]: true }

const { getPrototypeOf, hasOwn } = Object
const objectPrototype = Object.prototype

/** The names of `Options`, so that no other text is taken for one, such as `constructor`. */
export function optionNames<Options extends object>(all: OptionNames<Options>): OptionNames<Options> {
  return Object.freeze(Object.assign(Object.create(null), all)) as OptionNames<Options>
}

/**
 * Takes each option once: a getter that says something else later, or an object that is changed, changes nothing any more.
 * Inherited ones count, so that defaults may be a prototype; `undefined` is as absent.
 *
 * @throws TypeError `ERR_INVALID_ARG_TYPE` where it is no object, `ERR_INVALID_ARG_VALUE` for an option that there is not;
 * what a member throws
 */
export function takeOptions<Options extends object>(
  argument: string,
  options: Options,
  names: Partial<OptionNames<Options>>,
): Options {
  refuseUnknown(argument, options, names)
  const taken = Object.create(null) as Record<string, unknown>
  for (const name of Object.keys(names)) {
    const value = (options as Readonly<Record<string, unknown>>)[name]
    if (value !== undefined) taken[name] = value
  }
  return taken as Options
}

/**
 * Refuses what is no object, has an enumerable member that is no option, or says something in another way than by members.
 * For what users mostly give this is one loop over their members, without a snapshot.
 *
 * @throws TypeError as {@link takeOptions}
 */
export function refuseUnknown<Options extends object>(
  argument: string,
  options: Options,
  names: Partial<OptionNames<Options>>,
): void {
  if (typeof options !== 'object' || options === null) throw invalidType(argument, 'of type object', options)
  const known = names as Readonly<Record<string, unknown>>
  let isEmpty = true
  for (const name in options) {
    if (known[name] === true) isEmpty = false
    else refuseName(argument, options, name, known)
  }
  if (isEmpty && !isPlain(options) && !hasHidden(options, known)) refuseOtherKind(argument, options)
}

/** Of this realm. */
function isPlain(options: object): boolean {
  const prototype: unknown = getPrototypeOf(options)
  return prototype === objectPrototype || prototype === null
}

/** Whether an object has options that are not enumerable, such as getters of a class. What collections count is none. */
function hasHidden(options: object, known: Readonly<Record<string, unknown>>): boolean {
  if (types.isMap(options) || types.isSet(options)) return false
  return Object.keys(known).some((name) => name in options)
}

/**
 * Refuses an object without members that is of a kind of its own. A `Map`, a list or a promise says something in another
 * way, which would be passed over.
 *
 * @throws TypeError `ERR_INVALID_ARG_TYPE`
 */
export function refuseOtherKind(argument: string, options: object): void {
  for (let part = getPrototypeOf(options); part !== null; part = getPrototypeOf(part)) {
    // The last is that of all objects, in whichever realm. Defaults may stand before it.
    if (getPrototypeOf(part) === null || !hasOwn(part, 'constructor')) continue
    const name: unknown = (part as { readonly constructor: { readonly name?: unknown } }).constructor?.name
    const kind =
      typeof name === 'string' && name !== '' ? `an instance of ${name}` : 'an object of another kind'
    throw wrongType(argument, 'a plain object', kind)
  }
}

/**
 * The members of an object whose names a user chooses, as {@link takeOptions} takes options.
 *
 * @throws TypeError `ERR_INVALID_ARG_TYPE` where it is none, or a list, or says something in another way
 */
export function takeMembers<Value>(
  argument: string,
  members: Readonly<Record<string, Value>>,
): readonly (readonly [name: string, value: Value])[] {
  if (typeof members !== 'object' || members === null) throw invalidType(argument, 'of type object', members)
  const taken = new Map<string, Value>()
  for (const part of partsOf(members)) {
    for (const name of namesOf(part)) {
      if (!taken.has(name)) taken.set(name, members[name] as Value)
    }
  }
  if (taken.size === 0) refuseOtherKind(argument, members)
  return [...taken]
}

/**
 * Refuses an object whose names a user chooses where it is none, or says something in another way than by members. It is
 * used as it is.
 *
 * @throws TypeError as {@link takeMembers}
 */
export function checkMembers(argument: string, members: object): void {
  if (typeof members !== 'object' || members === null) throw invalidType(argument, 'of type object', members)
  if (!partsOf(members).some(hasNames)) refuseOtherKind(argument, members)
}

/** An object, and the defaults before it: not what its class gives to all of its kind. */
function partsOf(object: object): readonly object[] {
  const parts = [object]
  let part: object | null = getPrototypeOf(object)
  for (; part !== null && !hasOwn(part, 'constructor'); part = getPrototypeOf(part)) parts.push(part)
  return parts
}

/** What a list has are no names. */
function namesOf(part: object): readonly string[] {
  return Array.isArray(part) ? [] : Object.keys(part)
}

function hasNames(part: object): boolean {
  return namesOf(part).length > 0
}

/** Whether `options` have `name` as a member that a library has added to all objects, which is not meant as an option. */
export function isOfAllObjects(options: object, name: string): boolean {
  return name in objectPrototype && !hasOwn(options, name)
}

function refuseName(
  argument: string,
  options: object,
  name: string,
  known: Readonly<Record<string, unknown>>,
): void {
  if (isOfAllObjects(options, name)) return
  const value = (options as Readonly<Record<string, unknown>>)[name]
  if (value === undefined) return
  const nearest = nearestName(name, Object.keys(known))
  const hint = nearest === undefined ? '' : `. Did you mean "${argument}.${nearest}"?`
  throw invalidValue(`${argument}.${name.slice(0, maxName)}`, `is not an option${hint}`, value)
}

/** Longer than any option, and short enough to be compared with all of them. */
const maxName = 64

/** What was probably meant: at least half of the letters are right, whatever their case. */
function nearestName(name: string, known: readonly string[]): string | undefined {
  if (name.length > maxName) return undefined
  let nearest: string | undefined
  let min = Number.POSITIVE_INFINITY
  for (const candidate of known) {
    const steps = distance(name.toLowerCase(), candidate.toLowerCase())
    if (steps >= min || steps > Math.max(name.length, candidate.length) / 2) continue
    nearest = candidate
    min = steps
  }
  return nearest
}

/** Letters to add, leave out, replace or exchange with the next until one is the other (Damerau and Levenshtein). */
function distance(from: string, to: string): number {
  let before: readonly number[] = []
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let line = 1; line <= from.length; line += 1) {
    const next = [line]
    for (let column = 1; column <= to.length; column += 1) {
      const replaced = (row[column - 1] ?? 0) + (from[line - 1] === to[column - 1] ? 0 : 1)
      const isExchanged = column > 1 && from[line - 1] === to[column - 2] && from[line - 2] === to[column - 1]
      const exchanged = isExchanged ? (before[column - 2] ?? 0) + 1 : replaced
      next.push(Math.min(replaced, exchanged, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1))
    }
    before = row
    row = next
  }
  return row[to.length] ?? 0
}
