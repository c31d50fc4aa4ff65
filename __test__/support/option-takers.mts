// Who takes options, as the declarations of the built package say: parameters of what users call, and members of options that
// are options in turn.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const ofOptions = /\b\w*(?:Options|Target|Credentials|Field|Metadata)\b|Record</

/** Every taker below `folder`, for users who import `names`: `Mux.call(options)`, `MuxOptions.backoff`. */
export function optionTakersIn(folder: string, names: ReadonlySet<string>): readonly string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const takers = files
    .filter((file) => file.endsWith('.d.ts'))
    .flatMap((file) => takersOf(readFileSync(join(folder, file), 'utf8'), names))
  return [...new Set(takers)].sort()
}

function takersOf(source: string, names: ReadonlySet<string>): readonly string[] {
  const code = source.replaceAll(/\/\*[\s\S]*?\*\//g, '')
  return code.split(/^(?=(?:export|declare|interface|type|import)\b)/m).flatMap((text) => {
    const found = /^(?:export )?(?:declare )?(interface|class|function) (\w+)/.exec(text)
    const [, kind, name = ''] = found ?? []
    if (kind === 'interface') return membersThatTake(name, text)
    if (!names.has(name)) return []
    return kind === 'class'
      ? methodsThatTake(name, text)
      : parametersThatTake(text).map((one) => `${name}(${one})`)
  })
}

function membersThatTake(name: string, text: string): readonly string[] {
  if (!/(?:Options|Limits|Endpoint)$/.test(name) || /^Checked|^CallsOptions$/.test(name)) return []
  return Array.from(text.matchAll(/^ {4}readonly (\w+)\??: ([^;]*)/gm), ([, member = '', type = '']) => ({
    member,
    type,
  }))
    .filter(({ type }) => ofOptions.test(type))
    .map(({ member }) => `${name}.${member}`)
}

function methodsThatTake(name: string, text: string): readonly string[] {
  return text.split('\n    ').flatMap((line) => {
    const [, method] = /^(\w+)(?:<[^(]*>)?\(/.exec(line) ?? []
    return method === undefined ? [] : parametersThatTake(line).map((one) => `${name}.${method}(${one})`)
  })
}

function parametersThatTake(text: string): readonly string[] {
  return Array.from(text.matchAll(/[(,]\s*(\w+)\??: ([^,()]*)/g), ([, parameter = '', type = '']) => ({
    parameter,
    type,
  }))
    .filter(({ parameter, type }) => parameter === 'options' || ofOptions.test(type))
    .map(({ parameter }) => parameter)
}
