// What the declarations of the built package say, read as text: the compiler has no interface that the suite could use.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A property that may be missing. */
export interface OptionalProperty {
  readonly name: string
  /** Its type, as it is written. */
  readonly type: string
}

/** One type: what it declares itself, and the types that it is made of. */
export interface Declaration {
  readonly file: string
  readonly name: string
  readonly optional: readonly OptionalProperty[]
  /** Methods that may be missing, `name?()`: none of them can be undefined. */
  readonly optionalMethods: readonly string[]
  readonly parts: readonly string[]
}

/** Every type and class that is declared in `folder`. */
export function declarationsIn(folder: string): readonly Declaration[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return files.filter((file) => file.endsWith('.d.ts')).flatMap((file) => declarationsOf(folder, file))
}

function declarationsOf(folder: string, file: string): readonly Declaration[] {
  const source = readFileSync(join(folder, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\//g, '')
  return source.split(/^(?=(?:export|declare|interface|type|import)\b)/m).flatMap((text) => {
    const [, name] =
      /^(?:export )?(?:declare )?(?:abstract )?(?:interface|class|type|function) (\w+)/.exec(text) ?? []
    if (name === undefined) return []
    const optional = Array.from(text.matchAll(/(\w+)\?: /g), (found) => ({
      name: found[1] ?? '',
      ...typeAt(text, found.index + found[0].length),
    }))
    return {
      file,
      name,
      optional: optional
        .filter(({ end }) => end !== 'parameter')
        .map(({ name: of, type }) => ({ name: of, type })),
      optionalMethods: Array.from(text.matchAll(/(\w+)\?[<(]/g), ([, method = '']) => method),
      parts: Array.from(text.matchAll(/\b[A-Z]\w+/g), ([part]) => part).filter((part) => part !== name),
    }
  })
}

/** The type that begins at `from`, and what it is the type of. */
function typeAt(
  text: string,
  from: number,
): { readonly type: string; readonly end: 'property' | 'parameter' } {
  let depth = 0
  for (let at = from; at < text.length; at += 1) {
    const character = text.charAt(at)
    if (depth === 0 && ';})],'.includes(character)) {
      return { type: text.slice(from, at), end: ';}'.includes(character) ? 'property' : 'parameter' }
    }
    if ('([{<'.includes(character)) depth += 1
    else if (')]}'.includes(character) || (character === '>' && text[at - 1] !== '=')) depth -= 1
  }
  throw new Error(`a type without an end: ${text.slice(from)}`)
}

/** The members of a union. A function's type at its end swallows what follows it, as the compiler has it. */
export function membersOf(type: string): readonly string[] {
  const members: string[] = ['']
  let depth = 0
  for (const [at, character] of [...type].entries()) {
    if (depth === 0 && type.startsWith('=>', at)) return [type]
    if ('([{<'.includes(character)) depth += 1
    else if (')]}'.includes(character) || (character === '>' && type[at - 1] !== '=')) depth -= 1
    if (character === '|' && depth === 0) members.push('')
    else members.push(`${members.pop()}${character}`)
  }
  return members.map((member) => member.trim())
}

/** An object with every optional property of a type, and of those that it is made of, as undefined. */
export function allUndefined(
  declarations: readonly Declaration[],
  name: string,
  except: readonly string[] = [],
): object {
  const names = new Set<string>()
  const seen = new Set<string>()
  const visit = (type: string): void => {
    if (seen.has(type)) return
    seen.add(type)
    for (const { optional, parts } of declarations.filter((declaration) => declaration.name === type)) {
      for (const property of optional) names.add(property.name)
      for (const part of parts.filter((part) => /(Options|Settings|Limits|Handler|Target|Codec)$/.test(part)))
        visit(part)
    }
  }
  visit(name)
  return Object.fromEntries(
    [...names].filter((found) => !except.includes(found)).map((found) => [found, undefined]),
  )
}
