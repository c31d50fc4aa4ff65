// PostgreSQL, MariaDB and Redis, each with TLS beside plain text.

import { spawnSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { accountOf, freePort, runProgram, startProgram, temporaryFolder } from './process.mjs'
import { programPath } from './programs.mjs'

/** User `test` of database `postgres`, without a password. */
export async function startPostgres() {
  const account = accountOf('postgres')
  const folder = temporaryFolder(account)
  const data = join(folder, 'data')
  const options = { ...account, cwd: folder }
  runProgram(programPath('initdb'), ['-D', data, '-U', 'test', '-A', 'trust', '--no-sync'], options)
  const port = await freePort()
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: folder,
    fsync: 'off',
    max_connections: '120',
    ssl: 'on',
    ssl_cert_file: join(folder, 'certificate.pem'),
    ssl_key_file: join(folder, 'key.pem'),
  }
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  // It listens before it takes anybody.
  const isReady = () =>
    spawnSync(programPath('pg_isready'), ['-q', '-h', '127.0.0.1', '-p', String(port)]).status === 0
  const server = await startProgram(programPath('postgres'), ['-D', data, ...args], { isReady, ...options })
  return { port, ...server }
}

/** User `test` with the password `test`, and a database `test`. */
export async function startMariadb() {
  const account = accountOf('mysql')
  const folder = temporaryFolder(account)
  const data = join(folder, 'data')
  const options = { ...account, cwd: folder }
  const common = ['--no-defaults', `--datadir=${data}`]
  runProgram(
    programPath('mariadb-install-db'),
    [...common, '--auth-root-authentication-method=normal', '--skip-test-db'],
    options,
  )
  const setup = join(folder, 'setup.sql')
  const statements = [
    'CREATE DATABASE test',
    "CREATE USER test@'%' IDENTIFIED BY 'test'",
    "GRANT ALL ON *.* TO test@'%'",
    "DELETE FROM mysql.global_priv WHERE User = ''",
    'FLUSH PRIVILEGES',
  ]
  writeFileSync(setup, `${statements.join(';\n')};\n`)
  chmodSync(setup, 0o644)
  const port = await freePort()
  const args = [
    ...common,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    '--skip-name-resolve',
    `--socket=${join(folder, 'socket')}`,
    `--pid-file=${join(folder, 'pid')}`,
    `--init-file=${setup}`,
    '--max-allowed-packet=64M',
    '--innodb-buffer-pool-size=16M',
    `--ssl-cert=${join(folder, 'certificate.pem')}`,
    `--ssl-key=${join(folder, 'key.pem')}`,
  ]
  const server = await startProgram(programPath('mariadbd'), args, { port, ...options })
  return { port, ...server }
}

/** `port` is the one of plain text, `securePort` the one of TLS. */
export async function startRedis() {
  const folder = temporaryFolder()
  const [port, securePort] = [await freePort(), await freePort()]
  const settings = {
    port,
    'tls-port': securePort,
    'tls-cert-file': join(folder, 'certificate.pem'),
    'tls-key-file': join(folder, 'key.pem'),
    'tls-ca-cert-file': join(folder, 'certificate.pem'),
    'tls-auth-clients': 'no',
    bind: '127.0.0.1',
    save: '',
    appendonly: 'no',
    dir: folder,
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  const server = await startProgram(programPath('redis-server'), args, { port: securePort })
  return { port, securePort, ...server }
}
