// Files in the place of the Secrets that a configuration names, so that `cloakroom check` can read them on this machine.
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { run } from '../deploy/engine.mjs';

const CONTENTS = {
  keys_file: () => randomBytes(32).toString('base64url'),
  token_hashes_file: () => randomBytes(32).toString('hex'),
  password_file: () => 'password',
  url_file: () => 'redis://:password@redis:6379',
};

// The files that a configuration names: their settings and paths.
export const filesOf = (toml) => [...toml.matchAll(/^(\w+_file) = "(\/[^"]+)"$/gm)].map(([, setting, file]) => ({ setting, file }));

// Makes every file below a folder, and returns the configuration with their paths there.
export async function withFiles(toml, folder) {
  const certificate = path.join(folder, 'certificate.pem');
  const key = path.join(folder, 'key.pem');
  await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=cloakroom', '-addext', 'subjectAltName=DNS:cloakroom', '-keyout', key, '-out', certificate]);
  for (const { setting, file } of filesOf(toml)) {
    const copy = path.join(folder, file);
    fs.mkdirSync(path.dirname(copy), { recursive: true });
    const pem = setting === 'key_file' ? key : certificate;
    fs.writeFileSync(copy, CONTENTS[setting]?.() ?? fs.readFileSync(pem));
  }
  return toml.replace(/^(\w+_file|path) = "\//gm, `$1 = "${folder}/`);
}
