// What the drivers that use rhea share: connections, links whose deliveries queue up, outcomes.
import rhea from 'rhea';
import { fresh, host, Inbox, within } from './lib.mjs';

/** How another broker wants a queue to be named: AMQP_QUEUE='/queue/{}'. */
export const queueNamed = (name) => (process.env.AMQP_QUEUE ?? '{}').replace('{}', name);
export const freshQueue = (stem) => queueNamed(fresh(stem));

/** Options of a connection over WebSocket with the subprotocol `amqp`. */
export const overWebSocket = (Implementation, url) => ({
  connection_details: rhea.websocket_connect(Implementation)(url, ['amqp'], {}),
});

const reason = ({ condition, description } = {}) => `${condition}: ${description}`;

/** Resolves with the context of `event`; fails if the link or the connection ends before. */
export function told(emitter, event) {
  const arrived = new Promise((resolve, reject) => {
    emitter.once(event, resolve);
    for (const end of ['sender_error', 'receiver_error', 'session_error', 'connection_error']) {
      if (end === event) continue;
      emitter.once(end, ({ sender, receiver, session, connection }) =>
        reject(new Error(reason((sender ?? receiver ?? session ?? connection).error))));
    }
  });
  return within(10_000, event, arrived);
}

export async function connect(options, later) {
  const connection = rhea.create_container().create_connection({
    host, reconnect: false, container_id: fresh('rhea'), ...options,
  });
  connection.lost = new Promise((resolve) => connection.on('disconnected', resolve));
  const opened = told(connection, 'connection_open');
  connection.connect();
  later(() => {
    const closed = new Promise((resolve) => connection.once('connection_close', resolve));
    connection.close();
    return Promise.race([closed, connection.lost]);
  });
  await opened;
  return connection;
}

/** A link that delivers into its `inbox`: contexts with message and delivery, nothing settled. */
export async function receive(session, source, { inbox = new Inbox(), ...options } = {}) {
  const receiver = session.open_receiver({
    name: fresh('receiver'), source, autoaccept: false, credit_window: 100, ...options,
  });
  receiver.inbox = inbox;
  receiver.on('message', (context) => inbox.push(context));
  await told(receiver, 'receiver_open');
  return receiver;
}

export async function openSender(session, target, options = {}) {
  const sender = session.open_sender({ name: fresh('sender'), target, ...options });
  sender.waiting = new Map(); // delivery => resolve
  sender.on('settled', ({ delivery }) => sender.waiting.get(delivery)?.());
  await told(sender, 'sendable');
  return sender;
}

/** Sends a message; resolves with the name of its outcome. */
export async function send(sender, message) {
  if (!sender.sendable()) await told(sender, 'sendable');
  const delivery = sender.send(message);
  await within(10_000, 'outcome', new Promise((resolve) => sender.waiting.set(delivery, resolve)));
  sender.waiting.delete(delivery);
  return delivery.remote_state.constructor.composite_type;
}

/** Sends messages over a link of their own; fails unless all are accepted. */
export async function sendAll(session, target, messages) {
  const sender = await openSender(session, target);
  const outcomes = await Promise.all(messages.map((message) => send(sender, message)));
  const refused = outcomes.find((outcome) => outcome !== 'accepted');
  if (refused) throw new Error(`a message was ${refused}`);
  sender.close();
}

/** Takes and accepts `count` messages. */
export async function take(receiver, count) {
  const contexts = await receiver.inbox.take(count);
  for (const { delivery } of contexts) delivery.accept();
  return contexts.map(({ message }) => message);
}
