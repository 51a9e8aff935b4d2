// A stand-in for the public image of Rust, where no registry of images can be reached.
import fs from 'node:fs';
import path from 'node:path';
import { ROOT, run } from './engine.mjs';

const RUST = '/usr/local/rust';
const REGISTRY = '/usr/local/cargo/registry';
const CERTIFICATES = '/etc/ssl/certs';

// Builds it under the name that the Dockerfile begins with. Answers what a build on it borrows from this machine: Rust
// itself, the crates that are there already and whom it trusts.
export async function buildRust(engine) {
  const [, name] = fs.readFileSync(path.join(ROOT, 'Dockerfile'), 'utf8').match(/^FROM (rust:\S+) AS build$/m);
  const context = path.join(engine.folder, 'rust');
  fs.mkdirSync(context);
  const root = path.join(context, 'root');
  await run('debootstrap', ['--variant=minbase', '--include=gcc,libc6-dev', name.match(/[a-z]+$/)[0], root]);
  const lines = ['FROM scratch', 'COPY root /', `ENV PATH=${RUST}/bin:/usr/sbin:/usr/bin CARGO_HOME=${path.dirname(REGISTRY)}`];
  fs.writeFileSync(path.join(context, 'Dockerfile'), lines.join('\n'));
  await engine.build(`docker.io/library/${name}`, context);
  fs.rmSync(root, { recursive: true });

  const registry = path.join(process.env.CARGO_HOME ?? path.join(process.env.HOME, '.cargo'), 'registry');
  const volume = (from, to) => ['--volume', `${from}:${to}`];
  const rust = await run('rustc', ['--print', 'sysroot']);
  return [...volume(rust, `${RUST}:ro`), ...volume(registry, REGISTRY), ...volume(CERTIFICATES, `${CERTIFICATES}:ro`)];
}
