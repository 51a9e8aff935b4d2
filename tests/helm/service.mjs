// The built service, for what it says about a rendered configuration.
import fs from 'node:fs';
import path from 'node:path';
import { ROOT, run } from '../deploy/engine.mjs';
import { withFiles } from './secrets.mjs';

// The built program.
export const CLOAKROOM = path.resolve(ROOT, process.env.CLOAKROOM_BIN ?? 'target/debug/cloakroom');

// Calls `body` with a new folder, and removes it.
export async function inFolder(body) {
  const folder = fs.mkdtempSync(path.join(ROOT, 'target/chart-'));
  try {
    return await body(folder);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

// Returns the settings that result from a configuration, by `cloakroom check`. Fails with what it finds wrong.
export const settingsOf = (toml) => inFolder(async (folder) => {
  const file = path.join(folder, 'cloakroom.toml');
  fs.writeFileSync(file, await withFiles(toml, folder));
  const printed = await run(CLOAKROOM, ['check', '--config', file]);
  return printed.replaceAll(folder, '').split('\n').map((line) => line.replace(/\s*#.*$/, '')).filter((line) => line !== '');
});
