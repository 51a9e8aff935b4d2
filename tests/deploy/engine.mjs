// Builds and runs containers with buildah and podman, in a storage of its own that is gone afterwards.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { until } from '../web/processes.mjs';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const TOOLS = path.join(ROOT, '.tools/python/bin');
const PATIENCE_MS = 300_000;

// Asks until the answer is true: containers take their time to begin, on a busy machine above all.
export const eventually = (fact, question) => until(fact, question, 60_000);

// Runs a command to its end and never fails by its exit code.
export async function attempt(command, args, { env, ...options } = {}) {
  const settings = { timeout: PATIENCE_MS, maxBuffer: 64 << 20, env: { ...process.env, ...env }, ...options };
  try {
    return { code: 0, ...await promisify(execFile)(command, args, settings) };
  } catch (error) {
    if (typeof error.code !== 'number') throw error;
    const { code, stdout, stderr } = error;
    return { code, stdout, stderr };
  }
}

// Answers what the command printed; fails with what it complained of.
export async function run(command, args, options) {
  const { code, stdout, stderr } = await attempt(command, args, options);
  if (code !== 0) throw new Error(`${path.basename(command)} ${args.join(' ')}: exit code ${code}\n${stdout}${stderr}`);
  return stdout.trim();
}

export class Engine {
  constructor() {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-deploy-'));
    const file = (name, text) => {
      fs.writeFileSync(path.join(this.folder, name), text);
      return path.join(this.folder, name);
    };
    // No systemd, no crun and few privileges are needed, so that it runs within another container as well. The networks
    // are none that podman uses by itself: bridges outlive their containers.
    this.env = {
      CONTAINERS_CONF: file('containers.conf', `
        [engine]
        runtime = "runc"
        cgroup_manager = "cgroupfs"
        events_logger = "file"
        tmp_dir = "${this.folder}/tmp"
        [network]
        network_backend = "netavark"
        default_subnet = "10.231.0.0/24"
        default_subnet_pools = [{ base = "10.231.128.0/17", size = 24 }]
        network_config_dir = "${this.folder}/networks"
        [containers]
        log_driver = "k8s-file"
        default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
      `),
      CONTAINERS_STORAGE_CONF: file('storage.conf', `
        [storage]
        driver = "vfs"
        graphroot = "${this.folder}/graph"
        runroot = "${this.folder}/run"
      `),
    };
  }

  podman(...args) {
    return run('podman', args, { env: this.env });
  }

  attempt(...args) {
    return attempt('podman', args, { env: this.env });
  }

  // Waits until the container's own health check passes. Asked by hand: without systemd nobody else asks.
  async becomesHealthy(name) {
    let last;
    const passes = async () => (last = await this.attempt('healthcheck', 'run', name)).code === 0;
    await eventually(`${name} is healthy`, passes).catch((error) => {
      throw new Error(`the health check of ${name} says ${JSON.stringify(last)}`, { cause: error });
    });
  }

  // What podman knows of a thing.
  async inspect(...args) {
    return JSON.parse(await this.podman('inspect', ...args))[0];
  }

  // The Dockerfile's final stage, word for word, around a program that is built already.
  async buildImage(program) {
    const context = path.join(this.folder, 'image');
    for (const folder of ['etc/cloakroom', 'data']) fs.mkdirSync(path.join(context, 'out', folder), { recursive: true });
    fs.copyFileSync(program, path.join(context, 'out/cloakroom'));
    const dockerfile = fs.readFileSync(path.join(ROOT, 'Dockerfile'), 'utf8');
    const final = dockerfile.slice(dockerfile.indexOf('\nFROM scratch\n'));
    fs.writeFileSync(path.join(context, 'Dockerfile'), `FROM scratch AS build\nCOPY out /out\n${final}`);
    await this.build('cloakroom:latest', context);
  }

  // A stand-in for the public image of that name: this machine's Redis and the libraries that it needs.
  async buildRedis(name) {
    const context = path.join(this.folder, 'redis');
    fs.mkdirSync(path.join(context, 'data'), { recursive: true });
    const programs = ['/usr/bin/redis-server', '/usr/bin/redis-cli'];
    const libraries = (await run('ldd', programs)).match(/\/\S+(?= \()/g);
    for (const file of new Set([...programs, ...libraries])) {
      const copy = path.join(context, 'root', file);
      fs.mkdirSync(path.dirname(copy), { recursive: true });
      fs.copyFileSync(file, copy);
    }
    const lines = ['FROM scratch', 'COPY root /', 'COPY --chown=999:999 data /data', 'VOLUME /data', 'ENV PATH=/usr/bin'];
    fs.writeFileSync(path.join(context, 'Dockerfile'), lines.join('\n'));
    await this.build(name, context);
  }

  build(name, context, more = [], patience = PATIENCE_MS) {
    const args = ['bud', '--isolation', 'chroot', '--pull=never', '--format', 'docker', '--tag', name, ...more, context];
    return run('buildah', args, { env: this.env, timeout: patience });
  }

  // Ends all that runs and removes all but the images.
  async clear() {
    await this.attempt('pod', 'rm', '--all', '--force', '--time', '0');
    await this.attempt('rm', '--all', '--force', '--volumes', '--time', '0');
    await this.attempt('volume', 'prune', '--force');
    await this.attempt('network', 'prune', '--force');
  }

  // Leaves nothing behind.
  async end() {
    await this.clear();
    // Without root the images belong to users that only podman can be.
    if (process.getuid() !== 0) await this.attempt('unshare', 'rm', '-rf', this.folder);
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
