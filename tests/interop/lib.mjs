// What the Node drivers share: endpoints, cases, waiting.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { basename } from 'node:path';

export { assert };

export const host = process.env.HOST ?? '127.0.0.1';
export const port = {
  mqtt: process.env.MQTT_PORT,
  stomp: process.env.STOMP_PORT,
  http: process.env.HTTP_PORT,
  websocket: process.env.WEBSOCKET_PORT,
  auto: process.env.AUTO_PORT,
  amqp: process.env.AMQP_PORT,
};
export const http = `http://${host}:${port.http}`;

/** Whether the broker under test is expected to have a feature, see `run`. */
export const served = (feature) => !(process.env.NOT_YET ?? '').split(' ').includes(feature);

const driver = basename(process.argv[1], '.mjs');

/** A name that no other case uses: one segment of an address. */
export const fresh = (stem) => `${stem}-${randomUUID().slice(0, 8)}`;

/** Resolves as `promise` does, or fails after `ms` milliseconds. */
export function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A queue of what came in; `next` waits for one, `none` proves that nothing comes. */
export class Inbox {
  #items = [];
  #waiting = [];

  push(item) {
    const waiter = this.#waiting.shift();
    if (waiter) waiter(item);
    else this.#items.push(item);
  }

  next(what = 'message') {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift());
    return within(10_000, what, new Promise((resolve) => this.#waiting.push(resolve)));
  }

  async take(n) {
    const taken = [];
    while (taken.length < n) taken.push(await this.next(`message ${taken.length + 1} of ${n}`));
    return taken;
  }

  /** Fails if anything is here or comes within `ms` milliseconds. */
  async none(ms = 300) {
    await new Promise((resolve) => setTimeout(resolve, ms));
    assert.deepEqual(this.#items, []);
  }
}

/**
 * Runs one case and prints its line. `body` gets `later`, which keeps a function to run at the end,
 * whatever happened: closing what the case opened.
 */
export async function check(name, body) {
  const ends = [];
  try {
    await within(30_000, 'end of the case', body((end) => ends.push(end)));
    console.log(`ok ${driver}: ${name}`);
  } catch (error) {
    const reason = String(error?.message ?? error).replace(/\s+/g, ' ').slice(0, 300);
    console.log(`FAIL ${driver}: ${name}: ${reason}`);
  }
  for (const end of ends.reverse()) {
    await within(5_000, 'close', Promise.resolve(end())).catch(() => {});
  }
}

/** A REST call: status, headers, text. */
export async function rest(method, path, { body, headers } = {}) {
  const response = await fetch(http + path, {
    method,
    body,
    headers,
    signal: AbortSignal.timeout(20_000),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}
