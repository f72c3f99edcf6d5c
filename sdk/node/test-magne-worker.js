'use strict'
// Drives workers over pipes as a supervisor does. Run: node --test, in this directory.
const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const { once } = require('node:events')
const test = require('node:test')

const options = { timeout: 30_000 }

/** The other side of the protocol, with a worker that runs the given source. */
class Supervisor {
  constructor(t, source, { stdio = false, env = {} } = {}) {
    const fds = stdio ? ['pipe', 'pipe', 'pipe'] : ['ignore', 'pipe', 'pipe', 'pipe', 'pipe']
    const transport = stdio ? { MAGNE_FD_IN: '0', MAGNE_FD_OUT: '1' } : {}
    source = `const { Worker, Retry, Discard, current } = require(${JSON.stringify(require.resolve('./magne-worker'))});\n` + source
    this.child = spawn(process.execPath, ['-e', source], { stdio: fds, env: { ...process.env, MAGNE_PROTO: '1', ...transport, ...env } })
    this.to = this.child.stdio[stdio ? 0 : 3]
    this.of = this.child.stdio[stdio ? 1 : 4]
    this.buffer = Buffer.alloc(0)
    this.ids = 0
    this.stdout = this.stderr = ''
    if (!stdio) this.child.stdout.on('data', (d) => { this.stdout += d })
    this.child.stderr.on('data', (d) => { this.stderr += d })
    this.chunks = this.of[Symbol.asyncIterator]()
    this.exited = once(this.child, 'exit')
    this.to.on('error', () => {}) // it may be gone before it has read everything
    t.after(() => this.child.kill('SIGKILL'))
  }

  send(head, body = Buffer.alloc(0)) {
    if (body.length) head.len = body.length
    this.to.write(Buffer.concat([Buffer.from(JSON.stringify(head) + '\n'), body]))
  }

  task(name, args = [], { body, kwargs, ...more } = {}) {
    const ct = body ? 'image/png' : 'application/json'
    this.send({ t: 'task', id: ++this.ids, name, attempt: 1, ct, ...more }, body ?? Buffer.from(JSON.stringify({ args, kwargs })))
    return this.ids
  }

  async read() {
    const more = async () => {
      const { value, done } = await this.chunks.next()
      if (done) throw new Error('the end: ' + this.stderr)
      this.buffer = Buffer.concat([this.buffer, value])
    }
    while (!this.buffer.includes(10)) await more()
    const end = this.buffer.indexOf(10)
    const head = JSON.parse(this.buffer.subarray(0, end).toString())
    while (this.buffer.length < end + 1 + (head.len ?? 0)) await more()
    const body = this.buffer.subarray(end + 1, end + 1 + (head.len ?? 0))
    this.buffer = this.buffer.subarray(end + 1 + body.length)
    return [head, body]
  }

  async wait(type) {
    for (;;) {
      const [head, body] = await this.read()
      if (head.t === type) return [head, body]
    }
  }

  async hello(welcome = {}) {
    const [head] = await this.wait('hello')
    this.send({ t: 'welcome', proto: 1, slot: 'test/1', ...welcome })
    return head
  }
}

const SOURCE = `
const worker = new Worker({ concurrency: 2 })
worker.step('importing')
worker.task('echo', (...args) => args)
worker.task('raw', (body) => body)
worker.task(async function nothing() {})
worker.task('fails', () => { throw new RangeError('no "width"') })
worker.task('long', () => { throw new Error('\\u{1f600}'.repeat(1e6)) })
worker.task('odd', () => { throw null })
worker.task('discards', () => { throw new Discard('no such user') })
worker.task('retries', async () => { throw new Retry('rate limited', { after: 5 }) })
worker.task('never', async () => { throw new Retry('', { after: Infinity }) })
worker.task('hostile', () => { throw new Proxy({}, { get() { throw 1 }, getPrototypeOf() { throw 1 }, ownKeys() { throw 1 } }) })
worker.task('bad', () => 1n)
worker.task('context', async () => {
  const c = current()
  c.progress(40, 'page 4/10')
  c.progress(41) // too soon
  console.warn('hello %s', 'you')
  c.log('info', 'fields', { user: 7 })
  c.log('info', 'no fields', { user: 7n })
  process.stdout.write('{"t":"ok","id":1}\\n')
  await null
  return [c === current(), c.id, c.name, c.attempt, c.headers, c.remaining() > 29]
})
worker.task('hangs', () => new Promise((_, reject) => {
  const { signal } = current()
  signal.addEventListener('abort', () => reject(signal.reason))
}))
worker.task('fetches', async () => {
  current().progress(1)
  await require('node:timers/promises').setTimeout(60_000, 0, { signal: current().signal })
})
worker.task('fds', () => require('node:child_process').execSync('ls /proc/self/fd').toString().trim().split(/\\s+/))
worker.task('leaks', () => worker.bye('memory'))
worker.run({ close: () => process.stderr.write('closed\\n') })
`

test('hello, tasks, results', options, async (t) => {
  const s = new Supervisor(t, SOURCE)
  assert.deepEqual((await s.read())[0], { t: 'step', msg: 'importing' })
  const hello = await s.hello()
  assert.equal(hello.proto, 1)
  assert.equal(hello.concurrency, 2)
  assert.deepEqual(hello.caps, ['cancel', 'beat'])
  assert.equal(hello.pid, s.child.pid)
  assert.ok(hello.tasks.includes('echo') && hello.tasks.includes('nothing'))
  s.task('echo', [1, 'é'], { kwargs: { a: null } })
  let [head, body] = await s.read()
  assert.deepEqual([head.t, head.id, JSON.parse(body)], ['ok', 1, [1, 'é', { a: null }]])
  s.task('nothing')
  assert.deepEqual((await s.read())[0], { t: 'ok', id: 2 })
  const blob = Buffer.alloc(300_000, Buffer.from(Array.from({ length: 256 }, (_, i) => i)))
  s.task('raw', [], { body: blob });
  [head, body] = await s.read()
  assert.ok(head.id === 3 && body.equals(blob))
  s.to.end()
  assert.deepEqual(await once(s.child, 'close'), [0, null])
  assert.equal(s.stderr, 'closed\n')
})

test('outcomes', options, async (t) => {
  const s = new Supervisor(t, SOURCE)
  await s.hello()
  const reply = async (name, ...args) => {
    s.task(name, ...args)
    const [head, body] = await s.read()
    delete head.len
    return [head, body.toString()]
  }
  let [head, body] = await reply('fails')
  assert.deepEqual(head, { t: 'error', id: 1, kind: 'RangeError', msg: 'no "width"', permanent: false })
  assert.match(body, /RangeError: no "width"\n +at/);
  [head] = await reply('long')
  assert.equal(head.kind, 'Error');
  [head] = await reply('odd')
  assert.deepEqual([head.t, head.msg], ['error', 'null']);
  [head] = await reply('discards')
  assert.deepEqual([head.permanent, head.msg], [true, 'no such user']);
  [head] = await reply('retries')
  assert.deepEqual(head, { t: 'retry', id: 5, after_ms: 5000, msg: 'rate limited' });
  [head] = await reply('never')
  assert.equal(head.after_ms, 0);
  [head] = await reply('hostile')
  assert.deepEqual([head.t, head.id], ['error', 7])
  for (const broken of [['bad'], ['nobody'], ['echo', [], { body: Buffer.from('{'), ct: 'application/json' }],
    ['echo', [], { body: Buffer.from('[]'), ct: 'application/json' }]]) {
    [head] = await reply(...broken)
    assert.deepEqual([head.t, head.permanent], ['error', true], broken[0])
  }
})

test('context, logs and stdout', options, async (t) => {
  const s = new Supervisor(t, SOURCE)
  await s.hello()
  s.task('context', [], { attempt: 3, hdr: { trace: 'x' }, deadline_ms: 30_000 })
  assert.deepEqual((await s.read())[0], { t: 'progress', id: 1, pct: 40, msg: 'page 4/10' })
  assert.deepEqual((await s.read())[0], { t: 'log', id: 1, level: 'warning', msg: 'hello you' })
  assert.deepEqual((await s.read())[0], { t: 'log', id: 1, level: 'info', msg: 'fields', f: { user: 7 } })
  assert.deepEqual((await s.read())[0], { t: 'log', id: 1, level: 'info', msg: 'no fields' })
  assert.deepEqual(JSON.parse((await s.read())[1]), [true, 1, 'context', 3, { trace: 'x' }, true])
  s.to.end()
  await once(s.child, 'close')
  assert.equal(s.stdout, '{"t":"ok","id":1}\n')
})

test('cancel, beats, concurrency, drain', options, async (t) => {
  const s = new Supervisor(t, SOURCE)
  await s.hello({ beat_ms: 20 })
  const hanging = s.task('hangs')
  const fetching = s.task('fetches')
  await s.wait('beat')
  const waiting = s.task('echo')
  for (const [id, reason] of [[waiting, 'revoked'], [hanging, 'timeout'], [fetching, 'shutdown'], [99, 'revoked']]) {
    s.send({ t: 'cancel', id, reason })
    if (id === 99) break
    const [head] = await s.wait('error')
    assert.deepEqual([head.id, head.kind, head.msg], [id, 'Cancelled', reason])
  }
  s.task('leaks')
  assert.equal((await s.wait('bye'))[0].reason, 'memory')
  s.task('fds')
  const [, body] = await s.wait('ok').then(() => s.wait('ok'))
  assert.ok(!JSON.parse(body).includes('4'), body.toString())
  s.send({ t: 'shiny', len: 3 }, Buffer.from('abc'))
  s.send({ t: 'ping', n: 7 })
  assert.equal((await s.wait('pong'))[0].n, 7)
  s.task('nothing')
  s.send({ t: 'drain', deadline_ms: 1000 })
  s.task('nothing') // not taken any more
  assert.equal((await s.wait('ok'))[0].id, s.ids - 1)
  assert.deepEqual(await s.exited, [0, null])
})

test('transport stdio', options, async (t) => {
  const s = new Supervisor(t, SOURCE, { stdio: true })
  await s.hello()
  s.task('context')
  assert.equal((await s.wait('ok'))[0].id, 1)
  s.to.end()
  await once(s.child, 'close')
  assert.match(s.stderr, /"t":"ok","id":1/) // what the task printed
})

test('by hand', options, async (t) => {
  const s = new Supervisor(t, SOURCE, { env: { MAGNE_PROTO: '' } })
  assert.deepEqual(await once(s.child, 'close'), [1, null])
  assert.match(s.stderr, /magne-actors run/)
})

test('a library', () => {
  const { Worker, current } = require('./magne-worker')
  const worker = new Worker()
  const double = worker.task('double', (n) => { current().progress(50); return 2 * n })
  assert.equal(double(4), 8)
  assert.throws(() => worker.task('double', double), /two tasks/)
  assert.throws(() => worker.task('x'), TypeError)
  assert.throws(() => new Worker({ concurrency: 0 }), RangeError)
})
