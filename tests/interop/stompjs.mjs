// @stomp/stompjs: STOMP 1.2 over WebSocket, on every path and port that offers it, and over TCP.
import { Client } from '@stomp/stompjs';
import { TCPWrapper } from '@stomp/tcp-wrapper';
import WebSocket from 'ws';
import { assert, check, fresh, host, Inbox, port, within } from './lib.mjs';

const webSocket = (url, protocols = ['v12.stomp', 'v11.stomp', 'v10.stomp']) =>
  () => new WebSocket(url, protocols);

const transports = [
  ['TCP', port.stomp, () => new TCPWrapper(host, Number(port.stomp))],
  ['WebSocket /stomp', port.http, webSocket(`ws://${host}:${port.http}/stomp`)],
  ['WebSocket /ws', port.http, webSocket(`ws://${host}:${port.http}/ws`)],
  ['WebSocket /stomp without subprotocol', port.http, webSocket(`ws://${host}:${port.http}/stomp`, [])],
  ['WebSocket port', port.websocket, webSocket(`ws://${host}:${port.websocket}/`)],
  ['WebSocket on the port of all protocols', port.auto, webSocket(`ws://${host}:${port.auto}/stomp`)],
].filter(([, number]) => number);

async function connect(open, later, options = {}) {
  const client = new Client({
    webSocketFactory: open,
    connectHeaders: { login: 'user', passcode: 'password', host: 'localhost' },
    reconnectDelay: 0,
    ...options,
  });
  const connected = new Promise((resolve, reject) => {
    client.onConnect = resolve;
    client.onStompError = (frame) => reject(new Error(`ERROR ${frame.headers.message}`));
    client.onWebSocketError = (event) => reject(new Error(`socket: ${event.message ?? event.type}`));
  });
  client.activate();
  later(() => client.deactivate());
  await within(10_000, 'CONNECTED', connected);
  return client;
}

let receipts = 0;

/** Sends something with a receipt and waits for it. */
function confirmed(client, what, send) {
  const receipt = `r-${receipts += 1}`;
  const arrived = new Promise((resolve) => client.watchForReceipt(receipt, resolve));
  send({ receipt });
  return within(10_000, `receipt of ${what}`, arrived);
}

async function subscribe(client, destination, ack = 'auto') {
  const inbox = new Inbox();
  await confirmed(client, 'SUBSCRIBE', (receipt) =>
    client.subscribe(destination, (message) => inbox.push(message), { ack, ...receipt }));
  return inbox;
}

const publish = (client, destination, content, headers = {}) =>
  confirmed(client, 'SEND', (receipt) =>
    client.publish({ destination, ...content, headers: { ...headers, ...receipt } }));

async function deliversFromQueue(open, later) {
  const destination = `/queue/${fresh('stompjs')}`;
  const client = await connect(open, later);
  assert.equal(client.connectedVersion, '1.2');
  const inbox = await subscribe(client, destination);
  await publish(client, destination, { body: 'grüße' }, { colour: 'a:b', 'content-type': 'text/plain' });
  const message = await inbox.next();
  assert.equal(message.body, 'grüße');
  assert.equal(message.headers.colour, 'a:b');
  assert.equal(message.headers.destination, destination);
  assert.equal(message.headers['content-type'], 'text/plain');
}

async function reachesTopicSubscribers(open, later) {
  const destination = `/topic/${fresh('stompjs')}.news`;
  const clients = [await connect(open, later), await connect(open, later)];
  const inboxes = await Promise.all(clients.map((client) => subscribe(client, destination)));
  await publish(clients[0], destination, { body: 'to all' });
  for (const inbox of inboxes) assert.equal((await inbox.next()).body, 'to all');
}

async function settles(open, later) {
  const destination = `/queue/${fresh('stompjs')}`;
  const client = await connect(open, later);
  for (const body of ['kept', 'refused']) await publish(client, destination, { body });
  const inbox = await subscribe(client, destination, 'client-individual');
  const [kept, refused] = await inbox.take(2);
  await confirmed(client, 'ACK', (receipt) => kept.ack(receipt));
  await confirmed(client, 'NACK', (receipt) => refused.nack(receipt));
  const again = await inbox.next();
  assert.equal(again.body, 'refused');
  assert.equal(again.headers.redelivered, 'true');
  await confirmed(client, 'ACK', (receipt) => again.ack(receipt));
  await inbox.none();
}

async function keepsBinaryBodies(open, later) {
  const destination = `/queue/${fresh('stompjs')}`;
  const client = await connect(open, later);
  const inbox = await subscribe(client, destination);
  const binaryBody = Uint8Array.from({ length: 256 }, (_, i) => i);
  await publish(client, destination, { binaryBody }, { 'content-type': 'application/octet-stream' });
  assert.deepEqual(Buffer.from((await inbox.next()).binaryBody), Buffer.from(binaryBody));
}

async function carriesLargeFrames(open, later) {
  const destination = `/queue/${fresh('stompjs')}`;
  const client = await connect(open, later, { splitLargeFrames: true });
  const inbox = await subscribe(client, destination);
  const body = 'TernMQ '.repeat(150_000);
  await publish(client, destination, { body });
  assert.ok((await inbox.next()).body === body, 'the body of 1 MiB came back changed');
}

async function beats(open, later) {
  const client = await connect(open, later, { heartbeatIncoming: 500, heartbeatOutgoing: 500 });
  const closed = new Promise((resolve) => { client.onWebSocketClose = resolve; });
  const lost = await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 2_500, null))]);
  assert.equal(lost, null, 'the connection was lost');
  await publish(client, `/topic/${fresh('stompjs')}`, { body: 'alive' });
}

async function leavesWithReceipt(open, later) {
  const client = await connect(open, later);
  const left = new Promise((resolve) => { client.onDisconnect = resolve; });
  await client.deactivate();
  await within(10_000, 'receipt of DISCONNECT', left);
}

async function errorCloses(open, later) {
  const client = await connect(open, later);
  const error = new Promise((resolve) => { client.onStompError = resolve; });
  const closed = new Promise((resolve) => { client.onWebSocketClose = resolve; });
  client.ack('never-delivered', 'no-subscription', { receipt: 'lost' });
  const frame = await within(10_000, 'ERROR', error);
  assert.equal(frame.headers['receipt-id'], 'lost');
  await within(10_000, 'close after ERROR', closed);
}

for (const [name, , open] of transports) {
  const run = (title, body) => check(`${name}: ${title}`, (later) => body(open, later));
  await run('a queue delivers body and headers', deliversFromQueue);
  await run('a topic reaches every subscriber', reachesTopicSubscribers);
  await run('ACK settles, NACK means redelivery', settles);
  await run('a binary body comes back unchanged', keepsBinaryBodies);
  await run('a frame in many pieces arrives whole', carriesLargeFrames);
  await run('heart-beats keep an idle connection', beats);
  await run('DISCONNECT is answered', leavesWithReceipt);
  await run('ERROR names the receipt and closes', errorCloses);
}
process.exit(0);
