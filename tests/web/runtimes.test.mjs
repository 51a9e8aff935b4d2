// The Node client as it is, in Deno and Bun.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Certificates } from '../../clients/node/tests/certificates.mjs';
import { Service as SecureService } from '../../clients/node/tests/service.mjs';
import { cookieOf, get, post } from './client.mjs';
import { Service } from './fixtures.mjs';
import { freePort, isListening, Process, waitUntil } from './processes.mjs';

const TOOLS = fileURLToPath(new URL('../../.tools/bin', import.meta.url));
// The arguments before the program.
const RUNTIMES = { deno: ['run', '--allow-net', '--allow-env', '--allow-read'], bun: [] };
// Otherwise Deno asks for its newest version.
const ENVIRONMENT = { ...process.env, DENO_NO_UPDATE_CHECK: '1' };

let service;
let certificates;
let secure;

before(async () => {
  service = await Service.start();
  certificates = new Certificates();
  secure = await SecureService.start({ more: certificates.settings });
});

after(async () => {
  await service?.stop();
  await secure?.remove();
  certificates?.remove();
});

for (const [name, args] of Object.entries(RUNTIMES)) {
  describe(name, () => {
    let app;
    let url;

    before(async () => {
      const port = await freePort();
      const env = { ...ENVIRONMENT, CLOAKROOM_ADDRESS: service.address, PORT: String(port) };
      app = new Process(path.join(TOOLS, name), [...args, 'runtime_app.mjs'], { env, cwd: import.meta.dirname });
      url = `http://127.0.0.1:${port}/`;
      await app.whileRunning(waitUntil(`${name} listens`, () => isListening(port)));
    });

    after(() => app?.stop());

    test('a server keeps a counter in its session', async () => {
      const first = await post(url);
      const second = await post(url, { cookies: cookieOf(first) });

      assert.deepEqual([first.status, first.count, first.vary, first.setCookie.length], [200, '1', ['Cookie'], 1]);
      assert.deepEqual([second.status, second.count, second.setCookie], [200, '2', []]);
      assert.equal((await get(url, cookieOf(first))).count, '2');
    });

    test('a restart of the service costs no request', async () => {
      const cookies = cookieOf(await post(url));
      await service.process.stop();
      await service.launch();

      const counted = await post(url, { cookies });

      assert.deepEqual([counted.status, counted.count], [200, '2']);
    });

    test('a watch learns that its session has ended', async () => {
      const cookie = cookieOf(await post(url));
      const response = await fetch(`${url}watch`, { headers: { cookie } });
      const lines = response.body.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
      assert.equal((await lines.next()).value, 'watching\n');

      await fetch(`http://${service.address}/cloakroom.v1.SessionService/DestroySession`, {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ cookieHeader: cookie }),
      });

      assert.equal((await lines.next()).value, 'DESTROYED');
    });

    test('a call by TLS works, and fails at once if the certificate is not trusted or has another name', () => {
      const [trusted, otherName] = [`https://localhost:${secure.port}`, `https://127.0.0.1:${secure.port}`];
      const { mutual } = certificates;
      const otherAuthority = { ...mutual, caFile: mutual.certificateFile };
      const env = { ...ENVIRONMENT, CALLS: JSON.stringify([
        { service: trusted, credentials: mutual },
        { service: trusted, credentials: otherAuthority },
        { service: otherName, credentials: mutual },
      ]) };

      const printed = execFileSync(path.join(TOOLS, name), [...args, 'runtime_tls.mjs'],
        { env, cwd: import.meta.dirname, encoding: 'utf8', timeout: 30_000 });

      const [opened, ...refused] = printed.trim().split('\n');
      assert.deepEqual([opened, refused.length], ['opened', 2]);
      for (const line of refused) assert.match(line, /^SessionUnavailable: .*; set caFile to the authority/);
    });
  });
}
