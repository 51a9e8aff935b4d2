// One application for each store, all of them in one app of the service, and the service.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { CliServer } from '../../clients/php/tests/servers.mjs';
import { Service } from '../../clients/node/tests/service.mjs';
import { Process } from '../web/processes.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const GO = path.join(ROOT, 'target/stores/go');
const JAVA_CLASSES = ['test-classes', 'classes'].map((folder) => path.join(ROOT, 'target/spring-session', folder));
const APPS = '[apps.stores]\nkind = "external"\nsubject_key = "user"\n';
export const APP = 'stores';
export const SECRET = 'the secret that signs the cookies of these tests';

// How each prints its address. PHP has a server of its own.
const COMMANDS = {
  'express-session': () => [process.execPath, 'tests/stores/express_app.mjs'],
  scs: () => [GO, 'scs'],
  'gorilla/sessions': () => [GO, 'gorilla'],
  Rack: () => ['ruby', 'tests/stores/rack_app.rb'],
  'Spring Session': () => ['java', '-cp', [...JAVA_CLASSES, classPath()].join(':'), 'example.cloakroom.session.Shop'],
};
export const NAMES = ['PHP', ...Object.keys(COMMANDS)];

/** Returns the path of what the Java application needs besides its own classes. */
function classPath() {
  return fs.readFileSync(path.join(ROOT, 'target/stores/java-class-path'), 'utf8').trim();
}

export class Applications {
  #running = [];
  /** The addresses by name. @type {Record<string, string>} */
  urls = {};

  static async start() {
    const all = new Applications();
    try {
      all.service = await Service.start({ more: APPS });
      // At the same time, because Java takes seconds.
      const starts = NAMES.map(async (name) => { all.urls[name] = await all.#start(name); });
      const failed = (await Promise.allSettled(starts)).find(({ status }) => status === 'rejected');
      if (failed) throw failed.reason;
      return all;
    } catch (error) {
      await all.stop();
      throw error;
    }
  }

  async #start(name) {
    const env = {
      ...process.env, CLOAKROOM_ADDRESS: this.service.address, SECRET, LOG_FILE: path.join(this.service.folder, 'java.log'),
    };
    if (name === 'PHP') {
      const server = await CliServer.start(env, {}, path.join(ROOT, 'tests/stores/app.php'));
      this.#running.push(server);
      return `http://127.0.0.1:${server.port}`;
    }
    const [command, ...args] = COMMANDS[name]();
    const application = new Process(command, args, { env, cwd: ROOT });
    this.#running.push(application);
    return application.firstLine();
  }

  async stop() {
    for (const application of this.#running) await application.stop();
    await this.service?.remove();
  }
}
