// mosquitto and RabbitMQ, each with TLS beside plain text.

import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { accountOf, freePort, startProgram, temporaryFolder } from './process.mjs'
import { programPath } from './programs.mjs'

/** `port` is the one of plain text, `securePort` the one of TLS. */
export async function startMosquitto() {
  const folder = temporaryFolder()
  const [port, securePort] = [await freePort(), await freePort()]
  const configuration = join(folder, 'mosquitto.conf')
  const lines = [
    'user root',
    'allow_anonymous true',
    'persistence false',
    'log_dest stderr',
    `listener ${port} 127.0.0.1`,
    `listener ${securePort} 127.0.0.1`,
    `certfile ${join(folder, 'certificate.pem')}`,
    `keyfile ${join(folder, 'key.pem')}`,
  ]
  writeFileSync(configuration, `${lines.join('\n')}\n`)
  const server = await startProgram(programPath('mosquitto'), ['-c', configuration], { port: securePort })
  return { port, securePort, ...server }
}

/** RabbitMQ with AMQP 0-9-1 and 1.0 at `amqp`, and STOMP at `stomp`: `{ plain, tls }` are the ports of each. */
export async function startRabbit() {
  const account = accountOf('rabbitmq')
  const folder = temporaryFolder(account)
  const amqp = { plain: await freePort(), tls: await freePort() }
  const stomp = { plain: await freePort(), tls: await freePort() }
  const [distribution, names] = [await freePort(), await freePort()]
  const lines = [
    `listeners.tcp.1 = 127.0.0.1:${amqp.plain}`,
    `listeners.ssl.1 = 127.0.0.1:${amqp.tls}`,
    `ssl_options.cacertfile = ${join(folder, 'certificate.pem')}`,
    `ssl_options.certfile = ${join(folder, 'certificate.pem')}`,
    `ssl_options.keyfile = ${join(folder, 'key.pem')}`,
    'ssl_options.verify = verify_none',
    'ssl_options.fail_if_no_peer_cert = false',
    `stomp.listeners.tcp.1 = 127.0.0.1:${stomp.plain}`,
    `stomp.listeners.ssl.1 = 127.0.0.1:${stomp.tls}`,
    'log.console = true',
    'log.file = false',
  ]
  const configuration = join(folder, 'rabbitmq.conf')
  writeFileSync(configuration, `${lines.join('\n')}\n`)
  const plugins = join(folder, 'enabled_plugins')
  writeFileSync(plugins, '[rabbitmq_amqp1_0,rabbitmq_stomp].\n')
  for (const path of [configuration, plugins]) chmodSync(path, 0o666)
  const env = {
    PATH: process.env.PATH,
    LANG: 'C.UTF-8',
    HOME: folder,
    TMPDIR: folder,
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_EPMD_PORT: String(names),
    RABBITMQ_NODENAME: `drivers${amqp.plain}@localhost`,
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_CONFIG_FILE: configuration,
    RABBITMQ_CONF_ENV_FILE: join(folder, 'none'),
    RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
    RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_PID_FILE: join(folder, 'pid'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
  }
  const options = { ...account, cwd: folder, env }
  // Erlang's daemon of names: not found, RabbitMQ would start one that stays.
  const daemon = await startProgram(programPath('epmd'), ['-port', String(names)], {
    port: names,
    ...options,
  })
  const server = await startProgram(programPath('rabbitmq-server'), [], {
    port: stomp.tls,
    ...options,
  }).catch((error) => {
    daemon.kill()
    throw error
  })
  return {
    amqp,
    stomp,
    groups: [...daemon.groups, ...server.groups],
    kill() {
      server.kill()
      daemon.kill()
    },
  }
}
