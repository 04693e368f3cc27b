// Messages of PostgreSQL's protocol 3: made, cut out of a stream, told apart by their first letter.
// Who sends which message when belongs to client.mjs.

const NOTHING = Buffer.alloc(0)

export const message = (letter, body = NOTHING) => {
  const head = Buffer.alloc(5)
  head.write(letter, 'latin1')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

export const cString = (text) => Buffer.from(`${text}\0`)

export const letterOf = (bytes) => String.fromCharCode(bytes[0])

export const query = (sql) => message('Q', cString(sql))

export const readyForQuery = (status) => message('Z', Buffer.from(status))

export const errorResponse = (sqlState, text, hint) =>
  message('E', Buffer.concat([...[`SERROR`, `VERROR`, `C${sqlState}`, `M${text}`, `H${hint}`].map(cString), Buffer.from([0])]))

/** Cut a buffer that holds nothing but whole messages. */
export const cut = (bytes) => {
  const found = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + bytes.readInt32BE(at + 1)
    found.push(bytes.subarray(at, end))
    at = end
  }
  return found
}

/** The text up to the zero byte at or after `from`. */
export const cStringAt = (bytes, from) => bytes.toString('utf8', from, bytes.indexOf(0, from))

/** Whole messages of a stream that arrives in pieces of any size. */
export class Framer {
  /** A client's first messages have a length but no letter; set to false after the one that starts a session. */
  starting = true
  #pieces = []
  #size = 0
  #needed = 1;

  *take(piece) {
    this.#pieces.push(piece)
    this.#size += piece.length
    if (this.#size < this.#needed) return // joining at every piece would make one large message quadratic
    const bytes = Buffer.concat(this.#pieces, this.#size)
    let at = 0
    for (;;) {
      const letter = this.starting ? 0 : 1
      this.#needed = letter + 4
      if (bytes.length - at < this.#needed) break
      this.#needed = letter + bytes.readInt32BE(at + letter)
      if (bytes.length - at < this.#needed) break
      yield bytes.subarray(at, at + this.#needed)
      at += this.#needed
    }
    this.#pieces = [bytes.subarray(at)]
    this.#size = bytes.length - at
  }
}
