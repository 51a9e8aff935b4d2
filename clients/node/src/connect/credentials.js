// What a client shows to the service, and how it recognizes the service.
'use strict';

const fs = require('node:fs');
const tls = require('node:tls');

/**
 * What the calls of a client are authenticated by.
 * @typedef {object} Credentials
 * @property {string} [token] The caller token, which is sent with every call.
 * @property {string} [caFile] The certificates, in PEM, that may have signed the service's. Without it: those that
 *   Node trusts.
 * @property {string} [certificateFile] The client's certificate, with its chain, in PEM.
 * @property {string} [keyFile] The key of that certificate, in PEM.
 */

/**
 * Throws TypeError if credentials are not valid, or need TLS and an address is without.
 * @param {Credentials} credentials
 * @param {import('./address.js').Address[]} addresses
 */
function checkCredentials({ token = '', caFile, certificateFile, keyFile }, addresses) {
  if ((certificateFile === undefined) !== (keyFile === undefined)) {
    throw new TypeError('certificateFile and keyFile belong together: set both or none');
  }
  if (!/^[!-~]*$/.test(token)) {
    throw new TypeError('token has a character that is not visible ASCII, such as a newline at its end');
  }
  if ((caFile !== undefined || certificateFile !== undefined) && !addresses.every(({ isTls }) => isTls)) {
    throw new TypeError('the credentials need TLS: write the address as https://host:port');
  }
}

/** Makes the settings of TLS from credentials, and again when a file has changed. */
class TlsContexts {
  /** @type {{ versions: string, context: tls.SecureContext } | undefined} */
  #made;
  /** @param {Credentials} credentials */
  constructor(credentials) {
    this.credentials = credentials;
  }

  /** Throws an error if a file cannot be read or is not valid. */
  context() {
    const { caFile, certificateFile, keyFile } = this.credentials;
    const versions = [caFile, certificateFile, keyFile]
      .map((name) => (name === undefined ? '' : fs.statSync(name, { bigint: true }).mtimeNs))
      .join();
    if (this.#made?.versions !== versions) {
      /** @param {string | undefined} name */
      const read = (name) => (name === undefined ? undefined : fs.readFileSync(name));
      const context = tls.createSecureContext({ ca: read(caFile), cert: read(certificateFile), key: read(keyFile) });
      this.#made = { versions, context };
    }
    return this.#made.context;
  }
}

module.exports = { TlsContexts, checkCredentials };
