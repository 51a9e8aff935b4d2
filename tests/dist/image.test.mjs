// Loads the archive of the image with podman, and runs it.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Engine } from '../deploy/engine.mjs';
import { CART, createSession, HASH, isServing, sessionEntries } from '../deploy/frontend.mjs';
import { skipIfMachineCannot } from '../deploy/probe.mjs';
import { waitUntil } from '../web/processes.mjs';
import { released } from './release.mjs';

const engine = new Engine();

after(() => engine.stop());

test('the archive of the image loads and serves', (t) =>
  skipIfMachineCannot('container', engine, t, async () => {
    const archive = released(/\.oci\.tar$/);
    const [, version] = archive.match(/cloakroom-([^-]+)-/);

    await engine.podman('load', '--input', archive);
    const image = `localhost/cloakroom:${version}`;
    await engine.podman('run', '--detach', '--name', 'alone', '--read-only', '--cap-drop', 'all', '--volume', 'alone:/data',
      '--publish', '127.0.0.1::50051', '--env', 'CLOAKROOM__SERVER__LISTEN=0.0.0.0:50051',
      '--env', 'CLOAKROOM__CALLERS__TEST__ROLES=frontend', '--env', 'CLOAKROOM__CALLERS__TEST__APPS=default',
      '--env', `CLOAKROOM__CALLERS__TEST__TOKEN_HASHES=${HASH}`, image);
    const port = (await engine.podman('port', 'alone', '50051')).split(':').at(-1);
    await waitUntil('the container serves', () => isServing(port));

    assert.deepEqual(await sessionEntries(port, await createSession(port)), CART);
    const { Config } = await engine.inspect('--type', 'image', image);
    assert.equal(Config.Labels['org.opencontainers.image.version'], version);
    assert.equal(Config.User, '65532:65532');
  }));
