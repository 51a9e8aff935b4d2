// The options that all frameworks have, and advice for those of other libraries.
'use strict';

const { Client } = require('./client.js');
const { checkCookie } = require('./cookie_attributes.js');

/**
 * Returns the options after a check, and the client that they describe. Throws TypeError.
 * @template {import('./request_state.js').Settings} Options
 * @param {Options} options @param {Record<string, string>} [refused] Options that this framework has not, with advice.
 */
function checkOptions(options, refused = {}) {
  const advice = { ...ADVICE, ...refused };
  for (const name of Object.keys(options)) {
    if (advice[name] !== undefined) throw new TypeError(`sessions() has no option ${name}: ${advice[name]}`);
    if (!OPTIONS.includes(name)) throw new TypeError(`sessions() has no option ${name}`);
  }
  if (/** @type {boolean | undefined} */ (options.rolling) === false) {
    throw new TypeError('rolling cannot be false: leave it out, and set [apps.<name>] refresh_each_request = false in the service');
  }
  if (options.unset !== undefined && !['keep', 'destroy'].includes(options.unset)) {
    throw new TypeError('unset must be "keep" or "destroy"');
  }
  if (options.maxAge !== undefined && !(options.maxAge >= 1000)) throw new TypeError('maxAge is a number of milliseconds, at least 1000');
  checkCookie(options.cookie);
  const client = /** @type {Client} */ (options.client ?? new Client(options));
  return { settings: options, client };
}

// Those of express-session that ask for what the service does anyway, resave and rolling, have no effect.
const OPTIONS = [
  'app', 'client', 'cookie', 'credentials', 'deadline', 'lazy', 'maxAge', 'maxAuthenticateAge', 'name', 'onGone', 'onUnavailable',
  'resave', 'rolling', 'saveUninitialized', 'sendContext', 'service', 'subject', 'transport', 'unset',
];
/** @type {Record<string, string>} */
const ADVICE = {
  genid: 'the service makes the ids',
  key: 'the name of the cookie is the option name, or a setting of the service',
  proxy: 'with cookie: { secure: "auto" }, the framework says whether the request came by TLS; set its "trust proxy"',
  secret: 'the keys are settings of the service, [apps.<name>] keys',
  store: 'the service has the store',
};

module.exports = { checkOptions };
