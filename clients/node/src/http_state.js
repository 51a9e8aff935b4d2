// The session of a request whose response is Node's own `ServerResponse`.
'use strict';

const { RequestState } = require('./request_state.js');
const { ResponseHold, appendHeaders, isOfBody } = require('./response_hold.js');

class HttpState extends RequestState {
  /** @type {ResponseHold | undefined} */
  #hold;

  /**
   * @param {import('./client.js').Client} client @param {import('./request_state.js').Settings} settings
   * @param {any} request @param {import('node:http').ServerResponse} response
   */
  constructor(client, settings, request, response) {
    super(client, settings, request);
    this.response = response;
  }

  get isHeadSent() {
    return this.#hold?.isHeadSent ?? this.response.headersSent;
  }

  onFirstUse() {
    this.#hold = new ResponseHold(this.response, this);
  }

  /** @param {string} reason */
  onGone(reason) {
    const { settings, request, response } = this;
    if (settings.onGone) this.letChange(() => settings.onGone?.(reason, request, response));
    else super.onGone(reason);
  }

  /** Calls a function of the application that may change the head of the response while that waits. @param {() => void} call */
  letChange(call) {
    if (this.#hold === undefined) call();
    else this.#hold.letChange(call);
  }

  /** Has the end of the response seen, whether the request uses its session or not. */
  watchResponse() {
    void this.session;
  }

  /** Answers a request whose session could not be opened or saved. @param {any} error */
  fail(error) {
    this.giveUp();
    removeEntityHeaders(this.response);
    this.answer(error);
  }

  /** Makes no more calls: what answers the request now says that its session failed. */
  giveUp() {
    // An error handler can read what is known.
    if (!this.session.isOpen) this.remove();
    this.#hold?.release();
    // The cookie that an earlier save has set: the browser's is worth nothing any more.
    if (this.session.hasAnswered && !this.response.headersSent) appendHeaders(this.response, this.headers());
  }

  /** For the framework's file to replace. @param {any} error */
  answer(error) {
    throw error;
  }
}

/** Removes what was said about a body that is not sent. Others stay, such as those for CORS.
 * @param {import('node:http').ServerResponse} response */
function removeEntityHeaders(response) {
  if (response.headersSent) return;
  for (const name of response.getHeaderNames()) if (isOfBody(name)) response.removeHeader(name);
}

module.exports = { HttpState, removeEntityHeaders };
