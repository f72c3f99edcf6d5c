'use strict'
const { execSync } = require('node:child_process')
const { setTimeout } = require('node:timers/promises')
const { Discard, Retry, Worker, current } = require(process.env.MAGNE_SDK + '/node/magne-worker')

const worker = new Worker()
worker.step('importing')
worker.task('nothing', () => {})
worker.task('echo', (...args) => args)
worker.task('raw', (body) => body)
worker.task('fail', () => { throw new RangeError('no width') })
worker.task('discard', () => { throw new Discard('no such user') })
worker.task('retry', () => { throw new Retry('rate limited', { after: 5 }) })
worker.task('talk', () => {
  process.stdout.write('{"t":"ok","id":1}\n')
  current().progress(40, 'page 4/10')
  console.warn('say "hi"')
})
worker.task('fds', () => execSync('ls -l /proc/self/fd'))
worker.task('hang', () => {
  current().progress(1)
  return setTimeout(600_000, null, { signal: current().signal })
})
worker.run()
