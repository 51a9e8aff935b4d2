// The settings of an app in memory, with the names and defaults of the service's configuration.
'use strict';

const { invalid } = require('./refusals.js');

/** @typedef {import('../../types/testing').App} Settings */
/** How long a session lives, in milliseconds. @typedef {{ idle: number, absolute: number }} Timeouts */

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** @type {Settings & Required<Omit<Settings, 'anonymousIdleTimeout' | 'anonymousAbsoluteTimeout'>>} */
const DEFAULTS = {
  name: 'default',
  cookieName: 'session',
  cookieDomain: '',
  cookiePath: '/',
  cookieHttponly: true,
  cookieSecure: false,
  cookieSamesite: 'Lax',
  cookiePartitioned: false,
  refreshEachRequest: true,
  idleTimeout: 31 * DAY,
  absoluteTimeout: 365 * DAY,
  anonymousIdleTimeout: undefined,
  anonymousAbsoluteTimeout: undefined,
  subjectKey: '',
  maxSessionsPerSubject: 1000,
  onSessionLimit: 'evict',
  maxEntries: 256,
  maxSessionBytes: 64 * 1024,
};

/** One app of the service, of kind `stored`. */
class App {
  /** @param {Settings} [settings] */
  constructor(settings = {}) {
    for (const name of Object.keys(settings)) {
      if (!(name in DEFAULTS)) throw new TypeError(`an app has no setting ${name}; it has ${Object.keys(DEFAULTS).join(', ')}`);
    }
    this.settings = { ...DEFAULTS, ...settings };
    this.name = this.settings.name;
    const { absoluteTimeout, idleTimeout, anonymousAbsoluteTimeout: absolute = absoluteTimeout } = this.settings;
    /** @type {Timeouts} */
    this.own = { idle: idleTimeout, absolute: absoluteTimeout };
    /** The timeouts of sessions without a subject. @type {Timeouts} */
    this.anonymous = { idle: Math.min(this.settings.anonymousIdleTimeout ?? idleTimeout, absolute), absolute };
    checkSettings(this);
  }

  get hasAnonymousTimeouts() {
    return this.own.idle !== this.anonymous.idle || this.own.absolute !== this.anonymous.absolute;
  }

  /** Returns the app with the cookie that a request asks for.
   * @param {{ cookieName: string, cookieAttributes?: Record<string, any> }} request */
  forRequest({ cookieName, cookieAttributes = {} }) {
    const chosen = Object.entries(cookieAttributes).filter(([, value]) => value !== undefined);
    if (cookieName === '' && chosen.length === 0) return this;
    const isInsecure = this.settings.cookieSecure && cookieAttributes.secure === false;
    const isBadName = !isInsecure && cookieName !== '' && !COOKIE_NAME.test(cookieName);
    const reason = chosen.length === 0 || isBadName ? 'COOKIE_NAME_INVALID' : 'COOKIE_ATTRIBUTES_INVALID';
    try {
      if (isInsecure) throw new RangeError('secure: the cookie of the app is sent over TLS only');
      if (!isBadName) checkAttributes(cookieAttributes);
      const attributes = Object.fromEntries(chosen.map(([name, value]) => [SETTINGS_OF_ATTRIBUTES[name], value]));
      return new App({ ...this.settings, cookieName: cookieName || this.settings.cookieName, ...attributes });
    } catch (error) {
      throw invalid(reason, `the cookie of this request: ${/** @type {Error} */ (error).message}`);
    }
  }

  policy() {
    const { name, maxSessionsPerSubject, onSessionLimit, ...policy } = this.settings;
    return {
      ...policy, app: name, kind: 'STORED', rotationGrace: 30_000, anonymousIdleTimeout: this.anonymous.idle,
      anonymousAbsoluteTimeout: this.anonymous.absolute,
    };
  }

  /** Returns the header that sets the cookie. Without a time it lasts until the browser closes.
   * @param {string} value @param {number | undefined} expireTime @param {number} now */
  setCookie(value, expireTime, now) {
    return this.#cookie(value, expireTime === undefined ? '' : expires(Math.min(expireTime, now + MAX_COOKIE_LIFETIME)));
  }

  deleteCookie() {
    return this.#cookie('', `${expires(0)}; Max-Age=0`);
  }

  /** @param {string} value @param {string} expiry */
  #cookie(value, expiry) {
    const {
      cookieName, cookieDomain, cookieSecure, cookieHttponly, cookiePath, cookieSamesite, cookiePartitioned,
    } = this.settings;
    const parts = [
      `${cookieName}=${value}`,
      cookieDomain && `; Domain=${cookieDomain}`,
      expiry,
      cookieSecure && '; Secure',
      cookieHttponly && '; HttpOnly',
      `; Path=${cookiePath}`,
      cookieSamesite && `; SameSite=${cookieSamesite}`,
      cookiePartitioned && '; Partitioned',
    ];
    return { name: 'Set-Cookie', value: parts.filter(Boolean).join('') };
  }
}

/** @param {number} time */
const expires = (time) => `; Expires=${new Date(time).toUTCString()}`;

/** Throws a RangeError for settings that the service refuses. @param {App} app */
function checkSettings({ settings, own, anonymous }) {
  for (const [name, value, least, most] of /** @type {[string, number, number, number][]} */ ([
    ['idleTimeout', own.idle, MINUTE, own.absolute],
    ['absoluteTimeout', own.absolute, MINUTE, 400 * DAY],
    ['anonymousIdleTimeout', anonymous.idle, MINUTE, Math.min(own.idle, anonymous.absolute)],
    ['anonymousAbsoluteTimeout', anonymous.absolute, MINUTE, own.absolute],
    ['maxSessionsPerSubject', settings.maxSessionsPerSubject, 0, 10_000],
    ['maxEntries', settings.maxEntries, 1, 4096],
    ['maxSessionBytes', settings.maxSessionBytes, 1024, 1024 * 1024],
  ])) {
    if (!(value >= least && value <= most)) throw new RangeError(`${name} is ${value}; it has to be from ${least} to ${most}`);
  }
  if (settings.subjectKey === '_permanent' || settings.subjectKey.includes('.')) {
    throw new RangeError('subjectKey names an entry other than `_permanent`; paths such as `passport.user` need a real service');
  }
  if (!settings.cookieSecure && (settings.cookieSamesite === 'None' || settings.cookiePartitioned)) {
    throw new RangeError('cookieSamesite None and cookiePartitioned need cookieSecure');
  }
  checkCookieName(settings);
}

/** @param {App['settings']} settings */
function checkCookieName({ cookieName, cookieSecure, cookieDomain, cookiePath, cookieHttponly }) {
  if (!COOKIE_NAME.test(cookieName)) throw new RangeError('cookieName has 1 to 256 letters, digits and !#$%&\'*+-.^_`|~');
  const isHostOnly = cookieSecure && cookieDomain === '' && cookiePath === '/';
  const isAllowed = {
    '__host-http-': isHostOnly && cookieHttponly,
    '__host-': isHostOnly,
    '__http-': cookieSecure && cookieHttponly,
    '__secure-': cookieSecure,
  };
  const found = Object.entries(isAllowed).find(([prefix]) => cookieName.toLowerCase().startsWith(prefix));
  if (found?.[1] === false) throw new RangeError(`browsers refuse a ${found[0]} cookie without other attributes`);
}

/** @param {Record<string, any>} attributes */
function checkAttributes({ path, domain, samesite }) {
  if (path !== undefined && !COOKIE_PATH.test(path)) throw new RangeError('path begins with /, and has printable characters');
  if (domain && !(domain.length <= 253 && COOKIE_DOMAIN.test(domain))) throw new RangeError('domain is a host name');
  if (!['Strict', 'Lax', 'None', '', undefined].includes(samesite)) throw new RangeError('samesite is Strict, Lax, None or empty');
}

/** @type {Record<string, string>} */
const SETTINGS_OF_ATTRIBUTES = {
  domain: 'cookieDomain', path: 'cookiePath', secure: 'cookieSecure', samesite: 'cookieSamesite',
};
const COOKIE_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/;
const COOKIE_PATH = /^\/[!-:<-~]{0,1023}$/;
const COOKIE_DOMAIN = /^[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?(?:\.[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?)*$/;
/** Browsers shorten a longer lifetime. */
const MAX_COOKIE_LIFETIME = 400 * DAY;

module.exports = { App };
