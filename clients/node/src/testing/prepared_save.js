// A save as a write with one credential, checked.
'use strict';

const { Changes } = require('./changes.js');
const { Edit } = require('./edit.js');
const { IMPOSSIBLE_ETAG, fingerprintOf, rotating } = require('./write.js');

/** @typedef {import('./call.js').Call} Call */
/** @typedef {import('./call.js').Presented} Presented */

class PreparedSave {
  /**
   * @param {Presented} presented @param {import('./write.js').Write} write
   * @param {{ mayRotate: boolean, onlyForSubject: boolean }} rotation Whether the token is replaced, if the session exists
   *   already, and whether only if the subject changes.
   */
  constructor(presented, write, rotation) {
    this.presented = presented;
    this.write = write;
    this.rotation = rotation;
  }

  /** @param {Call} call @param {any} request @param {number | undefined} wanted @param {Presented} presented */
  static of({ app, now }, request, wanted, presented) {
    const changes = request.changes && new Changes(request.changes, app.settings.subjectKey);
    const edit = new Edit(app, changes, { keepEmpty: request.keepEmpty, context: request.context });
    const rotates = request.rotate || Boolean(changes?.clear || changes?.authenticated);
    const content = JSON.stringify(['save', request.rotate, request.keepEmpty, changes?.canonical()]);
    // A repetition of the save that set this deadline gets its answer. Another save must write nothing.
    const etag = (changes?.lifetime.deadlineTime ?? Infinity) > now ? wanted : IMPOSSIBLE_ETAG;
    const write = { token: presented.token, edit, etag, by: fingerprintOf(request.requestId, content) };
    const isLogin = changes?.subject !== undefined;
    return new PreparedSave(presented, write, { mayRotate: rotates || isLogin, onlyForSubject: !rotates });
  }

  /** @returns {Edit} */
  get edit() {
    return /** @type {Edit} */ (this.write.edit);
  }

  get changes() {
    return this.edit.changes;
  }

  /** Whether the etag lets the save create a session. */
  get mayCreate() {
    return (this.write.etag ?? 0) === 0;
  }

  /** Returns the user whom the save logs in, or an empty text. */
  get loginSubject() {
    return this.changes?.subject ?? '';
  }

  /** @param {Presented} presented */
  with(presented) {
    return new PreparedSave(presented, { ...this.write, token: presented.token }, this.rotation);
  }

  /** Returns the write, with a new token if it may replace it. @param {number} now */
  rotating(now) {
    return this.rotation.mayRotate ? rotating(this.write, this.rotation.onlyForSubject, now) : this.write;
  }
}

module.exports = { PreparedSave };
