// Written by hand: the types of what Apache's compiler has generated.

export class Unfriendly extends Error {
  constructor(fields: { readonly why: string })
  readonly why: string
}
