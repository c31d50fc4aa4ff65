/**
 * The type of a method that may be missing: unlike `method?(): void`, a property of this type may be undefined. It stays a
 * method, so that what implements it may ask for narrower parameters, such as a `Connection<Session>`.
 */
export type Method<Parameters extends readonly unknown[], Result> = {
  method(...parameters: Parameters): Result
}['method']
