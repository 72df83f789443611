// The page of examples/web in headless Chromium: EventSource and WebSocket of a real browser, from an
// origin that the broker was told to allow.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';
import { assert, check, fresh, host, port, rest } from './lib.mjs';

const page = await readFile(process.env.WEB_PAGE);
const server = createServer((request, response) => {
  response.setHeader('Content-Type', 'text/html; charset=utf-8');
  response.end(page);
});
await new Promise((resolve) => { server.listen(Number(process.env.PAGE_PORT), host, resolve); });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--no-first-run'],
});

async function open(later) {
  const tab = await browser.newPage();
  later(() => tab.close());
  tab.setDefaultTimeout(10_000);
  await tab.goto(`http://${host}:${process.env.PAGE_PORT}/?broker=${host}:${port.http}`);
  return tab;
}

const connected = (tab, name) => tab.locator(`#${name}-state`, { hasText: /^connected$/ }).waitFor();
const shows = (tab, list, text) => tab.locator(`#${list} li`, { hasText: text }).waitFor();

await check('what the page publishes over MQTT comes back over MQTT', async (later) => {
  const tab = await open(later);
  await connected(tab, 'mqtt');
  const text = `${fresh('page')} grüße <b>`;
  await tab.fill('input[name=text]', text);
  await tab.click('button');
  await shows(tab, 'mqtt', text);
  assert.equal(await tab.inputValue('input[name=text]'), '');
});

await check('what the page publishes over MQTT comes as an event', async (later) => {
  const tab = await open(later);
  await connected(tab, 'mqtt');
  await connected(tab, 'events');
  const text = fresh('page');
  await tab.fill('input[name=text]', text);
  await tab.click('button');
  await shows(tab, 'events', text);
});

await check('what REST publishes comes on both sides', async (later) => {
  const tab = await open(later);
  await connected(tab, 'mqtt');
  await connected(tab, 'events');
  const body = fresh('rest');
  const { status } = await rest('POST', '/v1/topics/demo/messages', {
    body, headers: { 'Content-Type': 'text/plain' },
  });
  assert.equal(status, 201);
  await shows(tab, 'mqtt', body);
  await shows(tab, 'events', body);
});

if (process.env.SCREENSHOT) {
  await check('a screenshot is taken', async (later) => {
    const tab = await open(later);
    await connected(tab, 'mqtt');
    for (const text of ['first', 'second']) {
      await tab.fill('input[name=text]', text);
      await tab.click('button');
      await shows(tab, 'mqtt', text);
    }
    await tab.screenshot({ path: process.env.SCREENSHOT });
  });
}

await browser.close();
server.close();
process.exit(0);
