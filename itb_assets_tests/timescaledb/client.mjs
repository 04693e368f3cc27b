// One client: its socket, its half of the protocol, the messages it has sent so far.
// The database and whose turn it is belong to session.mjs.

import { Framer, cString, cStringAt, errorResponse, letterOf, message, query, readyForQuery } from './messages.mjs'
import { statusIn } from './session.mjs'

const PROTOCOL_3 = 196608
const CANCEL = 80877102
const COPY_IN = /^\s*copy\b[^;]*\bfrom\s+stdin\b/i
const COPY_MESSAGE_BYTES = 1 << 20
const BUSY = 'the one session of this test server is in the transaction of another connection'
const BUSY_HINT = 'End a transaction before another connection is used.'
const NO_COPY = 'this test server takes COPY FROM STDIN by the simple protocol only'
const NO_COPY_HINT = 'Send it without parameters, as psycopg2 copy_expert, ADBC and psql do.'

let clients = 0

export class Client {
  /** Pairs of names and values from the option `-c name=value` of the connection. */
  settings = []
  /** The last Parse message without a name, or null. */
  unnamedStatement = null

  #socket
  #session
  #prefix = `c${++clients}_`
  #framer = new Framer()
  #work = Promise.resolve()
  #statements = new Set()
  #batch = []
  #copy = null
  #status = 'I'
  #skipping = false

  constructor(socket, session, { closed, broken }) {
    this.#socket = socket
    this.#session = session
    const after = (step) => { this.#work = this.#work.then(step).catch(broken) }
    socket.setNoDelay(true)
    socket.on('data', (piece) => after(() => this.#read(piece)))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      session.forget(this)
      after(() => closed(this))
    })
  }

  /** End what the client left open. */
  leave({ last }) {
    if (this.#session.holds(this)) {
      this.#session.run(this, [message('S'), query('ROLLBACK')])
      this.#session.giveBack()
    }
    if (last) this.#session.startOver()
    else for (const name of this.#statements) this.#session.say(`DEALLOCATE "${name}"`)
  }

  async #read(piece) {
    for (const bytes of this.#framer.take(piece)) {
      if (this.#socket.destroyed) return
      if (this.#framer.starting) this.#start(bytes)
      else await this.#hear(bytes)
    }
  }

  #start(bytes) {
    const code = bytes.readInt32BE(4)
    if (code === CANCEL) return void this.#socket.end()
    if (code !== PROTOCOL_3) return void this.#socket.write('N') // no TLS, no GSSAPI: go on without
    this.#framer.starting = false
    const words = bytes.toString('utf8', 8).split('\0')
    const options = words[words.indexOf('options') + 1] ?? ''
    if (words.includes('options')) {
      for (const [, name, value] of options.matchAll(/-c\s*([\w.]+)=((?:\\.|\S)+)/g)) {
        this.settings.push([name, value.replaceAll(/\\(.)/g, '$1')])
      }
    }
    const parameters = Object.entries(this.#parameters()).map((pair) => message('S', Buffer.concat(pair.map(cString))))
    this.#socket.write(Buffer.concat([message('R', Buffer.alloc(4)), ...parameters, message('K', Buffer.alloc(8)), readyForQuery('I')]))
  }

  #parameters() {
    return {
      server_version: this.#session.version,
      server_encoding: 'UTF8',
      client_encoding: 'UTF8',
      DateStyle: 'ISO, MDY',
      IntervalStyle: 'postgres',
      TimeZone: 'UTC',
      integer_datetimes: 'on',
      standard_conforming_strings: 'on',
    }
  }

  async #hear(bytes) {
    const letter = letterOf(bytes)
    if (this.#copy) return this.#hearCopy(letter, bytes)
    if (letter === 'X') return void this.#socket.end()
    if (letter === 'Q') {
      const sql = cStringAt(bytes, 5)
      if (!COPY_IN.test(sql)) return this.#run([bytes])
      // The WASM database reads all it is sent in one call: the rows are asked for and gathered here first.
      this.#copy = { statement: bytes, rows: [] }
      const binary = /\bbinary\b/i.test(sql) ? 1 : 0
      return void this.#socket.write(message('G', Buffer.from([binary, 0, 0])))
    }
    if (letter === 'F') return this.#run([bytes])
    this.#batch.push(this.#renamed(letter, bytes))
    if (letter === 'S' || letter === 'H') await this.#runBatch(letter)
  }

  async #hearCopy(letter, bytes) {
    if (letter === 'd') return void this.#copy.rows.push(bytes.subarray(5))
    if (letter !== 'c' && letter !== 'f') return // Flush and Sync mean nothing here
    const { statement, rows } = this.#copy
    this.#copy = null
    const data = Buffer.concat(rows)
    const messages = [statement]
    for (let at = 0; at < data.length; at += COPY_MESSAGE_BYTES) messages.push(message('d', data.subarray(at, at + COPY_MESSAGE_BYTES)))
    await this.#run([...messages, bytes], { inOneCall: true, unsaid: 'G' })
  }

  async #runBatch(letter) {
    const batch = this.#batch
    this.#batch = []
    if (this.#skipping) { // an error was answered to an earlier part: the rest up to Sync is void
      if (letter === 'S') { this.#skipping = false; this.#socket.write(readyForQuery(this.#status)) }
      return
    }
    if (batch.some(parsesCopyIn)) return this.#refuse('0A000', NO_COPY, NO_COPY_HINT, letter)
    await this.#run(batch, { ends: letter })
  }

  async #run(messages, { inOneCall = false, unsaid = '', ends = 'S' } = {}) {
    if (!(await this.#session.lend(this))) return this.#refuse('55P03', BUSY, BUSY_HINT, ends)
    const replies = this.#session.run(this, messages, { inOneCall })
    if (unsaid && replies.length && letterOf(replies[0]) === unsaid) replies.shift()
    const status = statusIn(replies)
    this.#status = status ?? this.#status
    if (status === 'I') this.#session.giveBack()
    await this.#write(Buffer.concat(replies))
  }

  #refuse(sqlState, text, hint, ends) {
    if (this.#socket.destroyed) return
    this.#socket.write(errorResponse(sqlState, text, hint))
    if (ends === 'S') this.#socket.write(readyForQuery(this.#status))
    else this.#skipping = true
  }

  async #write(bytes) {
    if (this.#socket.destroyed || this.#socket.write(bytes)) return
    await new Promise((resolve) => this.#socket.once('drain', resolve).once('close', resolve))
  }

  /** Give a named prepared statement a name that no other client uses; they all lie in one session. */
  #renamed(letter, bytes) {
    if (letter === 'P') {
      const name = cStringAt(bytes, 5)
      if (!name) return (this.unnamedStatement = Buffer.from(bytes))
      this.#statements.add(this.#prefix + name)
      return message('P', Buffer.concat([Buffer.from(this.#prefix), bytes.subarray(5)]))
    }
    const place = letter === 'B' ? bytes.indexOf(0, 5) + 1 : (letter === 'D' || letter === 'C') && bytes[5] === 0x53 ? 6 : 0
    if (!place || bytes[place] === 0) return bytes
    if (letter === 'C') this.#statements.delete(this.#prefix + cStringAt(bytes, place))
    return message(letter, Buffer.concat([bytes.subarray(5, place), Buffer.from(this.#prefix), bytes.subarray(place)]))
  }
}

const parsesCopyIn = (bytes) => letterOf(bytes) === 'P' && COPY_IN.test(cStringAt(bytes, bytes.indexOf(0, 5) + 1))
