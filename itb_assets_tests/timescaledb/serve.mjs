// Serves TimescaleDB (WebAssembly, in memory) to PostgreSQL clients on a free port of this machine:
//     node serve.mjs FOLDER_WITH_NODE_MODULES
// It prints one line of JSON with the port when it is ready, and lives until its standard input is closed.

import net from 'node:net'
import { Worker } from 'node:worker_threads'
import { Client } from './client.mjs'
import { Session } from './session.mjs'

// In a thread of its own, because the database keeps the first thread busy for as long as a statement takes. The pipe
// is closed by whoever started this, or by the system when that process is killed: nothing is ever left behind.
new Worker(
  `const { readSync } = require('node:fs')
   const some = Buffer.alloc(64)
   try { while (readSync(0, some) > 0); } catch {}
   process.kill(process.pid, 'SIGKILL')`,
  { eval: true },
)

const broken = (error) => {
  console.error(error)
  process.kill(process.pid, 'SIGKILL') // after a trap in it the database cannot be trusted; nothing here is kept
}
process.on('uncaughtException', broken)

const session = await Session.open(process.argv[2])
const clients = new Set()
const closed = (client) => {
  clients.delete(client)
  client.leave({ last: clients.size === 0 })
}
const server = net.createServer((socket) => clients.add(new Client(socket, session, { closed, broken })))
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port, version: session.version })))
