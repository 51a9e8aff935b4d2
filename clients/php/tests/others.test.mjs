// Two requests that change different members at the same time, on the handlers that PHP and phpredis have.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Process, freePort, isListening, waitUntil } from '../../../tests/web/processes.mjs';
import { Service } from '../../node/tests/service.mjs';
import { FpmServer } from './servers.mjs';

let redis;
let service;
const servers = [];

before(async () => {
  service = await Service.start({ more: '[apps.php]\nkind = "external"\n' });
  const port = await freePort();
  redis = { port, process: new Process('redis-server', ['--port', port, '--bind', '127.0.0.1', '--save', '']) };
  await redis.process.whileRunning(waitUntil('Redis listens', () => isListening(port)));
});

after(async () => {
  for (const server of servers) await server.stop();
  await redis?.process.stop();
  await service?.remove();
});

// Returns whether the two have met, and what the session has then. Of a request that waits for the lock of the other
// one, that one gives up after `seconds`.
async function meet(env, settings, seconds) {
  const server = await FpmServer.start(env, settings);
  servers.push(server);
  const browser = server.browser();
  await browser.get('set', { name: 'first', value: '1' });
  const [left, right] = [browser.twin(), browser.twin()];
  const first = left.get('meet', { name: 'left', other: 'right', value: 'l', seconds });
  await server.gate('left');
  const answers = await Promise.all([first, right.get('meet', { name: 'right', other: 'left', value: 'r' })]);
  return { met: answers.map(({ result }) => result), entries: (await browser.get('read')).entries };
}

test('the files of PHP make one request wait, phpredis loses a member, and Cloakroom does neither', async () => {
  const both = { first: 1, left: 'l', right: 'r' };

  const files = await meet({ HANDLER: 'files' }, { 'session.save_handler': 'files' }, 1);
  const phpredis = await meet({ HANDLER: 'redis' }, {
    'session.save_handler': 'redis', 'session.save_path': `tcp://127.0.0.1:${redis.port}`,
  }, 60);
  const cloakroom = await meet({ HANDLER: 'cloakroom', CLOAKROOM_ADDRESS: service.address }, {}, 60);

  assert.deepEqual(files, { met: [false, true], entries: both }, 'the other request could not begin');
  assert.deepEqual(phpredis.met, [true, true]);
  assert.equal(Object.keys(phpredis.entries).length, 2, JSON.stringify(phpredis.entries));
  assert.deepEqual(cloakroom, { met: [true, true], entries: both });
});
