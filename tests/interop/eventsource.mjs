// The EventSource API (the npm package of that name): server-sent events from queues and topics.
import net from 'node:net';
import { EventSource } from 'eventsource';
import { assert, check, fresh, host, http, Inbox, port, rest, within } from './lib.mjs';

/** A stream with its events; resolves once it is open. */
async function stream(path, later, { base = http, lastEventId } = {}) {
  const source = new EventSource(base + path, {
    fetch: (url, init) => fetch(url, {
      ...init,
      headers: lastEventId ? { 'Last-Event-ID': lastEventId, ...init.headers } : init.headers,
    }),
  });
  later(() => source.close());
  source.inbox = new Inbox();
  source.addEventListener('message', (event) => source.inbox.push(event));
  await within(10_000, 'open stream', new Promise((resolve) => { source.onopen = resolve; }));
  return source;
}

async function publish(path, ...bodies) {
  for (const body of bodies) {
    const { status, text } = await rest('POST', `${path}/messages`, {
      body, headers: { 'Content-Type': 'text/plain' },
    });
    assert.equal(status, 201, text);
  }
}

const texts = (events) => events.map((event) => event.data);

/** A relay whose connections can be cut, so that the client has to come back by itself. */
async function relay(later) {
  const sockets = new Set();
  const server = net.createServer((client) => {
    const broker = net.connect(Number(port.http), host);
    for (const [from, to] of [[client, broker], [broker, client]]) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => { sockets.delete(from); to.destroy(); });
    }
  });
  await new Promise((resolve) => { server.listen(0, host, resolve); });
  const cut = () => { for (const socket of sockets) socket.destroy(); };
  later(() => { cut(); server.close(); });
  return { base: `http://${host}:${server.address().port}`, cut };
}

await check('a queue stream delivers in order, with cursors', async (later) => {
  const path = `/v1/queues/${fresh('events')}`;
  await publish(path, '1', '2', 'three\nlines\n');
  const source = await stream(`${path}/events`, later);
  const events = await source.inbox.take(3);
  assert.deepEqual(texts(events), ['1', '2', 'three\nlines\n']);
  assert.equal(new Set(events.map((event) => event.lastEventId)).size, 3);
});

await check('the stream has the headers of an event stream', async (later) => {
  const path = `/v1/queues/${fresh('events')}`;
  await publish(path, 'x');
  const abort = new AbortController();
  later(() => abort.abort());
  const response = await fetch(`${http}${path}/events`, { signal: abort.signal });
  assert.match(response.headers.get('content-type'), /^text\/event-stream/);
  assert.equal(response.headers.get('cache-control'), 'no-store');
  assert.equal(response.headers.get('x-accel-buffering'), 'no');
});

await check('a topic stream gets what is published after it opened', async (later) => {
  const path = `/v1/topics/${fresh('events')}`;
  const sources = [await stream(`${path}/events`, later), await stream(`${path}/events`, later)];
  await publish(path, 'a', 'b');
  for (const source of sources) assert.deepEqual(texts(await source.inbox.take(2)), ['a', 'b']);
});

await check('Last-Event-ID settles up to it and resumes behind it', async (later) => {
  const path = `/v1/queues/${fresh('events')}`;
  await publish(path, '1', '2', '3', '4');
  const first = await stream(`${path}/events`, later);
  const events = await first.inbox.take(4);
  first.close();
  const second = await stream(`${path}/events`, later, { lastEventId: events[1].lastEventId });
  assert.deepEqual(texts(await second.inbox.take(2)), ['3', '4']);
  await second.inbox.none();
});

await check('a posted cursor settles', async (later) => {
  const path = `/v1/queues/${fresh('events')}`;
  await publish(path, '1', '2', '3');
  const source = await stream(`${path}/events`, later);
  const events = await source.inbox.take(3);
  const { status, text } = await rest('POST', `${path}/events:ack`, {
    body: JSON.stringify({ upTo: events[1].lastEventId }),
    headers: { 'Content-Type': 'application/json' },
  });
  assert.ok(status === 200 || status === 204, `${status} ${text}`);
  source.close();
  const again = await stream(`${path}/events`, later, { lastEventId: events[1].lastEventId });
  assert.deepEqual(texts(await again.inbox.take(1)), ['3']);
});

await check('a cut queue stream comes back: no loss, no disorder', async (later) => {
  const path = `/v1/queues/${fresh('events')}`;
  const { base, cut } = await relay(later);
  await publish(path, '0', '1', '2');
  const source = await stream(`${path}/events`, later, { base });
  assert.deepEqual(texts(await source.inbox.take(3)), ['0', '1', '2']);
  cut();
  await publish(path, '3', '4');
  assert.deepEqual(texts(await source.inbox.take(2)), ['3', '4']);
});

await check('a cut topic stream gets what it missed', async (later) => {
  const path = `/v1/topics/${fresh('events')}`;
  const { base, cut } = await relay(later);
  const source = await stream(`${path}/events`, later, { base });
  await publish(path, 'before');
  assert.deepEqual(texts(await source.inbox.take(1)), ['before']);
  cut();
  await publish(path, 'while away');
  assert.deepEqual(texts(await source.inbox.take(1)), ['while away']);
});

await check('a wrong cursor is refused', async () => {
  const path = `/v1/queues/${fresh('events')}`;
  await publish(path, 'x');
  const { status, headers } = await rest('GET', `${path}/events`, {
    headers: { 'Last-Event-ID': 'no cursor' },
  });
  assert.ok(status === 400 || status === 410, `status ${status}`);
  assert.match(headers.get('content-type'), /^application\/problem\+json/);
});
process.exit(0);
