// rhea: AMQP 1.0 over TCP with and without SASL, and over WebSocket, on every port that offers it.
import rhea from 'rhea';
import WebSocket from 'ws';
import { connect, freshQueue, openSender, overWebSocket, receive, send, sendAll, take, told } from './amqp.mjs';
import { assert, check, fresh, host, port } from './lib.mjs';

const webSocket = (number, path) => overWebSocket(WebSocket, `ws://${host}:${number}${path}`);
const endpoints = [
  ['TCP without SASL', port.amqp, { port: port.amqp }],
  ['TCP with ANONYMOUS', port.amqp, { port: port.amqp, username: 'anonymous' }],
  ['TCP with PLAIN', port.amqp, { port: port.amqp, username: 'ann', password: 's3cret' }],
  ['TCP on the port of all protocols', port.auto, { port: port.auto }],
  ['WebSocket /amqp', port.http, webSocket(port.http, '/amqp')],
  ['WebSocket /ws', port.http, webSocket(port.http, '/ws')],
  ['WebSocket port', port.websocket, webSocket(port.websocket, '/')],
  ['WebSocket on the port of all protocols', port.auto, webSocket(port.auto, '/amqp')],
].filter(([, number]) => number);

const topic = (address) => ({ address, capabilities: ['topic'] });

async function keepsOrderAndProperties(connection) {
  const queue = freshQueue('rhea');
  await sendAll(connection, queue, Array.from({ length: 100 }, (_, i) => ({
    message_id: `m-${i}`, correlation_id: i, subject: 's', content_type: 'text/plain', durable: true,
    application_properties: { n: i, text: 'grüße', yes: true }, body: `body ${i}`,
  })));
  const receiver = await receive(connection, queue);
  for (const [i, message] of (await take(receiver, 100)).entries()) {
    assert.equal(message.body, `body ${i}`);
    assert.deepEqual([message.message_id, message.correlation_id, message.subject], [`m-${i}`, i, 's']);
    assert.deepEqual([message.content_type, message.durable], ['text/plain', true]);
    assert.deepEqual(message.application_properties, { n: i, text: 'grüße', yes: true });
  }
  await receiver.inbox.none(50);
}

async function reachesTopicSubscribers(connection) {
  const address = fresh('rhea-topic');
  const receivers = [await receive(connection, topic(address)), await receive(connection, topic(address))];
  await sendAll(connection, topic(address), [{ body: 'to all' }]);
  for (const receiver of receivers) assert.equal((await take(receiver, 1))[0].body, 'to all');
}

async function settlesByOutcome(connection) {
  const queue = freshQueue('rhea-outcomes');
  await sendAll(connection, queue, [{ body: 'x' }]);
  const receiver = await receive(connection, queue);
  const counts = [];
  const outcomes = [
    (delivery) => delivery.release(),
    (delivery) => delivery.modified({ delivery_failed: true }),
    (delivery) => delivery.reject({ condition: 'interop:no', description: 'not wanted' }),
  ];
  for (const settle of outcomes) {
    const { message, delivery } = await receiver.inbox.next();
    counts.push(message.delivery_count ?? 0);
    settle(delivery);
  }
  assert.deepEqual(counts, [0, 0, 1]);
  await receiver.inbox.none();
}

async function settlesSecond(connection) {
  const queue = freshQueue('rhea-second');
  await sendAll(connection, queue, [{ body: 'x' }]);
  const receiver = await receive(connection, queue, { rcv_settle_mode: 1 });
  const { delivery } = await receiver.inbox.next();
  if (receiver.remote.attach.rcv_settle_mode === 1) {
    const settled = told(receiver, 'settled');
    delivery.accept();
    assert.equal((await settled).delivery, delivery);
  } else {
    delivery.update(true, rhea.message.accepted().described());
  }
  receiver.close();
  await (await receive(connection, queue)).inbox.none();
}

async function answersOverDynamicNode(connection, open) {
  const queue = freshQueue('rhea-requests');
  const onClose = rhea.types.wrap_described([], 0x2b);
  const answers = await receive(connection, {
    dynamic: true, dynamic_node_properties: { 'lifetime-policy': onClose },
  });
  assert.ok(answers.source.address, 'the dynamic node has no address');
  await sendAll(connection, queue, [{ body: 'ping', reply_to: answers.source.address, correlation_id: 'c-1' }]);
  const server = await open();
  const [request] = await take(await receive(server, queue), 1);
  const relay = await openSender(server, {});
  const reply = { to: request.reply_to, correlation_id: request.correlation_id, body: 'pong' };
  assert.equal(await send(relay, reply), 'accepted');
  const [answer] = await take(answers, 1);
  assert.deepEqual([answer.body, answer.correlation_id], ['pong', 'c-1']);
}

async function drains(connection) {
  const queue = freshQueue('rhea-drain');
  await sendAll(connection, queue, [{ body: 1 }, { body: 2 }]);
  const receiver = await receive(connection, queue, { credit_window: 0 });
  const drained = told(receiver, 'receiver_drained');
  receiver.drain = true;
  receiver.add_credit(10);
  await drained;
  assert.deepEqual((await take(receiver, 2)).map(({ body }) => body), [1, 2]);
  assert.equal(receiver.credit, 0);
}

async function servesManySessions(connection) {
  const queue = freshQueue('rhea-sessions');
  const sessions = Array.from({ length: 8 }, () => connection.create_session());
  for (const session of sessions) session.begin();
  await Promise.all(sessions.map((session, i) => sendAll(session, queue, [{ body: i }])));
  const receiver = await receive(sessions.at(-1), queue);
  const bodies = (await take(receiver, 8)).map(({ body }) => body);
  assert.deepEqual(bodies.sort(), [0, 1, 2, 3, 4, 5, 6, 7]);
}

async function refusesOneLink(connection) {
  const queue = freshQueue('rhea-good');
  const good = await receive(connection, queue);
  const refused = connection.open_receiver({ source: 'closed.nothing', autoaccept: false });
  await told(refused, 'receiver_error');
  assert.equal(refused.error.condition, 'amqp:not-found');
  await sendAll(connection, queue, [{ body: 'still here' }]);
  assert.equal((await take(good, 1))[0].body, 'still here');
}

async function carriesSmallFrames(_, open) {
  const queue = freshQueue('rhea-frames');
  const connection = await open({ max_frame_size: 4096 });
  const body = rhea.message.data_section(Buffer.alloc(1 << 20, 'TernMQ '));
  await sendAll(connection, queue, [{ body }, { body: 'after' }]);
  const receiver = await receive(connection, queue);
  const [large, after] = await take(receiver, 2);
  assert.ok(large.body.content.equals(body.content), 'the body of 1 MiB came back changed');
  assert.equal(after.body, 'after');
}

async function beats(_, open) {
  const connection = await open({ idle_time_out: 400 });
  const quiet = new Promise((resolve) => setTimeout(resolve, 1_300, 'quiet'));
  assert.equal(await Promise.race([connection.lost, quiet]), 'quiet', 'the connection was lost');
  await sendAll(connection, freshQueue('rhea-idle'), [{ body: 'alive' }]);
}

for (const [name, , options] of endpoints) {
  const run = (title, body) => check(`${name}: ${title}`, async (later) => {
    const open = (more) => connect({ ...options, ...more }, later);
    await body(await open(), open);
  });
  await run('a queue keeps order and properties', keepsOrderAndProperties);
  await run('a topic reaches every subscriber', reachesTopicSubscribers);
  await run('released, modified and rejected', settlesByOutcome);
  await run('a receiver that settles second', settlesSecond);
  await run('a dynamic node gets the answer', answersOverDynamicNode);
  await run('drain gives credit back', drains);
  await run('eight sessions of one connection', servesManySessions);
  await run('a refused link leaves the others', refusesOneLink);
  await run('1 MiB in frames of 4 KiB', carriesSmallFrames);
  await run('empty frames keep an idle connection', beats);
}
process.exit(0);
