// Runs the service on a terminal, and looks at the colours of its log.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { run } from '../deploy/engine.mjs';
import { staticProgram } from '../deploy/volume.mjs';

// Serves until it is healthy, so that it logs the stop.
const SERVE = '"$PROGRAM" serve & until "$PROGRAM" healthcheck --address "unix:$CLOAKROOM__SERVER__UNIX_SOCKET" >/dev/null 2>&1; ' +
  'do sleep 0.1; done; kill $!; wait $!';

async function logOnTerminal(env) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-terminal-'));
  const addresses = {
    CLOAKROOM__SERVER__LISTEN: '127.0.0.1:0',
    CLOAKROOM__SERVER__UNIX_SOCKET: path.join(folder, 'socket'),
    CLOAKROOM__ADMIN__LISTEN: '127.0.0.1:0',
  };
  // A terminal of continuous integration has colours although it is dumb.
  const here = { CI: undefined, CLICOLOR: undefined, CLICOLOR_FORCE: undefined };
  const settings = { PROGRAM: staticProgram(), CLOAKROOM__STORE__KIND: 'memory', TERM: 'xterm', ...here, ...addresses, ...env };
  const log = await run('timeout', ['120', 'script', '--quiet', '--return', '--command', SERVE, '/dev/null'], { env: settings });
  fs.rmSync(folder, { recursive: true });
  return log;
}

test('the log has colours on a terminal, unless NO_COLOR is set or the terminal is dumb', async () => {
  const colored = await logOnTerminal({ NO_COLOR: '' });
  const plain = await logOnTerminal({ NO_COLOR: '1' });
  const dumb = await logOnTerminal({ TERM: 'dumb' });

  assert.match(colored, /\x1b\[.*stopped/);
  for (const log of [plain, dumb]) {
    assert.match(log, /stopped/);
    assert.doesNotMatch(log, /\x1b/);
  }
});
