/** What the package gives to its constructors that are not for users. */
export const own = Symbol('own')

/**
 * Refuses to make an object of a class whose objects the package makes.
 *
 * @param made how users get such objects: "Readers come from connections"
 */
export function checkOwn(given: unknown, made: string): void {
  if (given !== own) throw new TypeError(made)
}
