// dovecot and OpenSSH.

import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'

import { accountOf, freePort, runProgram, startProgram, temporaryFolder } from './process.mjs'
import { programPath } from './programs.mjs'

/** IMAP for the user `test` with the password `test`: `port` plain, `securePort` by TLS. */
export async function startDovecot() {
  const folder = temporaryFolder()
  const [port, securePort] = [await freePort(), await freePort()]
  const { username, gid } = userInfo()
  const isRoot = process.getuid() === 0
  const { uid: mailUser = userInfo().uid, gid: mailGroup = gid } = accountOf('nobody')
  mkdirSync(join(folder, 'mail'), { mode: 0o777 })
  const configuration = join(folder, 'dovecot.conf')
  writeFileSync(
    configuration,
    `base_dir = ${join(folder, 'run')}
state_dir = ${join(folder, 'state')}
log_path = /dev/stderr
protocols = imap
listen = 127.0.0.1
${isRoot ? '' : `default_internal_user = ${username}\ndefault_login_user = ${username}`}
disable_plaintext_auth = no
ssl = yes
ssl_cert = <${join(folder, 'certificate.pem')}
ssl_key = <${join(folder, 'key.pem')}
mail_location = maildir:${join(folder, 'mail')}/%u
mail_max_userip_connections = 100
first_valid_uid = 1
passdb {
  driver = static
  args = password=test
}
userdb {
  driver = static
  args = uid=${mailUser} gid=${mailGroup} home=${join(folder, 'mail')}/%u
}
service imap-login {
  chroot =
  process_min_avail = 1
  inet_listener imap {
    port = ${port}
  }
  inet_listener imaps {
    port = ${securePort}
    ssl = yes
  }
}
service anvil {
  chroot =
}
`,
  )
  // Its processes have accounts of their own.
  chmodSync(join(folder, 'mail'), 0o777)
  chmodSync(folder, 0o755)
  const server = await startProgram(programPath('dovecot'), ['-F', '-c', configuration], { port: securePort })
  return { port, securePort, ...server }
}

/** SSH for our own account: `privateKey` opens it. */
export async function startSshd() {
  const folder = temporaryFolder()
  for (const name of ['host', 'user']) {
    runProgram('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)])
  }
  const port = await freePort()
  const { username } = userInfo()
  // It insists on a folder that the system's own start makes.
  if (process.getuid() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  const configuration = join(folder, 'sshd_config')
  const lines = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${join(folder, 'host')}`,
    `AuthorizedKeysFile ${join(folder, 'user.pub')}`,
    `PidFile ${join(folder, 'pid')}`,
    'StrictModes no',
    'UsePAM no',
    'PermitRootLogin yes',
    'MaxStartups 200',
    'MaxSessions 20',
    'Subsystem sftp internal-sftp',
  ]
  writeFileSync(configuration, `${lines.join('\n')}\n`)
  const server = await startProgram(programPath('sshd'), ['-D', '-e', '-f', configuration], { port })
  return { port, username, privateKey: readFileSync(join(folder, 'user'), 'utf8'), ...server }
}
