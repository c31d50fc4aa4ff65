import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const pathOf = (name) => fileURLToPath(new URL(`../../__test__/fixtures/tls/${name}.pem`, import.meta.url))

export const keyPath = pathOf('key')
export const certificatePath = pathOf('certificate')
export const key = readFileSync(keyPath, 'utf8')
export const certificate = readFileSync(certificatePath, 'utf8')
