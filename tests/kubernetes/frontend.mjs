// Runs in a pod: browsers that open their sessions and save into them, again and again. Each second it prints, as JSON, what happened
// so far. A failed call is repeated, so that the same session is opened when the service is back.
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { setTimeout as delay } from 'node:timers/promises';

const { Client } = createRequire(import.meta.url)('./client/src/index.js');

const BROWSERS = 4;
// Between two requests of a browser.
const PAUSE_MS = 10;

const token = fs.readFileSync('/run/secrets/frontend/token', 'utf8').trim();
const client = new Client({ service: process.argv[2], credentials: { token } });
const seen = { requests: 0, failures: 0, lost: 0, lastFailure: '' };

// One request of a browser that has made `count` of them. Returns the cookie that it has afterwards.
async function request(cookie, count) {
  const { session } = await client.open({ cookieHeader: cookie });
  if (count > 0 && session.entries.get('count')?.json !== String(count)) seen.lost += 1;
  const changes = { set: new Map([['count', { json: String(count + 1) }]]) };
  const saved = await client.save({ token: session.token, changes, requestId: randomUUID() });
  return saved.session.token ? `session=${saved.session.token}` : cookie;
}

async function browse() {
  let cookie = '';
  for (let count = 0; ; await delay(PAUSE_MS)) {
    try {
      cookie = await request(cookie, count);
      count += 1;
      seen.requests += 1;
    } catch (error) {
      seen.failures += 1;
      seen.lastFailure = `${new Date().toISOString()} ${error.message}`;
    }
  }
}

for (let browser = 0; browser < BROWSERS; browser += 1) browse();
setInterval(() => console.log(JSON.stringify(seen)), 1000);
process.once('SIGTERM', () => process.exit());
