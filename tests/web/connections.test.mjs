// How the example apps connect to the service.
import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { App, LANGUAGES, Service } from './fixtures.mjs';
import { post } from './client.mjs';

let service;

before(async () => {
  service = await Service.start();
});

after(() => service?.stop());

for (const language of LANGUAGES) {
  describe(`the ${language} app`, () => {
    test('sends no call to a proxy of the environment', async (t) => {
      const proxy = await listen(t, (connection) => connection.destroy());
      const url = `http://127.0.0.1:${proxy.port}`;
      const names = ['http_proxy', 'https_proxy', 'grpc_proxy', 'all_proxy'];
      const environment = Object.fromEntries(names.flatMap((name) => [[name, url], [name.toUpperCase(), url]]));
      const app = await startApp(t, language, service, environment);

      const counted = await post(`${app.url}/count`);

      assert.deepEqual([counted.status, counted.count], [200, '1']);
      assert.equal(proxy.connections, 0);
    });
  });
}

// Starts an app that ends with the test.
async function startApp(t, ...args) {
  const app = await App.start(...args);
  t.after(() => app.stop());
  return app;
}

// Listens on a free port until the test ends, and counts connections.
async function listen(t, onConnection) {
  const listener = { connections: 0 };
  const server = net.createServer((connection) => {
    listener.connections += 1;
    onConnection(connection);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close());
  listener.port = server.address().port;
  return listener;
}
