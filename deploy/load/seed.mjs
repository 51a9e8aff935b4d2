// Sessions for a load test, and requests that use them.
//
// `cloakroom seed` fills what outlives a process. The memory store gets copies of those sessions, through the running
// service: as old as the copy is, but with the same entries, and used as often.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { ROOT, Service } from './service.mjs';

const require = createRequire(path.join(ROOT, 'examples/node/package.json'));
const COPIERS = 32;
// ghz reads them all before it begins.
const MOST_REQUESTS = 10_000;
const REQUESTS_PER_SESSION = 5;

// Leaves open.json, save.json and destroy.json in the service's folder.
export async function seed(service, count) {
  if (service.store === 'memory') await copy(service, count);
  else await fill(service, count, service.folder);
  writeDestroys(service.folder);
}

function fill(service, count, out) {
  const requests = Math.min(MOST_REQUESTS, REQUESTS_PER_SESSION * count);
  return service.run('seed', '--count', `${count}`, '--requests', `${requests}`, '--out', out);
}

const read = (folder, name) => JSON.parse(fs.readFileSync(path.join(folder, name), 'utf8'));
const write = (folder, name, requests) =>
  fs.writeFileSync(path.join(folder, name), JSON.stringify(requests), { mode: 0o600 });

const tokenOf = ({ cookie_header: header }) => header.slice(header.indexOf('=') + 1);

async function copy(service, count) {
  const source = new Service('embedded');
  try {
    await fill(source, count, source.folder);
    await source.start();
    const [opens, saves] = ['open.json', 'save.json'].map((name) => read(source.folder, name));
    const tokens = [...new Set([...opens.map(tokenOf), ...saves.map(({ token }) => token)])];
    const copied = await copies(tokens, client(source), client(service));
    const header = (request) => `session=${copied.get(tokenOf(request))}`;
    write(service.folder, 'open.json', opens.map((open) => ({ ...open, cookie_header: header(open) })));
    write(service.folder, 'save.json', saves.map((save) => ({ ...save, token: copied.get(save.token) })));
  } finally {
    await source.end();
  }
}

// From the tokens in one service to those in the other.
async function copies(tokens, from, to) {
  const copied = new Map();
  const left = tokens.values();
  const work = async () => {
    for (const token of left) {
      const { session } = await from('OpenSession', { token });
      const fresh = await to('OpenSession', {});
      const changes = { set: session.entries, subject: session.subject || undefined };
      const saved = await to('SaveSession', { token: fresh.session.token, changes });
      copied.set(token, saved.session.token);
    }
  };
  await Promise.all(Array.from({ length: COPIERS }, work));
  return copied;
}

// The sessions that are used least, so that those which everybody uses live on.
function writeDestroys(folder) {
  const uses = new Map();
  for (const token of read(folder, 'open.json').map(tokenOf)) uses.set(token, (uses.get(token) ?? 0) + 1);
  const rarest = [...uses].sort(([, one], [, other]) => one - other).map(([token]) => ({ token }));
  write(folder, 'destroy.json', rarest);
}

// Calls the service by name; closed with the process.
export function client({ address }) {
  const grpc = require('@grpc/grpc-js');
  const { SessionService } = messages(grpc);
  const stub = new SessionService(address, grpc.credentials.createInsecure());
  return (method, request) => new Promise((resolve, reject) => {
    stub[method](request, { deadline: Date.now() + 30_000 }, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

// How a method's messages are written: `requestSerialize` and `responseSerialize`.
export const codec = (method) => messages(require('@grpc/grpc-js')).SessionService.service[method];

function messages(grpc) {
  const loader = require('@grpc/proto-loader');
  const options = { keepCase: true, longs: String, enums: String, oneofs: false, includeDirs: [path.join(ROOT, 'proto')] };
  const definition = loader.loadSync('cloakroom/v1/session_service.proto', options);
  return grpc.loadPackageDefinition(definition).cloakroom.v1;
}
