// Fills a store with sessions for a load test, and writes requests that use them.
//
// `cloakroom-load-data` fills a store before the service starts, which the memory store does not allow. So sessions are
// copied to a running service with the memory store. The copies have the same entries, but are new.
import fs from 'node:fs';
import path from 'node:path';
import { client } from './client.mjs';
import { loadDataProgram, Service } from './service.mjs';

const CONCURRENT_COPIES = 32;
// ghz reads all requests into memory before it starts.
const MAX_REQUESTS = 10_000;
const REQUESTS_PER_SESSION = 5;

// Writes open.json, save.json and destroy.json to the service's folder.
export async function fill(service, count) {
  if (service.store === 'memory') await fillByCopying(service, count);
  else await fillStore(service, count);
  writeDestroyRequests(service.folder);
}

// Writes open.json and save.json to the service's folder.
function fillStore(service, count) {
  const requests = Math.min(MAX_REQUESTS, REQUESTS_PER_SESSION * count);
  return service.run(loadDataProgram(), '--count', `${count}`, '--requests', `${requests}`);
}

const read = (folder, name) => JSON.parse(fs.readFileSync(path.join(folder, name), 'utf8'));
const write = (folder, name, requests) =>
  fs.writeFileSync(path.join(folder, name), JSON.stringify(requests), { mode: 0o600 });

const tokenOf = ({ cookie_header: header }) => header.slice(header.indexOf('=') + 1);

async function fillByCopying(service, count) {
  const source = new Service('embedded');
  try {
    await fillStore(source, count);
    await source.start();
    const [opens, saves] = ['open.json', 'save.json'].map((name) => read(source.folder, name));
    const tokens = [...new Set([...opens.map(tokenOf), ...saves.map(({ token }) => token)])];
    const copied = await copySessions(tokens, client(source), client(service));
    const header = (request) => `session=${copied.get(tokenOf(request))}`;
    write(service.folder, 'open.json', opens.map((open) => ({ ...open, cookie_header: header(open) })));
    write(service.folder, 'save.json', saves.map((save) => ({ ...save, token: copied.get(save.token) })));
  } finally {
    await source.stop();
  }
}

// Copies sessions between two services. Returns a map from the old tokens to the new ones.
async function copySessions(tokens, from, to) {
  const copied = new Map();
  // All workers take from the same iterator.
  const remaining = tokens.values();
  const copyRemaining = async () => {
    for (const token of remaining) {
      const { session } = await from('OpenSession', { token });
      const created = await to('OpenSession', {});
      const changes = { set: session.entries, subject: session.subject || undefined };
      const saved = await to('SaveSession', { token: created.session.token, changes });
      copied.set(token, saved.session.token);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT_COPIES }, copyRemaining));
  return copied;
}

// Destroys the least used sessions first, so that the other requests keep finding theirs.
function writeDestroyRequests(folder) {
  const uses = new Map();
  for (const token of read(folder, 'open.json').map(tokenOf)) uses.set(token, (uses.get(token) ?? 0) + 1);
  const rarest = [...uses].sort(([, one], [, other]) => one - other).map(([token]) => ({ token }));
  write(folder, 'destroy.json', rarest);
}
