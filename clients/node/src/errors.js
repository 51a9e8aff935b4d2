// The errors that applications see, and the one between transport and client.
'use strict';

/** A call failed. */
class CloakroomError extends Error {
  /**
   * @param {string} message
   * @param {string} code The code of the call, such as `UNAVAILABLE`.
   * @param {string} reason The service's reason, such as `STORE_UNAVAILABLE`. Empty if the service did not answer.
   */
  constructor(message, code, reason) {
    super(message);
    this.name = new.target.name;
    this.code = code;
    this.reason = reason;
    /** The HTTP status, as Express reads it. */
    this.status = 500;
  }
}

/** The service did not answer in time, or cannot. A later request may succeed. */
class SessionUnavailable extends CloakroomError {
  /** @param {string} message @param {string} code @param {string} reason */
  constructor(message, code, reason) {
    super(message, code, reason);
    this.status = 503;
    /** As Express' own error handler sends them. */
    this.headers = { 'Retry-After': String(RETRY_AFTER) };
  }
}

/** The service refused the call. Nothing was written. */
class SessionRefused extends CloakroomError {
  /** @param {string} message @param {string} code @param {string} reason */
  constructor(message, code, reason) {
    super(message, code, reason);
    // The cookies of a browser are no fault of the application.
    if (reason === 'COOKIES_AMBIGUOUS') this.status = 400;
  }
}

/** An entry was read before the session was opened. */
class SessionNotOpened extends CloakroomError {
  /** @param {string} what */
  constructor(what) {
    super(`${what} needs the open session: call "await session.open()" first`, 'FAILED_PRECONDITION', '');
  }
}

/** One attempt of a call failed. A transport throws nothing else. */
class CallFailed extends Error {
  /** @param {string} code @param {string} reason @param {string} message */
  constructor(code, reason, message) {
    super(message);
    this.name = 'CallFailed';
    this.code = code;
    this.reason = reason;
  }
}

/** The certificate of the service is not trusted, so a repeat would fail as well. */
class Untrusted extends CallFailed {
  /** @param {string} message */
  constructor(message) {
    super('UNAVAILABLE', '', message);
  }
}

/** Seconds after which a browser may try again during an outage. */
const RETRY_AFTER = 5;

module.exports = { CallFailed, CloakroomError, RETRY_AFTER, SessionNotOpened, SessionRefused, SessionUnavailable, Untrusted };
