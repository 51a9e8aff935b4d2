// How the example apps connect to the service: directly, to all replicas, and again when a connection is lost.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { App, LANGUAGES, Redis, Service } from './fixtures.mjs';
import { cookieOf, post } from './client.mjs';
import { NameServer, Proxy } from './network.mjs';
import { waitUntil } from './processes.mjs';

let service;
let redis;
let replicas;
let names;

before(async () => {
  service = await Service.start();
  redis = await Redis.start();
  const first = await Service.start({ redis: redis.url });
  const { keys, port } = first;
  replicas = [first, await Service.start({ host: '127.0.0.2', redis: redis.url, keys, port })];
  names = await NameServer.start(...replicas.map(({ host }) => host));
});

after(async () => {
  names?.stop();
  for (const each of [service, ...(replicas ?? []), redis]) await each?.stop();
});

for (const language of LANGUAGES) {
  describe(`the ${language} app`, () => {
    test('sends no call to a proxy of the environment', async (t) => {
      const { url, connections } = await listenAsHttpProxy(t);
      const variables = ['http_proxy', 'https_proxy', 'grpc_proxy', 'all_proxy'];
      const environment = Object.fromEntries(variables.flatMap((name) => [[name, url], [name.toUpperCase(), url]]));
      const app = await startApp(t, language, service, environment);

      const counted = await post(`${app.url}/count`);

      assert.deepEqual([counted.status, counted.count], [200, '1']);
      assert.equal(connections.length, 0);
    });

    const addresses = { list: () => replicas.map(({ address }) => address).join(',') };
    // The Go client has no name server of its own: it asks those of the system.
    if (language !== 'go') addresses.name = () => `dns://127.0.0.1:${names.port}/cloakroom.test:${replicas[0].port}`;
    for (const [kind, address] of Object.entries(addresses)) {
      test(`creates half of its sessions at each replica of a ${kind}, and goes on when one ends`, async (t) => {
        // By default grpc-js asks the name servers of the system, and not the one in the address.
        const app = await startApp(t, language, { address: address() }, { GRPC_NODE_USE_ALTERNATIVE_RESOLVER: 'true' });
        const start = await countSaves();
        await waitUntil('both replicas are used', async () => {
          assert.equal((await post(`${app.url}/count`)).status, 200);
          return (await countSaves()).every((calls, i) => calls > start[i]);
        });
        const before = await countSaves();

        for (let i = 0; i < 100; i += 1) assert.equal((await post(`${app.url}/count`)).status, 200);

        const created = (await countSaves()).map((calls, i) => calls - before[i]);
        assert.equal(created[0] + created[1], 100);
        assert.ok(created[0] >= 40 && created[0] <= 60, created.join(' and '));

        await replicas[1].process.stop('SIGKILL');
        t.after(() => replicas[1].launch());
        for (let i = 0; i < 20; i += 1) assert.equal((await post(`${app.url}/count`)).status, 200);
      });
    }
  });
}

describe('all apps', () => {
  test('leave a connection that loses its packets', async (t) => {
    const proxy = await Proxy.start(service.port);
    t.after(() => proxy.stop());
    const apps = await Promise.all(LANGUAGES.map((language) => startApp(t, language, proxy)));
    const count = async ({ url }) => (await post(`${url}/count`)).status;
    assert.deepEqual(await Promise.all(apps.map(count)), apps.map(() => 200));

    proxy.forget();

    await Promise.all(apps.map((app) => waitUntil('the app answers 200', async () => (await count(app)) === 200)));
  });

  test('fail no request while the service restarts', async (t) => {
    const apps = await Promise.all(LANGUAGES.map((language) => startApp(t, language, service)));
    let isOver = false;
    const countUntilOver = async ({ url }) => {
      const cookies = cookieOf(await post(`${url}/count`));
      for (let expected = 2; !isOver; expected += 1) {
        const { status, count } = await post(`${url}/count`, { cookies });
        assert.deepEqual([status, count], [200, String(expected)]);
      }
    };
    const users = Promise.all([...apps, ...apps].map(countUntilOver));

    for (const signal of ['SIGTERM', 'SIGKILL']) {
      const before = await service.countCalls('SaveSession');
      const isUsed = async () => (await service.countCalls('SaveSession')) > before;
      await Promise.race([users, waitUntil('the service is used', isUsed)]);
      await service.process.stop(signal);
      await service.launch();
    }

    isOver = true;
    await users;
  });
});

const countSaves = () => Promise.all(replicas.map((replica) => replica.countCalls('SaveSession')));

// Starts an app that ends with the test.
async function startApp(t, ...args) {
  const app = await App.start(...args);
  t.after(() => app.stop());
  return app;
}

// Collects connections until the test ends, and closes them.
async function listenAsHttpProxy(t) {
  const connections = [];
  const server = net.createServer((connection) => connections.push(connection.destroy()));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${server.address().port}`, connections };
}
