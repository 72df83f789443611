// What rhea, stompjs, MQTT.js and REST see of each other's bodies, and answers that cross protocols.
import { Client } from '@stomp/stompjs';
import { TCPWrapper } from '@stomp/tcp-wrapper';
import mqtt from 'mqtt';
import rhea from 'rhea';
import { connect, freshQueue, openSender, receive, send, sendAll, take } from './amqp.mjs';
import { assert, check, fresh, host, Inbox, port, rest, within } from './lib.mjs';

const openAmqp = (later) => connect({ port: port.amqp }, later);

async function openMqtt(later) {
  const client = await mqtt.connectAsync(`mqtt://${host}:${port.mqtt}`, { protocolVersion: 5 }, false);
  later(() => client.endAsync(true));
  client.inbox = new Inbox();
  client.on('message', (topic, body, { properties }) => client.inbox.push({ body, properties }));
  return client;
}

async function openStomp(later) {
  const client = new Client({ webSocketFactory: () => new TCPWrapper(host, Number(port.stomp)), reconnectDelay: 0 });
  const connected = new Promise((resolve) => { client.onConnect = resolve; });
  client.activate();
  later(() => client.deactivate());
  await within(10_000, 'CONNECTED', connected);
  client.inbox = new Inbox();
  client.listen = (destination) => {
    const subscribed = new Promise((resolve) => client.watchForReceipt('listening', resolve));
    client.subscribe(destination, (message) => client.inbox.push(message), { receipt: 'listening' });
    return within(10_000, 'receipt', subscribed);
  };
  return client;
}

const value = { a: [1, true, null], b: 'grüße' };
const bodies = [
  ['a string', 'grüße', 'grüße'],
  ['an empty string', '', ''],
  ['a map', value, value],
  ['a list', [1, 'two', [3]], [1, 'two', [3]]],
  ['a number', 7, 7],
  ['data in two sections', rhea.message.data_sections([Buffer.from('one '), Buffer.from('two')]), 'one two'],
  ['a sequence', rhea.message.sequence_section([1, 'two']), [1, 'two']],
];

/** The text must be the wanted one, or JSON of what is wanted. */
function same(text, contentType, wanted) {
  if (typeof wanted === 'string') return assert.equal(text, wanted);
  assert.equal(contentType, 'application/json');
  return assert.deepEqual(JSON.parse(text), wanted);
}

for (const [name, body, wanted] of bodies) {
  await check(`${name} of AMQP is read by MQTT, STOMP and REST`, async (later) => {
    const [a, queue] = [fresh('convert'), fresh('convert')];
    const [subscriber, stomp, amqp] = [await openMqtt(later), await openStomp(later), await openAmqp(later)];
    await subscriber.subscribeAsync(`${a}/v1`, { qos: 1 });
    await stomp.listen(`/topic/${a}.v1`);
    await sendAll(amqp, { address: `${a}.v1`, capabilities: ['topic'] }, [{ body }]);
    const seen = await subscriber.inbox.next();
    same(seen.body.toString(), seen.properties?.contentType, wanted);
    const message = await stomp.inbox.next();
    same(message.body, message.headers['content-type'], wanted);
    await sendAll(amqp, queue, [{ body }]);
    const { status, headers, text } = await rest('POST', `/v1/queues/${queue}/receive?wait=10s&ack=auto`);
    assert.equal(status, 200, text);
    same(text, headers.get('content-type'), wanted);
  });
}

await check('words of AMQP are in the words of STOMP and MQTT 5', async (later) => {
  const [a, amqp] = [fresh('convert'), await openAmqp(later)];
  const [subscriber, stomp] = [await openMqtt(later), await openStomp(later)];
  await subscriber.subscribeAsync(`${a}/v1`, { qos: 1 });
  await stomp.listen(`/topic/${a}.v1`);
  await sendAll(amqp, { address: `${a}.v1`, capabilities: ['topic'] }, [{
    correlation_id: 'c-1', subject: 'order', content_type: 'text/plain', body: 'x',
    application_properties: { colour: 'red', n: 5 },
  }]);
  const { properties } = await subscriber.inbox.next();
  assert.equal(properties.contentType, 'text/plain');
  assert.equal(properties.correlationData.toString(), 'c-1');
  assert.deepEqual([properties.userProperties.colour, properties.userProperties.n], ['red', '5']);
  const { headers } = await stomp.inbox.next();
  assert.deepEqual([headers['content-type'], headers['correlation-id'], headers.type], ['text/plain', 'c-1', 'order']);
  assert.deepEqual([headers.colour, headers.n], ['red', '5']);
});

await check('STOMP answers a question of AMQP', async (later) => {
  const [queue, asker, stomp] = [freshQueue('convert'), await openAmqp(later), await openStomp(later)];
  const answers = await receive(asker, { dynamic: true });
  await sendAll(asker, queue, [{ body: 'ping', reply_to: answers.source.address, correlation_id: 'c-1' }]);
  await stomp.listen(`/queue/${queue}`);
  const { body, headers } = await stomp.inbox.next();
  assert.equal(body, 'ping');
  const correlation = { 'correlation-id': headers['correlation-id'], 'content-type': 'text/plain' };
  stomp.publish({ destination: headers['reply-to'], body: 'pong', headers: correlation });
  const [answer] = await take(answers, 1);
  assert.equal(answer.correlation_id, 'c-1');
  assert.equal(answer.body.content?.toString() ?? answer.body, 'pong');
});

await check('MQTT 5 answers a question of AMQP', async (later) => {
  const [queue, asker, server] = [freshQueue('convert'), await openAmqp(later), await openMqtt(later)];
  const answers = await receive(asker, { dynamic: true });
  await sendAll(asker, queue, [{ body: 'ping', reply_to: answers.source.address, correlation_id: 'c-1' }]);
  await server.subscribeAsync(`$queue/${queue}`, { qos: 1 });
  const { properties: { responseTopic, correlationData } } = await server.inbox.next();
  await server.publishAsync(responseTopic, 'pong', { qos: 1, properties: { correlationData } });
  const [answer] = await take(answers, 1);
  assert.equal(answer.correlation_id?.toString(), 'c-1');
  assert.equal(answer.body.content?.toString() ?? answer.body, 'pong');
});

await check('AMQP answers questions of MQTT 5 and STOMP', async (later) => {
  const [queue, server] = [freshQueue('convert'), await openAmqp(later)];
  const [asker, stomp, topic] = [await openMqtt(later), await openStomp(later), fresh('answers')];
  await asker.subscribeAsync(`${topic}/v1`, { qos: 1 });
  const requests = await receive(server, queue);
  const relay = await openSender(server, {});
  stomp.onUnhandledMessage = (message) => stomp.inbox.push(message); // of its implied subscription
  const correlationData = Buffer.from([0, 255, 7]);
  // An MQTT publish goes to a queue that is there.
  await asker.publishAsync(queue, 'ping', {
    qos: 1, properties: { responseTopic: `${topic}/v1`, correlationData },
  });
  stomp.publish({
    destination: `/queue/${queue}`, body: 'ping', headers: { 'reply-to': '/temp-queue/answers', 'correlation-id': 'c-2' },
  });
  for (const request of await take(requests, 2)) {
    // The client would send bytes as a UUID.
    const id = request.correlation_id;
    const correlation_id = Buffer.isBuffer(id) ? rhea.types.wrap_binary(id) : id;
    assert.equal(await send(relay, { to: request.reply_to, correlation_id, body: 'pong' }), 'accepted');
  }
  const { body, properties } = await asker.inbox.next();
  assert.equal(body.toString(), 'pong');
  assert.deepEqual(Buffer.from(properties.correlationData), correlationData);
  const answer = await stomp.inbox.next();
  assert.deepEqual([answer.body, answer.headers['correlation-id']], ['pong', 'c-2']);
});
process.exit(0);
