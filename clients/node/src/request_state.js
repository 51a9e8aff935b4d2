// What a request needs to know of its session, whatever the framework: the object that the application sees, and what
// the options add to a save. A framework's file extends it by where the request comes from and how it is answered.
'use strict';

const { now } = require('./clock.js');
const { CloakroomError } = require('./errors.js');
const { RequestSession, keepEntries, makeRequestSession, warnOfHidden } = require('./request_session.js');
const { Session } = require('./session.js');
const { subjectOf } = require('./subject.js');
const { cookieAttributes } = require('./cookie_attributes.js');

/** @typedef {import('../types/request_session').CommonOptions & { lazy?: boolean }} Settings */

class RequestState {
  /** What the application sees. Undefined: not asked for yet. Null: the application has removed it. @type {any} */
  #requestSession;
  /** @type {Session | undefined} */
  #session;
  /** The error that a callback of the application has got last. @type {any} */
  toldOf;
  /** Whether what was changed is not saved any more. */
  #hasForgotten = false;
  #receiveTime = now();

  /** @param {import('./client.js').Client} client @param {Settings} settings @param {any} request */
  constructor(client, settings, request) {
    this.client = client;
    this.settings = settings;
    this.request = request;
  }

  // For the framework's file to replace.

  /** The Cookie header of the request, as Latin-1. @returns {string | undefined} */
  get cookieHeader() {
    return this.request.headers.cookie;
  }

  /** Where the request comes from. @returns {{ userAgent?: string, remoteAddress?: string }} */
  get context() {
    const { headers, ip, socket } = this.request;
    return { userAgent: headers['user-agent'], remoteAddress: ip ?? socket.remoteAddress };
  }

  /** The request as the framework gives it to the application. */
  get frameworkRequest() {
    return this.request;
  }

  /** Whether the browser has sent the request by TLS, as far as the framework trusts its proxy. @returns {boolean} */
  get isSecure() {
    const { secure, protocol, socket } = this.request;
    return secure ?? (protocol === 'https' || socket?.encrypted === true);
  }

  /** Whether the response can set no cookie any more. */
  get isHeadSent() {
    return false;
  }

  /** The class of the object that the application sees. */
  get sessionClass() {
    return RequestSession;
  }

  /** Whether a response whose save has failed says that the service could not do what was asked. One that blames the request,
   * such as a 401, does not: nobody would learn that the count of failed logins was not saved.
   * @param {number} status @param {any} _error That of the save. */
  answersError(status, _error) {
    return status >= 500;
  }

  /** Is called when the session is used for the first time. */
  onFirstUse() {}

  /** Tells the application that the changes were not written. @param {string} reason */
  onGone(reason) {
    if (this.settings.onGone) this.settings.onGone(reason, this.request);
    else console.warn("a request's changes were not saved, for its session has ended: %s", reason);
  }

  /** @param {string} text */
  warn(text) {
    console.warn(text);
  }

  // For the application.

  /** Made at its first use: a request that does not touch its session pays for nothing. */
  get session() {
    if (this.#session !== undefined) return this.#session;
    const { client, settings } = this;
    /** @type {RequestState['context'] | undefined} */
    let context;
    this.#session = new Session(client, {
      cookieHeader: this.cookieHeader,
      cookieName: settings.name,
      cookieAttributes: cookieAttributes(this),
      context: settings.sendContext === false ? undefined : () => (context ??= this.context),
      maxAuthenticateAge: settings.maxAuthenticateAge,
      keepEmpty: settings.saveUninitialized,
      onOpen: (names) => warnOfHidden(this.sessionClass, names, (text) => this.warn(text)),
      receiveTime: this.#receiveTime,
    });
    this.onFirstUse();
    return this.#session;
  }

  /** Whether the request has asked for its session in any way. */
  get isUsed() {
    return this.#session !== undefined;
  }

  get() {
    if (this.#requestSession !== undefined) return this.#requestSession ?? undefined;
    this.session.accessed = true;
    this.#requestSession = makeRequestSession(this);
    return this.#requestSession;
  }

  /** @param {any} value */
  set(value) {
    if (value !== undefined && value !== null) {
      throw new TypeError('the session can only be set to null or undefined: set its properties instead');
    }
    this.remove();
    // The end of the response has to wait for the call that ends the session.
    if (this.settings.unset === 'destroy') void this.session;
  }

  /** Takes the session away from the application. What it has changed is not saved. */
  remove() {
    this.#requestSession = null;
  }

  /** Removes all entries, and gives the request a new object. The one before keeps what it has, to be read. */
  regenerate() {
    keepEntries(this.#requestSession);
    this.session.clear();
    this.#requestSession = makeRequestSession(this);
  }

  async destroy() {
    await this.session.destroy();
    this.remove();
  }

  async reload() {
    keepEntries(this.#requestSession);
    const isThere = await this.session.reload();
    if (!isThere) throw new CloakroomError('failed to load session', 'NOT_FOUND', '');
    this.#requestSession = makeRequestSession(this);
  }

  /** Saves the changes, with what the options add to them. */
  async save() {
    if (this.#needsOpenForOptions()) await this.session.openUpFront();
    this.#addByOptions();
    await this.session.save();
  }

  /** Whether the options depend on what the session has, and that is not known yet. */
  #needsOpenForOptions() {
    const { session, settings: { subject, maxAge } } = this;
    const hasOptions = subject !== undefined || (maxAge !== undefined && !session.changesPermanent);
    return hasOptions && this.#requestSession !== null && !session.isOpen && session.hasUnsavedChanges();
  }

  #addByOptions() {
    const { session, settings } = this;
    if (this.#requestSession === null || !session.hasUnsavedChanges()) return;
    if (settings.subject !== undefined) {
      const subject = subjectOf(settings.subject(this.get()), OPTION_SUBJECT);
      if (subject !== session.subject) session.subject = subject;
    }
    if (settings.maxAge !== undefined && !session.changesPermanent && (session.beginsAnew || session.isNew)) {
      session.permanent = true;
      if (!session.changesIdleTimeout) session.idleTimeout = settings.maxAge;
    }
  }

  // For the end of the request.

  /** Whether calls have to be made before the head of the response is sent, or are under way. */
  mustWait() {
    const { session, settings } = this;
    if (this.#hasForgotten || (this.#requestSession === null && settings.unset !== 'destroy')) return session.isBusy;
    return session.isBusy || session.hasUnsavedChanges() || this.#mustStoreEmpty() || this.#mustEnd();
  }

  /** Whether a new session is stored although nothing has changed. */
  #mustStoreEmpty() {
    const { session, settings } = this;
    return settings.saveUninitialized === true && this.#requestSession !== null && session.isOpen && !session.isNull &&
      session.isNew && !this.isHeadSent;
  }

  #mustEnd() {
    return this.#requestSession === null && this.settings.unset === 'destroy' && !this.session.isEnded;
  }

  /** Makes the calls at the end of the request. */
  async finish() {
    const { session } = this;
    if (this.#hasForgotten) {
      await session.settle();
      return;
    }
    // The request has waited for the service already.
    if (session.unavailable !== undefined && session.hasUnsavedChanges()) throw session.unavailable;
    if (this.#mustEnd()) await session.destroy();
    else if (this.#requestSession !== null) {
      if (this.#mustStoreEmpty()) session.saveInAnyCase();
      const wasGone = session.gone;
      if (this.#needsOpenForOptions()) await session.openUpFront();
      this.#addByOptions();
      await session.finish();
      if (session.gone !== undefined && wasGone === undefined) this.onGone(session.gone);
    } else {
      // What was saved before stays saved, and nothing more is.
      await session.settle();
    }
  }

  /**
   * Whether the application's response goes out although its session cannot be saved: its status is 500 or more, or a callback has
   * got this error and the session was not changed since. Then the changes are forgotten. Another response says that they count,
   * and the application does not know better.
   *
   * An answer in its place would be a second one to the error: error handlers that have been called cannot be called again.
   * @param {any} error @param {number} status
   */
  acceptsFailure(error, status) {
    const isTold = this.toldOf !== undefined && this.toldOf === error && !this.session.hasNewChanges;
    if (!isTold && !this.answersError(status, error)) return false;
    this.#hasForgotten = true;
    if (!isTold) this.warn(`changes of a session were not saved, and the response is that of an error already: ${error?.message}`);
    return true;
  }

  /** The headers for the response, which are all of the service's. */
  headers() {
    return this.session.headers();
  }
}

const OPTION_SUBJECT = 'the option subject returns the id of the user, a string or an integer, such as session.passport?.user.id';

module.exports = { RequestState };
