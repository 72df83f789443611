// MQTT.js: MQTT 3.1.1 and 5.0 over TCP and WebSocket, on every port that offers them.
import mqtt from 'mqtt';
import { assert, check, fresh, host, Inbox, port, served } from './lib.mjs';

const endpoints = [
  ['TCP', port.mqtt, `mqtt://${host}:${port.mqtt}`],
  ['TCP on the port of all protocols', port.auto, `mqtt://${host}:${port.auto}`],
  ['WebSocket /mqtt', port.http, `ws://${host}:${port.http}/mqtt`],
  ['WebSocket port', port.websocket, `ws://${host}:${port.websocket}/mqtt`],
  ['WebSocket on the port of all protocols', port.auto, `ws://${host}:${port.auto}/mqtt`],
].filter(([, number]) => number);
const levels = served('qos2') ? [0, 1, 2] : [0, 1];
const versions = served('mqtt5') ? [[4, '3.1.1'], [5, '5.0']] : [[4, '3.1.1']];

async function connect(url, version, later, options = {}) {
  const client = await mqtt.connectAsync(url, {
    protocolVersion: version,
    connectTimeout: 5_000,
    reconnectPeriod: 100,
    ...options,
  }, false);
  later(() => client.endAsync(true));
  client.inbox = new Inbox();
  client.on('message', (topic, body, packet) => client.inbox.push({
    topic, body, qos: packet.qos, retain: packet.retain, properties: packet.properties,
  }));
  return client;
}

async function deliversEachQos(url, version, later) {
  const topic = `${fresh('mqttjs')}/qos`;
  const subscriber = await connect(url, version, later);
  const publisher = await connect(url, version, later);
  await subscriber.subscribeAsync(`${topic}/+`, { qos: levels.at(-1) });
  for (const qos of levels) {
    await publisher.publishAsync(`${topic}/${qos}`, `body ${qos}`, { qos });
    const message = await subscriber.inbox.next();
    assert.equal(message.topic, `${topic}/${qos}`);
    assert.equal(message.body.toString(), `body ${qos}`);
    assert.equal(message.qos, qos);
    assert.equal(message.retain, false);
  }
}

async function keepsRetainedValue(url, version, later) {
  const topic = fresh('mqttjs-retained');
  const client = await connect(url, version, later);
  await client.publishAsync(topic, 'kept', { qos: 1, retain: true });
  await client.subscribeAsync(topic, { qos: 1 });
  const message = await client.inbox.next();
  assert.equal(message.body.toString(), 'kept');
  assert.equal(message.retain, true);
  await client.publishAsync(topic, '', { qos: 1, retain: true });
}

async function keepsBytesAndOrder(url, version, later) {
  const topic = fresh('mqttjs-order');
  const client = await connect(url, version, later);
  await client.subscribeAsync(topic, { qos: 1 });
  const bodies = Array.from({ length: 500 }, (_, i) => Buffer.from([i & 255, i >> 8, 0, 255]));
  await Promise.all(bodies.map((body) => client.publishAsync(topic, body, { qos: 1 })));
  const seen = await client.inbox.take(bodies.length);
  assert.deepEqual(seen.map((message) => message.body), bodies);
}

async function carriesLargeBody(url, version, later) {
  const topic = fresh('mqttjs-large');
  const client = await connect(url, version, later);
  await client.subscribeAsync(topic, { qos: 1 });
  const body = Buffer.alloc(1 << 20, 'TernMQ');
  await client.publishAsync(topic, body, { qos: 1 });
  assert.ok(body.equals((await client.inbox.next()).body));
}

/** The connection is cut; what was published meanwhile comes after the client is back. */
async function resumesSession(url, version, later) {
  const topic = fresh('mqttjs-resume');
  const publisher = await connect(url, version, later);
  const subscriber = await connect(url, version, later, {
    clean: false,
    clientId: fresh('resuming'),
    reconnectPeriod: 1_000,
    properties: version === 5 ? { sessionExpiryInterval: 3600 } : undefined,
  });
  await subscriber.subscribeAsync(topic, { qos: 1 });
  const back = new Promise((resolve) => subscriber.once('connect', resolve));
  const gone = new Promise((resolve) => subscriber.once('close', resolve));
  subscriber.stream.destroy();
  await gone;
  for (const body of ['1', '2', '3']) await publisher.publishAsync(topic, body, { qos: 1 });
  const connack = await back;
  assert.equal(connack.sessionPresent, true);
  const seen = await subscriber.inbox.take(3);
  assert.deepEqual(seen.map((message) => message.body.toString()), ['1', '2', '3']);
}

async function resubscribesCleanSession(url, version, later) {
  const topic = fresh('mqttjs-again');
  const client = await connect(url, version, later);
  await client.subscribeAsync(topic, { qos: 1 });
  const back = new Promise((resolve) => client.once('connect', resolve));
  client.stream.destroy();
  const connack = await back;
  assert.equal(connack.sessionPresent, false);
  await client.publishAsync(topic, 'after', { qos: 1 });
  assert.equal((await client.inbox.next()).body.toString(), 'after');
}

async function passesProperties(url, version, later) {
  const topic = fresh('mqttjs-properties');
  const client = await connect(url, version, later);
  await client.subscribeAsync(topic, { qos: 1, properties: { subscriptionIdentifier: 7 } });
  await client.publishAsync(topic, '{}', {
    qos: 1,
    properties: {
      contentType: 'application/json',
      responseTopic: 'answers',
      correlationData: Buffer.from([1, 0, 2]),
      userProperties: { colour: ['red', 'blue'] },
    },
  });
  const { properties } = await client.inbox.next();
  assert.equal(properties.contentType, 'application/json');
  assert.equal(properties.responseTopic, 'answers');
  assert.deepEqual(properties.correlationData, Buffer.from([1, 0, 2]));
  assert.deepEqual({ ...properties.userProperties }, { colour: ['red', 'blue'] });
  assert.equal(properties.subscriptionIdentifier, 7);
}

for (const [name, , url] of endpoints) {
  for (const [version, label] of versions) {
    const run = (title, body) => check(`${name}, ${label}: ${title}`, (later) => body(url, version, later));
    await run(`QoS ${levels.join(', ')} are delivered`, deliversEachQos);
    await run('a retained value is kept', keepsRetainedValue);
    await run('bytes and order are kept', keepsBytesAndOrder);
    await run('a body of 1 MiB arrives whole', carriesLargeBody);
    await run('a session of clean:false resumes after a cut', resumesSession);
    await run('a clean session is subscribed again after a cut', resubscribesCleanSession);
  }
  if (served('mqtt5')) {
    await check(`${name}, 5.0: properties pass through`, (later) => passesProperties(url, 5, later));
  }
}
process.exit(0);
