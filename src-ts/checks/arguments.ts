import { invalidType, invalidValue } from '../errors'

/** Checks that an option is a whole number within bounds. */
export function checkInteger(name: string, value: unknown, min: number, max: number, given = value): void {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', given)
  if (!Number.isInteger(value) || value < min || value > max) {
    throw invalidValue(name, `must be a whole number from ${min} to ${max}`, given)
  }
}

/** Checks an argument that has members. */
export function checkObject(name: string, value: unknown): void {
  if (typeof value !== 'object' || value === null) throw invalidType(name, 'of type object', value)
}

/** Checks a port. */
export function checkPort(value: unknown, min: 0 | 1, given = value): asserts value is number {
  checkInteger('options.port', value, min, 65_535, given)
}

/** Checks a string that must say something. */
export function checkText(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string' || value === '') throw invalidType(name, 'a string that is not empty', value)
}

/** Checks an optional function. */
export function checkFunction(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') {
    throw invalidType(`options.${name}`, 'of type function', value)
  }
}

/** Checks an optional boolean. */
export function checkBoolean(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') {
    throw invalidType(`options.${name}`, 'of type boolean', value)
  }
}
