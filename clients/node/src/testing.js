// Tests of applications without a service: a transport whose service is in memory.
//
// It is a second implementation of the service's rules. A test of this package makes the same random calls to both and
// compares what they answer: outcomes, entries, counters, tokens, headers, errors, ends and listings.
//
// Where it stops:
//
// - Apps are of kind `stored`. There are none of kind `cookie` or `external`, none without a key, and no migration.
// - There is one signing key, for as long as the transport lives. Tokens have another form than the service's; they are as
//   hard to guess, and no service and no other transport accepts them.
// - Sessions are those of this process, and end with the transport.
// - There is no network: calls neither wait nor fail, unless `isAvailable` is false. Nothing checks who calls, nothing
//   limits the size or the number of calls, and nothing is ever full.
// - RotateSession, which no part of the package calls, is missing, and so are `events`, `stats` and `explain` of
//   `AdminClient`. A `subjectKey` is a name and no path.
// - A watch notices within a tenth of a second that its session has expired by `Date.now`, and at once after `advance`.
'use strict';

const { CallFailed } = require('./errors.js');
const admin = require('./testing/admin.js');
const { App } = require('./testing/app.js');
const { Call } = require('./testing/call.js');
const { destroy } = require('./testing/destroy.js');
const { open } = require('./testing/open.js');
const { save } = require('./testing/save.js');
const { Store } = require('./testing/store.js');
const { Signer } = require('./testing/token.js');
const { WatchStream, watch } = require('./testing/watch.js');

/** @typedef {import('./messages.js').Method} Method */

/** Answers calls in this process, by the rules of the service. Clients of several apps may share it. */
class MemoryTransport {
  /** Whether calls are answered. If not, each fails at once, as after a whole deadline without an answer. */
  isAvailable = true;
  /** @type {Map<string, App>} */
  #apps;
  #acceptsAnyApp;
  #store = new Store();
  #signer = new Signer();
  /** Milliseconds by which `advance` moved the time. */
  #advanced = 0;
  /** @type {Set<WatchStream>} */
  #watches = new Set();

  /** @param {import('../types/testing').App[]} apps The apps that exist. Without any, an app of each name exists. */
  constructor(...apps) {
    this.#apps = new Map(apps.map((settings) => new App(settings)).map((app) => [app.name, app]));
    this.#acceptsAnyApp = apps.length === 0;
  }

  /** Moves the time of the sessions forward. @param {number} milliseconds */
  advance(milliseconds) {
    if (!(milliseconds >= 0)) throw new RangeError(`time is moved forward, and not by ${milliseconds} milliseconds`);
    this.#advanced += milliseconds;
    this.#notify();
  }

  /** @param {Method} method @param {Record<string, any>} request */
  async call(method, request) {
    const answer = this.#answer(method, request);
    this.#notify();
    return answer;
  }

  /** @param {Method} method @param {Record<string, any>} request */
  async stream(method, request) {
    if (method.name !== 'WatchSession') throw unknownMethod(method);
    const first = this.#answer(method, request);
    const stream = new WatchStream(() => this.#answer(method, request), first.state === 'ENDED');
    this.#watches.add(stream);
    return { first, stream };
  }

  /** @param {Method} method @param {Record<string, any>} request */
  #answer(method, request) {
    // With this code no client waits for a repeat.
    if (!this.isAvailable) throw new CallFailed('DEADLINE_EXCEEDED', '', 'isAvailable of the MemoryTransport is false');
    const answer = ANSWERS[method.name];
    if (answer === undefined) throw unknownMethod(method);
    // As on the way to a service: fields that are missing have their defaults, and nothing is shared with the caller.
    const received = method.request.decode(method.request.encode(request));
    const call = new Call(this.#app(received.app || 'default'), this.#store, this.#signer, Date.now() + this.#advanced);
    return method.response.decode(method.response.encode(answer(call, received)));
  }

  /** @param {string} name */
  #app(name) {
    const found = this.#apps.get(name) ?? (this.#acceptsAnyApp ? new App({ name }) : undefined);
    if (found === undefined) throw new CallFailed('NOT_FOUND', 'APP_UNKNOWN', 'no app of that name is configured');
    return found;
  }

  #notify() {
    for (const stream of this.#watches) {
      if (stream.isDone) this.#watches.delete(stream);
      stream.notify();
    }
  }
}

/** @param {Method} method */
const unknownMethod = ({ name }) => new CallFailed('UNIMPLEMENTED', 'METHOD_UNKNOWN', `the service in memory has no ${name}`);

/** @type {Record<string, (call: Call, request: any) => any>} */
const ANSWERS = {
  OpenSession: open,
  SaveSession: save,
  DestroySession: destroy,
  WatchSession: watch,
  GetAppPolicy: ({ app }) => app.policy(),
  ListSessions: admin.listSessions,
  GetSession: admin.getSession,
  RevokeSession: admin.revokeSession,
  RevokeSubject: admin.revokeSubject,
  RevokeApp: admin.revokeApp,
};

module.exports = { MemoryTransport };
