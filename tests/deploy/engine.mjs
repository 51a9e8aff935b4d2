// Builds and runs containers with buildah and podman, in a storage of its own that is gone afterwards.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const TOOLS = path.join(ROOT, '.tools/deploy/bin');
const PATIENCE_MS = 300_000;

// Answers what the command printed; fails with what it complained of.
export async function run(command, args, { env, ...options } = {}) {
  const settings = { timeout: PATIENCE_MS, maxBuffer: 64 << 20, env: { ...process.env, ...env }, ...options };
  const { stdout } = await promisify(execFile)(command, args, settings);
  return stdout.trim();
}

// As `run`, but answers the exit code as well and never fails by it.
export async function attempt(command, args, options) {
  try {
    return { code: 0, stdout: await run(command, args, options) };
  } catch (error) {
    if (typeof error.code !== 'number') throw error;
    return { code: error.code, stdout: error.stdout, stderr: error.stderr };
  }
}

export class Engine {
  constructor() {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'cloakroom-deploy-'));
    const file = (name, text) => {
      fs.writeFileSync(path.join(this.folder, name), text);
      return path.join(this.folder, name);
    };
    // No systemd, no crun and few privileges are needed, so that it runs within another container as well.
    this.env = {
      CONTAINERS_CONF: file('containers.conf', `
        [engine]
        runtime = "runc"
        cgroup_manager = "cgroupfs"
        events_logger = "file"
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

  // Whether the container's health check passes now; on a busy machine it may be too late once.
  async healthy(name) {
    return (await this.attempt('healthcheck', 'run', name)).code === 0;
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

  build(name, context) {
    const args = ['bud', '--isolation', 'chroot', '--pull=never', '--format', 'docker', '--tag', name, context];
    return run('buildah', args, { env: this.env });
  }

  // Ends all that it ran and removes all that it kept.
  async end() {
    await this.attempt('pod', 'rm', '--all', '--force', '--time', '0');
    await this.attempt('rm', '--all', '--force', '--time', '0');
    await this.attempt('network', 'prune', '--force');
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
