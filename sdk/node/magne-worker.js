'use strict'
/**
 * Run JavaScript functions as tasks of magne-actors (protocol MWP/1).
 *
 *     const { Worker, Retry, Discard, current } = require('./magne-worker')
 *
 *     const worker = new Worker({ concurrency: 10 })
 *     worker.task('resize', async (path, width) => {
 *       if (!(width > 0)) throw new Discard('no width')       // dead-letter, do not try again
 *       const { signal } = current()                          // aborted when the task is cancelled
 *       const res = await fetch(path, { signal })
 *       if (res.status === 429) throw new Retry('rate limited', { after: 5 }) // later; no attempt is used up
 *       current().progress(50, 'downloaded')
 *       return { path }                                       // the result: JSON, or a Buffer as it is
 *     })
 *     worker.run()
 *
 * One file, no dependency, Node 18 or later. Copy it beside your program.
 *
 * What a task gets: the args of the message; if it has kwargs, they are one more
 * argument, an object. If its content type is not application/json, one
 * argument: the body, a Buffer.
 *
 * What goes to console is a line in the log of magne-actors, with the id of the
 * task; what goes to process.stdout is one without. Keep the event loop free: a
 * task that blocks it sees no cancel and sends no beat.
 */
const { AsyncLocalStorage } = require('node:async_hooks')
const fs = require('node:fs')
const net = require('node:net')
const util = require('node:util')

const VERSION = '0.1'
const PROTO = 1
const TEXT = 4096 // characters of a message: even all escaped they fit into a header
const TRACE = 256 << 10 // bytes of a stack

/** Run the task again after some seconds; 0 leaves the time to the pool. This uses up no attempt; the pool's retry.max_snoozes bounds how often. */
class Retry extends Error {
  /** @param {string} [message] @param {{after?: number}} [options] after: seconds */
  constructor(message = '', { after = 0 } = {}) {
    super(message)
    this.name = 'Retry'
    this.after = after
  }
}

/** The task failed and trying again would not help: put it into the dead-letter queue. */
class Discard extends Error {
  /** @param {string} [message] */
  constructor(message = '') {
    super(message)
    this.name = 'Discard'
  }
}

/** The reason of the signal of a task that is cancelled: timeout, revoked or shutdown. */
class Cancelled extends Error {
  /** @param {string} reason */
  constructor(reason) {
    super(reason)
    this.name = 'Cancelled'
    this.reason = reason
  }
}

/** The running task. */
class Context {
  #channel
  #ends
  #nextProgress = 0
  #abort = new AbortController()

  /**
   * @param {Record<string, any>} [head]
   * @param {Buffer} [body]
   * @param {?Channel} [channel]
   */
  constructor(head = {}, body = Buffer.alloc(0), channel = null) {
    /** @type {number} */ this.id = head.id ?? 0
    /** @type {string} */ this.name = head.name ?? ''
    /** @type {number} */ this.attempt = head.attempt ?? 1
    /** @type {Record<string, string>} */ this.headers = head.hdr ?? {}
    /** @type {string} */ this.contentType = head.ct ?? ''
    this.body = body
    this.#channel = channel
    this.#ends = head.deadline_ms === undefined ? undefined : performance.now() + head.deadline_ms
  }

  /** Aborted when the task is cancelled. */
  get signal() {
    return this.#abort.signal
  }

  /** @param {string} reason */
  cancel(reason) {
    this.#abort.abort(new Cancelled(reason))
  }

  /** Seconds until the deadline, undefined if there is none. */
  remaining() {
    return this.#ends === undefined ? undefined : Math.max(0, (this.#ends - performance.now()) / 1000)
  }

  /**
   * Tell how far the task is. Of more than ten a second some are left out.
   * @param {number} percent
   * @param {string} [message]
   */
  progress(percent, message = '') {
    const now = performance.now()
    if (!this.#channel || now < this.#nextProgress) return
    this.#nextProgress = now + 100
    this.#channel.send({ t: 'progress', id: this.id, pct: Number(percent), msg: clip(message) })
  }

  /**
   * A line in the log of magne-actors.
   * @param {string} level
   * @param {string} message
   * @param {Record<string, any>} [fields]
   */
  log(level, message, fields) {
    this.#channel?.log(this.id, level, message, fields)
  }

  /** The arguments for the function. */
  arguments() {
    if (this.contentType !== 'application/json') return [this.body]
    let data
    try {
      data = this.body.length ? JSON.parse(this.body.toString()) : {}
    } catch (e) {
      throw new Discard(`the body is not JSON: ${e}`)
    }
    const { args = [], kwargs = {} } = data !== null && typeof data === 'object' && !Array.isArray(data) ? data : { args: null }
    if (!Array.isArray(args) || kwargs === null || typeof kwargs !== 'object') {
      throw new Discard('the body is not an object with args and kwargs')
    }
    return Object.keys(kwargs).length ? [...args, kwargs] : args
  }
}

const idle = new Context()
/** @type {AsyncLocalStorage<Context>} */
const storage = new AsyncLocalStorage()

/** The running task; outside of one a Context with id 0 that does nothing. */
function current() {
  return storage.getStore() ?? idle
}

/** Frames over two file descriptors. */
class Channel {
  maxHeader = 65536
  maxBody = 16 << 20
  /** @type {Buffer[]} */ #parts = []
  #size = 0
  /** @type {?Record<string, any>} */ #head = null

  /** @param {number} fdIn @param {number} fdOut */
  constructor(fdIn, fdOut) {
    this.fdIn = fdIn
    this.fdOut = fdOut
    if (fdOut === 1) process.stdout.write = process.stderr.write.bind(process.stderr) // transport stdio
  }

  /**
   * Write one frame. Blocks while the pipe is full. RangeError: over the limit.
   * @param {Record<string, any>} head
   * @param {Uint8Array} [body]
   */
  send(head, body) {
    if (body && body.length) {
      if (body.length > this.maxBody) throw new RangeError(`a body of ${body.length} bytes, more than ${this.maxBody}`)
      head.len = body.length
    }
    const line = Buffer.from(JSON.stringify(head) + '\n')
    if (line.length > this.maxHeader) throw new RangeError(`a header of ${line.length} bytes, more than ${this.maxHeader}`)
    this.#write(body && body.length ? Buffer.concat([line, body]) : line)
  }

  /** @param {Buffer} data */
  #write(data) {
    for (let done = 0; done < data.length;) {
      try {
        done += fs.writeSync(this.fdOut, data, done)
      } catch (/** @type {any} */ e) {
        if (e.code === 'EPIPE') process.exit(1) // the supervisor is gone
        if (e.code !== 'EAGAIN') throw e
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
      }
    }
  }

  /**
   * @param {number} id
   * @param {string} level
   * @param {string} message
   * @param {Record<string, any>} [fields]
   */
  log(id, level, message, fields) {
    const head = { t: 'log', id, level, msg: clip(message) }
    try {
      this.send(fields ? { ...head, f: fields } : head)
    } catch (e) { // fields that are too long, or no JSON
      this.send(head)
    }
  }

  /**
   * @param {(head: Record<string, any>, body: Buffer) => void} onFrame
   * @param {() => void} onEnd
   */
  listen(onFrame, onEnd) {
    const socket = new net.Socket({ fd: this.fdIn, readable: true, writable: false })
    socket.on('data', (chunk) => this.#push(chunk, onFrame))
    socket.on('error', onEnd)
    socket.on('end', onEnd)
  }

  /** @param {Buffer} chunk @param {(head: Record<string, any>, body: Buffer) => void} onFrame */
  #push(chunk, onFrame) {
    this.#parts.push(chunk)
    this.#size += chunk.length
    for (;;) {
      const need = this.#head?.len ?? 0
      if (this.#head && this.#size < need) return // a long body is put together once
      const data = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts)
      let rest = data
      if (this.#head) {
        const head = this.#head
        this.#head = null
        rest = data.subarray(need)
        onFrame(head, data.subarray(0, need))
      } else {
        const end = data.indexOf(10)
        if (end >= 0) {
          this.#head = JSON.parse(data.subarray(0, end).toString())
          rest = data.subarray(end + 1)
        }
      }
      this.#parts = [rest]
      this.#size = rest.length
      if (rest === data && !this.#head) return
    }
  }
}

/** A set of tasks, and what runs them. */
class Worker {
  /** @type {Map<string, Function>} */ #tasks = new Map()
  /** @type {Context[]} */ #waiting = []
  /** @type {Map<number, Context>} */ #running = new Map()
  /** @type {?Channel} */ #channel = null
  #concurrency
  #options
  #draining = false
  /** @type {() => void} */ #over = () => {}
  /** @type {NodeJS.Timeout | undefined} */ #beats

  /**
   * concurrency: how many tasks at a time. heartbeat: tell the watchdog of the
   * pool that the event loop turns while a task runs. console: send what goes to
   * console to the log of magne-actors.
   * @param {{concurrency?: number, heartbeat?: boolean, console?: boolean}} [options]
   */
  constructor({ concurrency = 1, heartbeat = true, console = true } = {}) {
    if (!(concurrency >= 1)) throw new RangeError(`concurrency ${concurrency}, want at least 1`)
    this.#concurrency = concurrency
    this.#options = { concurrency, heartbeat, console }
    const env = process.env
    if (env.MAGNE_PROTO) this.#channel = new Channel(Number(env.MAGNE_FD_IN ?? 3), Number(env.MAGNE_FD_OUT ?? 4))
  }

  /**
   * Register a function as a task, under its own name or the given one. It may
   * be async. Returns the function.
   * @template {Function} F
   * @param {string | F} name
   * @param {F} [fn]
   * @returns {F}
   */
  task(name, fn) {
    if (typeof name === 'function') [name, fn] = [name.name, name]
    if (typeof fn !== 'function' || !name) throw new TypeError('a task needs a name and a function')
    if (this.#tasks.has(name)) throw new Error(`two tasks ${JSON.stringify(name)}`)
    this.#tasks.set(name, fn)
    return fn
  }

  /** Say what the start of the worker is at: shown in the tree, and kept if it dies there. @param {string} message */
  step(message) {
    this.#channel?.send({ t: 'step', msg: clip(message) })
  }

  /** Ask to be replaced: the running tasks finish, new ones go to the successor. @param {string} reason */
  bye(reason) {
    this.#channel?.send({ t: 'bye', reason: clip(reason) })
  }

  /**
   * Serve until the supervisor has no more for us; then call close, if there is
   * one, and exit.
   * @param {{close?: () => unknown}} [options]
   */
  async run({ close } = {}) {
    const channel = this.#channel
    if (!channel) {
      process.stderr.write('This program is a worker of magne-actors: name it in the process.command of a pool and use `magne-actors run`.\n')
      process.exit(1)
    }
    if (this.#options.console) bridge(channel)
    /** @type {Promise<void>} */
    const over = new Promise((resolve) => { this.#over = resolve })
    channel.listen((head, body) => this.#take(channel, head, body), () => this.#drain())
    channel.send({
      t: 'hello', proto: PROTO, tasks: [...this.#tasks.keys()].sort(), concurrency: this.#options.concurrency,
      caps: this.#options.heartbeat ? ['cancel', 'beat'] : ['cancel'], sdk: `node/${VERSION}`, pid: process.pid,
    })
    await over
    clearInterval(this.#beats)
    await close?.()
    process.exit(0)
  }

  /** @param {Channel} channel @param {Record<string, any>} head @param {Buffer} body */
  #take(channel, head, body) {
    switch (head.t) {
      case 'task':
        if (this.#draining) return
        this.#waiting.push(new Context(head, body, channel))
        return this.#advance(channel)
      case 'cancel':
        return this.#cancel(channel, head)
      case 'ping':
        return channel.send({ t: 'pong', n: head.n })
      case 'drain':
        return this.#drain()
      case 'welcome':
        channel.maxHeader = head.max_header || channel.maxHeader
        channel.maxBody = head.max_body || channel.maxBody
        this.#concurrency = Math.min(this.#concurrency, head.concurrency || this.#concurrency)
        if (this.#options.heartbeat && head.beat_ms) {
          this.#beats = setInterval(() => this.#running.size && channel.send({ t: 'beat' }), head.beat_ms)
        }
    }
  }

  #drain() {
    this.#draining = true
    if (!this.#running.size && !this.#waiting.length) this.#over()
  }

  /** @param {Channel} channel @param {Record<string, any>} head */
  #cancel(channel, head) {
    const reason = head.reason || 'cancelled'
    this.#running.get(head.id)?.cancel(reason)
    const i = this.#waiting.findIndex((ctx) => ctx.id === head.id)
    if (i >= 0) fail(channel, this.#waiting.splice(i, 1)[0], new Cancelled(reason))
  }

  /** @param {Channel} channel */
  #advance(channel) {
    while (this.#running.size < this.#concurrency) {
      const ctx = this.#waiting.shift()
      if (!ctx) break
      this.#running.set(ctx.id, ctx)
      this.#run(channel, ctx)
    }
    if (this.#draining && !this.#running.size) this.#over()
  }

  /** @param {Channel} channel @param {Context} ctx */
  async #run(channel, ctx) {
    try {
      const fn = this.#tasks.get(ctx.name)
      if (!fn) throw new Discard(`no task ${JSON.stringify(ctx.name)} here`)
      succeed(channel, ctx, await storage.run(ctx, () => fn(...ctx.arguments())))
    } catch (e) {
      try {
        fail(channel, ctx, e)
      } catch { // what was thrown does not even let itself be looked at
        channel.send({ t: 'error', id: ctx.id, kind: 'Error', msg: 'an error whose text cannot be had' })
      }
    }
    this.#running.delete(ctx.id)
    this.#advance(channel)
  }
}

/** @param {Channel} channel @param {Context} ctx @param {any} result */
function succeed(channel, ctx, result) {
  try {
    channel.send({ t: 'ok', id: ctx.id }, encode(result))
  } catch (e) {
    throw new Discard(`the task is done, but not its result: ${e instanceof Error ? e.message : e}`)
  }
}

/** @param {any} result */
function encode(result) {
  if (result === undefined || result instanceof Uint8Array) return result
  const text = JSON.stringify(result)
  if (text === undefined) throw new TypeError(`a ${typeof result} is no JSON`)
  return Buffer.from(text)
}

/** @param {Channel} channel @param {Context} ctx @param {any} e what was thrown: anything */
function fail(channel, ctx, e) {
  if (ctx.signal.aborted && e?.name === 'AbortError') e = ctx.signal.reason // what came of it
  const message = clip(e instanceof Error ? e.message : util.inspect(e))
  if (e instanceof Retry) {
    channel.send({ t: 'retry', id: ctx.id, after_ms: milliseconds(e.after), msg: message })
    return
  }
  const head = { t: 'error', id: ctx.id, kind: clip(e?.constructor?.name ?? typeof e).slice(0, 256), msg: message, permanent: e instanceof Discard }
  const trace = Buffer.from(util.inspect(e))
  channel.send(head, trace.subarray(-Math.min(TRACE, channel.maxBody)))
}

/** What is no time, such as infinity, is left to the pool. @param {any} seconds */
function milliseconds(seconds) {
  const n = Math.round(Number(seconds) * 1000)
  return Number.isFinite(n) ? Math.min(Math.max(0, n), 2 ** 48) : 0
}

/** Sends what goes to console to the log of magne-actors. @param {Channel} channel */
function bridge(channel) {
  for (const [method, level] of Object.entries({ debug: 'debug', log: 'info', info: 'info', warn: 'warning', error: 'error' })) {
    // @ts-ignore: by name
    console[method] = (...args) => channel.log(current().id, level, util.format(...args))
  }
}

/** @param {any} text */
function clip(text) {
  return String(text).slice(0, TEXT)
}

module.exports = { Cancelled, Context, Discard, Retry, Worker, current }
