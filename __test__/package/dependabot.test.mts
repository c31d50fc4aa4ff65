import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** Folders with a file of this name, but for what is installed or built. */
function foldersWith(name: string, folder = '/'): string[] {
  const entries = readdirSync(join(root, folder), { withFileTypes: true })
  const inner = entries.filter(
    (entry) => entry.isDirectory() && !/^(\.|node_modules$|target$)/.test(entry.name),
  )
  return [
    ...(entries.some((entry) => entry.name === name) ? [folder] : []),
    ...inner.flatMap((entry) => foldersWith(name, posix.join(folder, entry.name))),
  ]
}

test('every folder with a lock file of npm is watched for updates', (t) => {
  const configuration = readFileSync(join(root, '.github', 'dependabot.yml'), 'utf8')
  const [, list = ''] = /package-ecosystem: npm\s+directories:\s+\[([^\]]*)\]/.exec(configuration) ?? []
  const watched = list.split(',').map((folder) => folder.trim())
  t.deepEqual(watched.sort(), foldersWith('package-lock.json').sort())
})
