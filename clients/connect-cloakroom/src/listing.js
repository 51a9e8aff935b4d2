// What a store says about all of its sessions, by AdminService. It knows the public ids of sessions, and not their keys.
'use strict';

const { decode, hasEndedEarly } = require('./changes.js');

/** @typedef {import('cloakroom-sessions/admin').AdminClient} AdminClient */
/** @typedef {import('cloakroom-sessions/admin').SessionInfo} SessionInfo */

class Listing {
  #admin;

  /** @param {AdminClient | undefined} admin @param {string} app */
  constructor(admin, app) {
    // An empty name is `default`. Otherwise `clear` would log out the users of another app.
    if (admin !== undefined && (admin.app || 'default') !== (app || 'default')) {
      throw new TypeError(`the store has the app "${app}" and its admin the app "${admin.app}"; give both the same`);
    }
    this.#admin = admin;
  }

  async all() {
    const sessions = await this.#collect(true, sessionOf);
    return sessions.filter(({ cookie }) => !hasEndedEarly(cookie));
  }

  async ids() {
    return this.#collect(false, ({ id }) => id);
  }

  async length() {
    return (await this.ids()).length;
  }

  async clear() {
    await this.#required('clear').revokeApp();
  }

  /** @template Result @param {boolean} withEntries @param {(info: SessionInfo) => Result} resultOf */
  async #collect(withEntries, resultOf) {
    const results = [];
    for await (const info of this.#required('listing').listAll({ pageSize: PAGE_SIZE, withEntries })) {
      results.push(resultOf(info));
    }
    return results;
  }

  /** @param {string} what */
  #required(what) {
    if (this.#admin !== undefined) return this.#admin;
    throw new TypeError(`${what} needs AdminService: give the store the option admin, an AdminClient of cloakroom-sessions/admin`);
  }
}

/** Returns a session as connect-redis' `all` does: its data, and its id.
 * @param {SessionInfo} info @returns {Record<string, any>} */
function sessionOf({ id, entries, expireTime }) {
  const values = new Map([...entries].map(([name, value]) => [name, typeof value === 'string' ? { json: value } : {}]));
  return { ...decode({ entries: values, expireTime: expireTime.getTime() }), id };
}

/** The most that the service lists in one call. */
const PAGE_SIZE = 1000;

module.exports = { Listing };
