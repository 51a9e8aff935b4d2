// The requests of `cloakroom-load-data` by both protocols: each finds its session, and each save is written.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fill } from '../../deploy/load/fill.mjs';
import { ghz } from '../../deploy/load/ghz.mjs';
import { h2load } from '../../deploy/load/h2load.mjs';
import { program, Redis, Service, STORES } from '../../deploy/load/service.mjs';
import { freePort } from '../web/processes.mjs';

// h2load does not record the calls that run when its time is over: one for each connection.
const MAX_UNRECORDED = 50;

for (const store of STORES) {
  test(`every request of a load is answered and finds its session in the ${store} store`, async (t) => {
    const redis = store === 'redis' ? await Redis.start() : undefined;
    t.after(() => redis?.stop());
    const admin = `127.0.0.1:${await freePort()}`;
    const service = new Service(store, redis, { env: { CLOAKROOM__ADMIN__LISTEN: admin } });
    t.after(() => service.stop());
    const sessions = (command) => service.run(program(), 'sessions', command, '--json', '--address', admin);
    const stats = async () => JSON.parse(await sessions('stats'));
    // The version of a session is the number of its saves.
    const saves = async () => {
      const lines = (await sessions('list')).trim().split('\n');
      return lines.reduce((sum, line) => sum + Number(JSON.parse(line).etag), 0);
    };
    // The memory store is filled while the service runs, the others before it starts.
    if (store === 'memory') await service.start();
    await fill(service, 40);
    if (store !== 'memory') await service.start();

    for (const [generate, mostUnrecorded] of [[ghz, 0], [h2load, MAX_UNRECORDED]]) {
      const [statsBefore, savesBefore] = [await stats(), await saves()];

      const open = await generate('open', service, { seconds: 1 });
      const save = await generate('save', service, { seconds: 1 });

      assert.deepEqual([open.errors, save.errors], [0, 0], [...open.errorMessages, ...save.errorMessages].join());
      const { opened, created } = await stats();
      const isAsMany = (counted, calls) => counted >= calls && counted <= calls + mostUnrecorded;
      assert.ok(isAsMany(opened - statsBefore.opened, open.calls), 'no open found an empty session');
      assert.equal(created, statsBefore.created, 'no save began a session');
      assert.ok(isAsMany(await saves() - savesBefore, save.calls), 'every save was written');
    }
  });
}
