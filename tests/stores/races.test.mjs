// Applications in several languages, each with its own store, that write to one session at the same time.
import assert from 'node:assert/strict';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { APP, Applications, SECRET } from './applications.mjs';

const ROUNDS = Number(process.env.CLOAKROOM_TEST_ROUNDS ?? 100);
const TIMEOUT_MS = 120_000;
const COUNTERS = 2;
// What makes the key of a session to the cookie of each application.
const COOKIES = {
  'express-session': (key) => `connect.sid=${encodeURIComponent(`s:${key}.${signature(key)}`)}`,
  PHP: (key) => `PHPSESSID=${key}`,
  scs: (key) => `session=${key}`,
  'Spring Session': (key) => `SESSION=${Buffer.from(key).toString('base64')}`,
};
// Rack's key is a hash of the id in its cookie, with colons in it. PHP takes no such id.
const RACK_ID = randomBytes(32).toString('hex');
const SESSIONS = {
  'express-session, PHP, scs and Spring Session': { key: randomBytes(24).toString('hex'), cookies: COOKIES },
  'express-session, scs, Spring Session and Rack': {
    key: `2::${createHash('sha256').update(RACK_ID).digest('hex')}`,
    cookies: {
      ...Object.fromEntries(Object.entries(COOKIES).filter(([name]) => name !== 'PHP')),
      Rack: () => `rack.session=${RACK_ID}`,
    },
  },
};

let applications;

before(async () => {
  applications = await Applications.start();
});

after(() => applications?.stop());

const signature = (key) => createHmac('sha256', SECRET).update(key).digest('base64').replace(/=+$/, '');

/** Calls the service by JSON for the session of a key. */
async function call(method, key, request = {}) {
  const response = await fetch(`http://${applications.service.address}/cloakroom.v1.SessionService/${method}`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, signal: AbortSignal.timeout(TIMEOUT_MS),
    body: JSON.stringify({ app: APP, key: Buffer.from(key).toString('base64'), ...request }),
  });
  assert.equal(response.status, 200, await response.clone().text());
  return response.json();
}

/** Lets an application set an entry that has its own name. */
async function set(name, cookie, value) {
  const query = new URLSearchParams({ name, value });
  const options = { headers: { cookie }, signal: AbortSignal.timeout(TIMEOUT_MS) };
  const response = await fetch(`${applications.urls[name]}/set?${query}`, options);
  assert.deepEqual([response.status, await response.text()], [200, 'set'], name);
}

for (const [names, { key, cookies }] of Object.entries(SESSIONS)) {
  test(`what ${names} and counters write to one session at once is all kept`, async () => {
    await call('SaveSession', key, { changes: { set: { begun: { json: '"elsewhere"' } } } });
    for (let round = 1; round <= ROUNDS; round++) {
      await Promise.all([
        ...Object.entries(cookies).map(([name, cookieOf]) => set(name, cookieOf(key), String(round))),
        ...Array.from({ length: COUNTERS }, () => call('SaveSession', key, { changes: { increment: { count: 1 } } })),
      ]);

      const { session: { entries } } = await call('OpenSession', key);
      const expected = Object.fromEntries(Object.keys(cookies).map((name) => [name, JSON.stringify(String(round))]));
      const kept = { ...expected, begun: '"elsewhere"', count: String(COUNTERS * round) };
      for (const [name, json] of Object.entries(kept)) assert.equal(entries[name]?.json, json, `${name} in round ${round}`);
    }
  });
}
