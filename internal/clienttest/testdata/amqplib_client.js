// Does with amqplib what programs do, and prints what came of it as JSON.
'use strict'
const amqp = require('amqplib')

const [url, prefix] = process.argv.slice(2)

async function main () {
  const seen = {}
  const connection = await amqp.connect(url)
  const channel = await connection.createConfirmChannel()
  await channel.assertExchange(prefix + '.dead', 'direct', { durable: true })
  await channel.assertQueue(prefix + '.dead', { durable: true })
  await channel.bindQueue(prefix + '.dead', prefix + '.dead', 'gone')
  await channel.assertQueue(prefix, {
    durable: true,
    maxPriority: 5,
    deadLetterExchange: prefix + '.dead',
    deadLetterRoutingKey: 'gone'
  })

  for (let i = 0; i < 6; i++) {
    channel.sendToQueue(prefix, Buffer.from(`m${i}`), { persistent: true, priority: i, messageId: `id${i}`, headers: { i } })
  }
  await channel.waitForConfirms()
  seen.ready = (await channel.checkQueue(prefix)).messageCount

  const returned = new Promise(resolve => channel.once('return', resolve))
  channel.publish('', prefix + '.nowhere', Buffer.from('x'), { mandatory: true })
  seen.returned = (await returned).fields.replyCode
  await channel.waitForConfirms()

  await channel.prefetch(3)
  seen.consumed = []
  await new Promise((resolve, reject) => {
    channel.consume(prefix, m => {
      seen.consumed.push([m.content.toString(), m.properties.messageId, m.properties.headers.i, m.fields.redelivered])
      if (m.content.toString() === 'm2') channel.nack(m, false, false)
      else channel.ack(m)
      if (seen.consumed.length === 6) resolve()
    }, { consumerTag: 'c' }).catch(reject)
  })
  await channel.cancel('c')

  for (;;) {
    const m = await channel.get(prefix + '.dead')
    if (!m) continue
    const death = m.properties.headers['x-death'][0]
    seen.dead = [m.content.toString(), death.reason, death.count, death['routing-keys'][0].replace(prefix, 'Q'), m.fields.routingKey]
    channel.ack(m)
    break
  }
  seen.none = await channel.get(prefix)

  channel.sendToQueue(prefix, Buffer.from('late'), { expiration: '1' })
  await channel.waitForConfirms()
  seen.deleted = (await channel.deleteQueue(prefix)).messageCount <= 1
  await channel.deleteQueue(prefix + '.dead')
  await channel.deleteExchange(prefix + '.dead')
  await channel.close()

  const doomed = await connection.createChannel()
  doomed.on('error', () => {})
  try {
    await doomed.checkQueue(prefix)
  } catch (e) {
    seen.missing = e.code
  }
  await connection.close()
  console.log(JSON.stringify(seen))
}

main().catch(e => { console.error(e); process.exit(1) })
