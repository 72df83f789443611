// A message published by any protocol is received by each of the others.
import { Client } from '@stomp/stompjs';
import { TCPWrapper } from '@stomp/tcp-wrapper';
import { EventSource } from 'eventsource';
import mqtt from 'mqtt';
import WebSocket from 'ws';
import { connect, openSender, overWebSocket, queueNamed, receive, send } from './amqp.mjs';
import { assert, check, fresh, host, http, Inbox, port, rest, within } from './lib.mjs';

async function openMqtt(url, later) {
  const client = await mqtt.connectAsync(url, { protocolVersion: 4, connectTimeout: 5_000 }, false);
  later(() => client.endAsync(true));
  const inbox = new Inbox();
  client.on('message', (topic, body) => inbox.push(body.toString()));
  return {
    inbox,
    subscribe: (name) => client.subscribeAsync(name, { qos: 1 }),
    publish: (name, body) => client.publishAsync(name, body, { qos: 1 }),
  };
}

async function openStomp(webSocketFactory, later) {
  const client = new Client({ webSocketFactory, reconnectDelay: 0 });
  const connected = new Promise((resolve) => { client.onConnect = resolve; });
  client.activate();
  later(() => client.deactivate());
  await within(10_000, 'CONNECTED', connected);
  const inbox = new Inbox();
  let receipts = 0;
  const confirmed = (send) => {
    const receipt = `r-${receipts += 1}`;
    const arrived = new Promise((resolve) => client.watchForReceipt(receipt, resolve));
    send({ receipt });
    return within(10_000, 'receipt', arrived);
  };
  return {
    inbox,
    subscribe: (destination) => confirmed((headers) =>
      client.subscribe(destination, (message) => inbox.push(message.body), headers)),
    publish: (destination, body) => confirmed((headers) => client.publish({
      destination, body, headers: { ...headers, 'content-type': 'text/plain', persistent: 'true' },
    })),
  };
}

async function post(path, body) {
  const { status, text } = await rest('POST', `${path}/messages`, {
    body, headers: { 'Content-Type': 'text/plain' },
  });
  assert.equal(status, 201, text);
}

async function openEvents(later) {
  const inbox = new Inbox();
  return {
    inbox,
    subscribe: async (path) => {
      const source = new EventSource(`${http}${path}/events`);
      later(() => source.close());
      source.addEventListener('message', (event) => inbox.push(event.data));
      await within(10_000, 'open stream', new Promise((resolve) => { source.onopen = resolve; }));
    },
    publish: post,
  };
}

async function openAmqp(options, later) {
  const connection = await connect(options, later);
  const inbox = new Inbox();
  const text = ({ message: { body } }) => (typeof body === 'string' ? body : body.content.toString());
  const push = (context) => inbox.push(text(context));
  return {
    inbox,
    subscribe: (source) => receive(connection, source, { autoaccept: true, inbox: { push } }),
    publish: async (target, body) =>
      assert.equal(await send(await openSender(connection, target), { body, durable: true }), 'accepted'),
  };
}

/** How each client names the topic of segments `a`, `b` and the queue `q`. */
const mqttNames = { topic: (a, b) => `${a}/${b}`, queue: (q) => `$queue/${q}`, target: (q) => q };
const stompNames = {
  topic: (a, b) => `/topic/${a}.${b}`, queue: (q) => `/queue/${q}`, target: (q) => `/queue/${q}`,
};
const restNames = {
  topic: (a, b) => `/v1/topics/${a}.${b}`, queue: (q) => `/v1/queues/${q}`, target: (q) => `/v1/queues/${q}`,
};
const amqpNames = {
  topic: (a, b) => ({ address: `${a}.${b}`, capabilities: ['topic'] }), queue: queueNamed, target: queueNamed,
};

const stompSocket = () => new WebSocket(`ws://${host}:${port.http}/stomp`, ['v12.stomp']);
const amqpSocket = overWebSocket(WebSocket, `ws://${host}:${port.http}/amqp`);
const clients = [
  ['MQTT', mqttNames, (later) => openMqtt(`mqtt://${host}:${port.mqtt}`, later)],
  ['STOMP', stompNames, (later) => openStomp(() => new TCPWrapper(host, Number(port.stomp)), later)],
  ['REST', restNames, openEvents],
  ['AMQP', amqpNames, (later) => openAmqp({ port: port.amqp }, later)],
  ['MQTT over WebSocket', mqttNames, (later) => openMqtt(`ws://${host}:${port.http}/mqtt`, later)],
  ['STOMP over WebSocket', stompNames, (later) => openStomp(stompSocket, later)],
  ['AMQP over WebSocket', amqpNames, (later) => openAmqp(amqpSocket, later)],
];

for (const [from, fromNames, openFrom] of clients) {
  for (const [to, toNames, openTo] of clients) {
    await check(`topic, ${from} to ${to}`, async (later) => {
      const [a, b] = [fresh('cross'), 'v1'];
      const receiver = await openTo(later);
      await receiver.subscribe(toNames.topic(a, b));
      const sender = await openFrom(later);
      await sender.publish(fromNames.topic(a, b), `from ${from}: grüße`);
      assert.equal(await receiver.inbox.next(), `from ${from}: grüße`);
      await receiver.inbox.none(50);
    });
    await check(`queue, ${from} to ${to}`, async (later) => {
      const queue = fresh('cross-queue');
      await post(`/v1/queues/${queue}`, 'first');
      const sender = await openFrom(later);
      await sender.publish(fromNames.target(queue), `from ${from}`);
      const receiver = await openTo(later);
      await receiver.subscribe(toNames.queue(queue));
      assert.deepEqual(await receiver.inbox.take(2), ['first', `from ${from}`]);
      await receiver.inbox.none(50);
    });
  }
}
process.exit(0);
