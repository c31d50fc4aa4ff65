/** The version of this package, as `package.json` has it, which a bundle does not have beside it. */
export const version = '0.1.0'
