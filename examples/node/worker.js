'use strict'
// A worker in JavaScript: writes the SHA-256 of files.
const { createHash } = require('node:crypto')
const { createReadStream } = require('node:fs')
const { writeFile } = require('node:fs/promises')
const { Discard, Worker, current } = require('../../sdk/node/magne-worker') // or a copy beside this file

const worker = new Worker({ concurrency: 10 })

worker.task('digest', async (source, target) => {
  const { signal } = current() // aborted when the task is cancelled
  const hash = createHash('sha256')
  try {
    for await (const chunk of createReadStream(source, { signal })) hash.update(chunk)
  } catch (e) {
    if (e.code === 'ENOENT') throw new Discard(e.message) // it will not be there the next time
    throw e
  }
  const hex = hash.digest('hex')
  await writeFile(target, hex + '\n', { signal })
  console.log('digest of %s', source)
  return { sha256: hex }
})

worker.run()
