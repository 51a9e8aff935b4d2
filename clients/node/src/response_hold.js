// Holds the head of a response back until the session is saved, because its headers depend on that.
'use strict';

const { AsyncLocalStorage } = require('node:async_hooks');
const { ServerResponse } = require('node:http');

/**
 * What the response asks the session.
 * @typedef {object} Holder
 * @property {() => boolean} mustWait Whether calls have to be made, or are under way.
 * @property {() => Promise<void>} finish Makes them.
 * @property {() => { name: string, value: string }[]} headers The headers for the response, when that is done.
 * @property {(error: any, status: number) => boolean} acceptsFailure Whether what waits is sent although they failed.
 * @property {(error: any) => void} fail Answers the request if they failed and the head was not sent.
 */

class ResponseHold {
  #response;
  #holder;
  /** Those of the response. @type {Record<string, Function>} */
  #methods;
  /** @type {'open' | 'waiting' | 'headReady' | 'released'} */
  #state = 'open';
  /** What waits, in its order. @type {(() => void)[]} */
  #held = [];
  /** Whether the end is among them. */
  #holdsEnd = false;
  /** Whether a `writeHead` is among them. */
  #holdsHead = false;
  /** Its status. @type {number | undefined} */
  #heldStatus;
  /** Whether another response takes the place of what waited, so that nothing of it is sent any more. */
  #isForgotten = false;
  /** Whether a write was told to wait for `drain`. */
  #hasRefusedWrite = false;
  /** Whether the head waits as the application has made it. */
  #isHeadHeld = false;
  /** Whether Node itself takes a head that waits for one that was sent. */
  #isMarked = false;
  /** What Node had in the place of the mark. */
  #unmarked = null;

  /** @param {import('node:http').ServerResponse} response @param {Holder} holder */
  constructor(response, holder) {
    this.#response = response;
    this.#holder = holder;
    // The head may have been sent before the session was used.
    if (response.headersSent) this.#state = 'headReady';
    const { writeHead, flushHeaders, write, end } = /** @type {any} */ (response);
    this.#methods = { writeHead, flushHeaders, write, end };
    // Each property costs a copy of the response's shape, since Express has replaced its prototype. So there are few.
    const held = /** @type {any} */ (response);
    held.writeHead = (/** @type {any[]} */ ...args) => this.writeHead(args);
    held.flushHeaders = () => this.flushHeaders();
    held.write = (/** @type {any[]} */ ...args) => this.write(args);
    held.end = (/** @type {any[]} */ ...args) => this.end(args);
  }

  /** Whether the head has gone to the browser. */
  get isHeadSent() {
    return !this.#isMarked && Reflect.get(Object.getPrototypeOf(this.#response), 'headersSent', this.#response);
  }

  /** What the application is told: it has sent the head, so it cannot change it any more. */
  get headersSent() {
    return this.#isHeadHeld || this.isHeadSent;
  }

  /** Has the application see a head that was sent, until it is. */
  #holdHead() {
    this.#isHeadHeld = true;
    if (CAN_BE_MARKED && this.#response instanceof ServerResponse && !this.isHeadSent) this.#mark();
    else this.#replaceChanges();
  }

  #mark() {
    const marked = /** @type {any} */ (this.#response);
    this.#isMarked = true;
    this.#unmarked = marked._header;
    marked._header = HELD;
  }

  #unmark() {
    if (!this.#isMarked) return;
    this.#isMarked = false;
    /** @type {any} */ (this.#response)._header = this.#unmarked;
  }

  /** Replaces the methods of a response that cannot be marked, such as one of HTTP/2. */
  #replaceChanges() {
    const held = /** @type {any} */ (this.#response);
    for (const [name, verb] of CHANGES) {
      const method = held[name];
      held[name] = (/** @type {any[]} */ ...args) => {
        if (!this.#isHeadHeld) return method.apply(held, args);
        // As Node does.
        throw Object.assign(new Error(`Cannot ${verb} headers after they are sent to the client`), { code: 'ERR_HTTP_HEADERS_SENT' });
      };
    }
    Object.defineProperty(held, 'headersSent', { configurable: true, enumerable: true, get: () => this.headersSent });
  }

  #letHeadGo() {
    this.#isHeadHeld = false;
    this.#unmark();
  }

  /** Calls a function that may change the head although it waits. @param {() => void} call */
  letChange(call) {
    const wasMarked = this.#isMarked;
    const wasHeld = this.#isHeadHeld;
    this.#letHeadGo();
    try {
      call();
    } finally {
      // Unless the function has failed the request.
      if (this.#state === 'waiting') {
        this.#isHeadHeld = wasHeld;
        if (wasMarked) this.#mark();
      }
    }
  }

  /** @param {any[]} args */
  writeHead(args) {
    const { writeHead } = this.#methods;
    const response = this.#response;
    if (this.#isForgotten) return response;
    if (this.#passes()) return writeHead.apply(response, args);
    const status = this.#takeHead(args);
    this.#holdsHead = true;
    this.#heldStatus ??= status[0];
    return this.#waitOrDo(() => { if (!this.isHeadSent) writeHead.apply(response, status); return response; }, response);
  }

  flushHeaders() {
    const { flushHeaders } = this.#methods;
    if (this.#isForgotten) return;
    if (this.#passes()) flushHeaders.call(this.#response);
    else this.#waitOrDo(() => flushHeaders.call(this.#response), undefined);
  }

  /** @param {any[]} args */
  write(args) {
    const { write } = this.#methods;
    if (this.#isForgotten) {
      callBack(args);
      return true;
    }
    if (this.#passes()) return write.apply(this.#response, args);
    return this.#waitOrDo(() => write.apply(this.#response, args), false);
  }

  /** @param {any[]} args */
  end(args) {
    const { end } = this.#methods;
    if (this.#isForgotten) {
      callBack(args);
      return this.#response;
    }
    if (this.#passes() && !this.#hasLateChanges()) return end.apply(this.#response, args);
    // As express-session does: a second end is no error while the first one waits.
    if (this.#holdsEnd) return this.#response;
    this.#holdsEnd = true;
    return this.#waitOrDo(() => end.apply(this.#response, args), this.#response);
  }

  /** Lets everything through that comes from now on, and forgets what waits. */
  release() {
    this.#isForgotten = this.#held.length > 0 && this.#holdsHead;
    this.#state = 'released';
    this.#letHeadGo();
    this.#held = [];
    // A middleware that has replaced the methods again and has seen the head, such as compression, would go on with the
    // response that is forgotten. The one in its place goes past it.
    if (this.#isForgotten) Object.assign(this.#response, this.#methods);
  }

  #passes() {
    return this.#state === 'headReady' || this.#state === 'released';
  }

  /** Whether something changed after the head was sent. Its save can set no cookie any more. */
  #hasLateChanges() {
    return this.#state === 'headReady' && this.#holder.mustWait();
  }

  /**
   * Applies the headers of a `writeHead` now, so that the session's are appended to them and not replaced by them.
   * @param {any[]} args @returns {any} The arguments without the headers.
   */
  #takeHead([status, ...rest]) {
    const response = this.#response;
    const message = typeof rest[0] === 'string' ? rest[0] : undefined;
    const headers = message === undefined ? rest[0] ?? rest[1] : rest[1];
    if (Array.isArray(headers)) {
      const pairs = Array.isArray(headers[0]) ? headers : pairsOf(headers);
      for (const [name] of pairs) response.removeHeader(name);
      for (const [name, value] of pairs) response.appendHeader(name, value);
    } else if (headers) {
      for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
    }
    return message === undefined ? [status] : [status, message];
  }

  /** @template Result @param {() => any} send @param {Result} resultIfHeld @returns {Result | any} */
  #waitOrDo(send, resultIfHeld) {
    if (this.#state === 'waiting') {
      this.#held.push(send);
      if (resultIfHeld === false) this.#hasRefusedWrite = true;
      return resultIfHeld;
    }
    if (!this.#holder.mustWait()) {
      this.#makeHead();
      return send();
    }
    const isHeadSent = this.#state === 'headReady';
    this.#state = 'waiting';
    if (!isHeadSent) this.#holdHead();
    this.#held.push(send);
    if (/** @type {unknown} */ (resultIfHeld) === false) this.#hasRefusedWrite = true;
    this.#holder.finish().then(() => this.#sendHeld(isHeadSent), (error) => this.#fail(error, isHeadSent));
    return resultIfHeld;
  }

  #makeHead() {
    const response = this.#response;
    this.#state = 'headReady';
    this.#letHeadGo();
    if (this.isHeadSent) return;
    appendHeaders(response, this.#holder.headers());
  }

  /** @param {boolean} isHeadSent */
  #sendHeld(isHeadSent) {
    const held = this.#held;
    this.#held = [];
    if (isHeadSent) this.#state = 'headReady';
    else this.#makeHead();
    try {
      for (const send of held) send();
    } catch (error) {
      // As if it had been thrown by the call that was held. Nobody is there to catch it.
      this.#response.destroy(/** @type {Error} */ (error));
      return;
    }
    if (this.#hasRefusedWrite && !this.#response.writableEnded) {
      this.#hasRefusedWrite = false;
      this.#response.emit('drain');
    }
  }

  /** @param {any} error @param {boolean} isHeadSent */
  #fail(error, isHeadSent) {
    if (!isHeadSent) {
      if (this.#holder.acceptsFailure(error, this.#heldStatus ?? this.#response.statusCode)) this.#sendHeld(isHeadSent);
      else this.#replace(error);
      return;
    }
    // The head has said that all is well. The connection ends, so that nobody takes the response for complete.
    console.warn('changes of a session were not saved after the head of the response: %s', error.message);
    this.#response.destroy();
  }

  /** Has another response made in the place of what waits. @param {any} error */
  #replace(error) {
    const response = this.#response;
    // Then the handler writes no more, or nobody gets what it writes.
    if (this.#holdsEnd || response.destroyed) {
      this.#holder.fail(error);
      return;
    }
    this.#dropOthers();
    answerCount += 1;
    response.once('close', () => {
      answerCount -= 1;
      // Before Node 24, it slows down each promise of the process as long as it is in use.
      if (answerCount === 0) answering.disable();
    });
    answering.run(this, () => this.#holder.fail(error));
  }

  /** Drops what does not come from the answer: the handler still writes, and knows nothing of it. */
  #dropOthers() {
    const response = this.#response;
    // An end is the handler's last call. Then an answer that has lost its context, as by a pool of connections, passes too.
    let isHandlerDone = false;
    for (const [name, method] of Object.entries(this.#methods)) {
      this.#methods[name] = (/** @type {any[]} */ ...args) => {
        if (isHandlerDone || answering.getStore() === this) return method.apply(response, args);
        isHandlerDone = name === 'end';
        callBack(args);
        return name === 'write' ? true : response;
      };
    }
  }
}

/** Says that all is written to who may wait for that. @param {any[]} args */
function callBack(args) {
  const callback = args.at(-1);
  if (typeof callback === 'function') process.nextTick(callback);
}

/** Runs what answers a request whose handler still writes. @type {AsyncLocalStorage<ResponseHold>} */
const answering = new AsyncLocalStorage();
/** The responses to such requests that are not closed yet. */
let answerCount = 0;

/** What stands in the place of a head that waits. Libraries for Express look at `_header` too. If one of them sends it, past the
 * methods of the response, the browser gets a response that it can read. */
const HELD = 'HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';
/** Whether a response with that refuses each change of its head, as Node's does. Then one that waits needs no methods of its
 * own for that: each would cost a copy of its shape. */
const CAN_BE_MARKED = canBeMarked();

function canBeMarked() {
  try {
    const response = new ServerResponse(/** @type {any} */ ({ method: 'GET', httpVersionMajor: 1, httpVersionMinor: 1 }));
    for (const isHeld of [true, false]) {
      /** @type {any} */ (response)._header = isHeld ? HELD : null;
      const isRefused = [['setHeader', 'a', ''], ['appendHeader', 'a', ''], ['removeHeader', 'a']].map(([name, ...args]) => {
        try {
          /** @type {any} */ (response)[name](...args);
          return false;
        } catch {
          return true;
        }
      });
      if (response.headersSent !== isHeld || isRefused.some((each) => each !== isHeld)) return false;
    }
    return true;
  } catch {
    return false;
  }
}

/** The methods that change the head, and what Node calls that. */
const CHANGES = [['setHeader', 'set'], ['appendHeader', 'append'], ['removeHeader', 'remove']];

/** @param {any} vary @param {string} name */
const variesBy = (vary, name) => [vary ?? []].flat().join().toLowerCase().split(/[\s,]+/).includes(name.toLowerCase());

/** @param {import('node:http').ServerResponse} response @param {{ name: string, value: string }[]} headers */
function appendHeaders(response, headers) {
  for (const { name, value } of headers) {
    if (name !== 'Vary' || !variesBy(response.getHeader('Vary'), value)) response.appendHeader(name, value);
  }
}

/** @param {any[]} flat @returns {[string, any][]} */
function pairsOf(flat) {
  /** @type {[string, any][]} */
  const pairs = [];
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.push([flat[i], flat[i + 1]]);
  return pairs;
}

/** Whether a header says something of a body: of one that is not sent it has to go. @param {string} name In lower case. */
function isOfBody(name) {
  return name.startsWith('content-') ? name !== 'content-security-policy' : HEADERS_OF_BODY.has(name);
}

/** Ends a stream that is not sent, which a framework would leave open. Anything else is the application's. @param {any} body */
function letGo(body) {
  if (typeof body?.pipe === 'function' && typeof body.destroy === 'function') {
    // It may say why it has ended, when nobody listens any more.
    body.on('error', () => {});
    body.destroy();
    return;
  }
  const stream = body instanceof Response ? body.body : body;
  if (stream instanceof ReadableStream) stream.cancel().catch(() => {});
}

const HEADERS_OF_BODY = new Set(['accept-ranges', 'cache-control', 'etag', 'last-modified', 'location', 'transfer-encoding']);

module.exports = { ResponseHold, appendHeaders, isOfBody, letGo, variesBy };
