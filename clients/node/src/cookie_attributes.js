// The attributes of the cookie that one request chooses, by the option `cookie`.
'use strict';

/** @typedef {import('../types/request_session').CookieAttributes} CookieAttributes */

const NAMES = ['domain', 'path', 'sameSite', 'secure'];
/** @type {Record<string, string>} */
const ADVICE = {
  maxAge: 'it is an option of sessions() itself',
  expires: 'maxAge is an option of sessions()',
};

/** Throws a TypeError if a request could not choose these attributes. @param {any} cookie */
function checkCookie(cookie) {
  if (typeof cookie === 'function' || cookie === undefined) return;
  if (typeof cookie !== 'object' || cookie === null) throw new TypeError('cookie is an object of attributes, or a function');
  for (const name of Object.keys(cookie)) {
    if (!NAMES.includes(name)) {
      const advice = ADVICE[name] ?? 'it is a setting of the service, [apps.<name>.cookie]';
      throw new TypeError(`the option cookie has no ${name}: ${advice}`);
    }
  }
}

/**
 * Returns what the calls of a request send, the same for all of them. Undefined: the attributes are the app's own.
 * @param {{ settings: { cookie?: any }, frameworkRequest: any, isSecure: boolean }} state
 */
function cookieAttributes(state) {
  const { cookie } = state.settings;
  if (cookie === undefined) return undefined;
  /** @type {CookieAttributes} */
  const chosen = typeof cookie === 'function' ? cookie(state.frameworkRequest) ?? {} : cookie;
  if (chosen !== cookie) checkCookie(chosen);
  const { domain, path, sameSite, secure } = chosen;
  // As in express-session: without TLS, `auto` leaves what the service has for the app. SameSite=None needs Secure.
  const wanted = secure ?? (sameSite === 'auto' ? 'auto' : undefined);
  const isSecure = wanted === 'auto' ? state.isSecure || undefined : wanted;
  return { domain, path, secure: isSecure, samesite: sameSiteText(sameSite, state.isSecure) };
}

/** @param {CookieAttributes['sameSite']} sameSite @param {boolean} cameByTls */
function sameSiteText(sameSite, cameByTls) {
  if (sameSite === undefined) return undefined;
  // As in express-session: cookies for other sites need TLS.
  if (sameSite === 'auto') return cameByTls ? 'None' : 'Lax';
  if (sameSite === false) return '';
  const text = sameSite === true ? 'strict' : String(sameSite);
  return text.charAt(0).toUpperCase() + text.slice(1).toLowerCase();
}

module.exports = { checkCookie, cookieAttributes };
