// One connection to the service by HTTP/2. It carries many calls at a time.
'use strict';

const { now, timeUntil } = require('../clock.js');
const http2 = require('./http2.js');
const { MAX_BODY } = require('./response.js');
const { TimedOut } = require('./socket.js');

const { MalformedFrames } = http2;

/** @typedef {import('../messages.js').Method} Method */
/** @typedef {import('./response.js').Response} Response */
/**
 * A call without its whole response. `window` is how much of a request the service takes now, and `unsent` what waits.
 * @typedef {{ resolve: (response: Response) => void, reject: (error: Error) => void, timer: NodeJS.Timeout, window: number,
 *   unsent: Buffer, head: import('./http2.js').Head | undefined, parts: Buffer[], size: number }} Call
 */

/** What is there does not speak HTTP/2, or has closed the connection at once. It has got no request. */
class NotHttp2 extends Error {
  /** @param {string} message @param {boolean} hasAnswered Whether it speaks something else. */
  constructor(message, hasAnswered) {
    super(message);
    this.hasAnswered = hasAnswered;
  }
}

class Http2Connection {
  /** Whether no call was answered on it yet. */
  isNew = true;
  lastUse = now();
  /** Whether it can carry no other call. */
  isEnded = false;
  /** Calls at a time, as the service says. */
  maxCalls = Infinity;
  /** Called when it can carry no other call. Those that are under way may go on. @type {() => void} */
  onEnd = () => {};
  /** Called when the service has changed its number of calls. @type {() => void} */
  onLimit = () => {};
  /** @type {import('node:net').Socket} */
  #socket;
  #writer;
  #frames = new http2.FrameReader();
  /** By stream. @type {Map<number, Call>} */
  #calls = new Map();
  #nextStream = 1;
  /** What is to be written. @type {Buffer[]} */
  #queue = [];
  #flush = () => this.#writeAll();
  /** Bytes of requests that the service takes now, of all calls, and of a new call. */
  #window = http2.FIRST_WINDOW;
  #firstWindow = http2.FIRST_WINDOW;
  /** Bytes of responses that the service was not told of. */
  #received = 0;
  /** Frames that were acknowledged while the service does not read. */
  #acknowledged = 0;
  /** A list of header fields of which frames are missing. @type {{ stream: number, flags: number, parts: Buffer[], size: number } | undefined} */
  #headers;
  /** Of `whenReady`. @type {{ resolve: () => void, reject: (error: Error) => void } | undefined} */
  #start;
  #isReady = false;
  /** Why it is closed. @type {Error | undefined} */
  #cause;

  /** @param {import('node:net').Socket} socket @param {import('./http2.js').Http2RequestWriter} writer */
  constructor(socket, writer) {
    this.#socket = socket;
    this.#writer = writer;
    socket.on('error', (error) => this.#close(error));
    socket.on('end', () => this.#close(new Error('the connection was closed')));
    socket.on('close', () => this.#close(new Error('the connection was closed')));
    socket.write(http2.writeStart());
  }

  /**
   * Waits for the first frame of the service. Throws `NotHttp2` if something else comes.
   * @param {number} end When it fails with TimedOut.
   * @returns {Promise<void>}
   */
  whenReady(end) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#close(new TimedOut('no connection in time')), timeUntil(end));
      this.#start = {
        resolve: () => { clearTimeout(timer); resolve(); },
        reject: (error) => { clearTimeout(timer); reject(error); },
      };
      if (this.#isReady) this.#start.resolve();
      else if (this.#cause !== undefined) this.#start.reject(this.#cause);
    });
  }

  /**
   * Sends a request and returns its response.
   * @param {Method} method @param {Buffer} message
   * @param {number} timeout Milliseconds that the service may take.
   * @param {number} end When it fails with TimedOut.
   * @returns {Promise<Response>}
   */
  call(method, message, timeout, end) {
    return new Promise((resolve, reject) => {
      if (this.isEnded) {
        reject(new Error('the connection was closed'));
        return;
      }
      const stream = this.#nextStream;
      this.#nextStream += 2;
      const timer = setTimeout(() => this.#giveUp(stream, new TimedOut('no answer in time')), timeUntil(end));
      /** @type {Call} */
      const call = { resolve, reject, timer, window: this.#firstWindow, unsent: NOTHING, head: undefined, parts: [], size: 0 };
      if (this.#calls.size === 0) this.#socket.ref();
      this.#calls.set(stream, call);
      const maxBody = Math.min(this.#window, call.window, http2.MAX_FRAME);
      this.#write(this.#writer.write(stream, method, message, timeout, maxBody));
      if (message.length <= maxBody) {
        this.#window -= message.length;
        call.window -= message.length;
      } else {
        call.unsent = message;
        this.#writeUnsent();
      }
      if (this.#nextStream > http2.MAX_WINDOW) this.#retire();
    });
  }

  close() {
    this.#close(new Error('the connection was closed'));
  }

  /** @param {Buffer} data What has arrived. */
  receive(data) {
    if (this.#cause !== undefined) return;
    try {
      this.#frames.receive(data, this.#take);
    } catch (error) {
      this.#close(/** @type {Error} */ (error));
    }
  }

  /** @param {number} type @param {number} flags @param {number} stream @param {Buffer} payload */
  #take = (type, flags, stream, payload) => {
    if (!this.#isReady) this.#becomeReady(type, flags);
    if (this.#headers !== undefined && type !== http2.CONTINUATION) throw new MalformedFrames('header fields are cut off');
    switch (type) {
      case http2.DATA: return this.#takeBody(flags, stream, payload);
      case http2.HEADERS: return this.#beginHeaders(flags, stream, payload);
      case http2.CONTINUATION: return this.#addHeaders(flags, stream, payload);
      case http2.RST_STREAM: return this.#takeReset(stream, payload);
      case http2.SETTINGS: return this.#takeSettings(flags, payload);
      case http2.PUSH_PROMISE: throw new MalformedFrames('a response that nobody asked for');
      case http2.PING: return this.#takePing(flags, payload);
      case http2.GOAWAY: return this.#takeGoaway(payload);
      case http2.WINDOW_UPDATE: return this.#takeWindow(stream, payload);
      default: return undefined;
    }
  };

  /** @param {number} type @param {number} flags */
  #becomeReady(type, flags) {
    if (type !== http2.SETTINGS || (flags & http2.ACK) !== 0) throw new MalformedFrames('it does not begin with its settings');
    this.#isReady = true;
    this.lastUse = now();
    this.#socket.unref();
    this.#start?.resolve();
  }

  /** @param {number} flags @param {number} stream @param {Buffer} payload */
  #takeBody(flags, stream, payload) {
    this.#received += payload.length;
    if (this.#received >= MAX_UNREPORTED) {
      this.#write(http2.writeNumber(http2.WINDOW_UPDATE, 0, this.#received));
      this.#received = 0;
    }
    const call = this.#callOf(stream);
    if (call === undefined) return;
    if (call.head === undefined) throw new MalformedFrames('a body without a head');
    const part = http2.withoutPadding(flags, payload);
    call.size += part.length;
    if (call.size > (call.head.length ?? MAX_BODY)) throw new MalformedFrames('a body is longer than it may be');
    if (part.length > 0) call.parts.push(part);
    if (flags & http2.END_STREAM) this.#finish(stream, call);
  }

  /** @param {number} flags @param {number} stream @param {Buffer} payload */
  #beginHeaders(flags, stream, payload) {
    const part = http2.withoutPadding(flags, payload, flags & http2.PRIORITY ? PRIORITY_SIZE : 0);
    if (flags & http2.END_HEADERS) this.#takeHeaders(flags, stream, part);
    else this.#headers = { stream, flags, parts: [part], size: part.length };
  }

  /** @param {number} flags @param {number} stream @param {Buffer} payload */
  #addHeaders(flags, stream, payload) {
    const headers = this.#headers;
    if (headers === undefined || headers.stream !== stream) throw new MalformedFrames('header fields without their beginning');
    headers.parts.push(payload);
    headers.size += payload.length;
    if (headers.size > MAX_HEADERS || headers.parts.length > MAX_PARTS) throw new MalformedFrames('the header fields are too long');
    if ((flags & http2.END_HEADERS) === 0) return;
    this.#headers = undefined;
    this.#takeHeaders(headers.flags, stream, Buffer.concat(headers.parts));
  }

  /** @param {number} flags Of the first frame. @param {number} stream @param {Buffer} bytes */
  #takeHeaders(flags, stream, bytes) {
    const call = this.#callOf(stream);
    if (call === undefined) return;
    const isLast = (flags & http2.END_STREAM) !== 0;
    if (call.head === undefined) {
      const head = http2.readHead(bytes);
      if (!head.isInterim) call.head = head;
      else if (isLast) throw new MalformedFrames('a response ends before it begins');
    } else if (!isLast) {
      throw new MalformedFrames('a response has two heads');
    }
    if (isLast) this.#finish(stream, call);
  }

  /** Returns the call of a stream; undefined if it was given up. @param {number} stream */
  #callOf(stream) {
    if (stream % 2 === 0 || stream >= this.#nextStream) throw new MalformedFrames('a response that nobody asked for');
    return this.#calls.get(stream);
  }

  /** @param {number} stream @param {Call} call */
  #finish(stream, call) {
    const { status, headers, length } = /** @type {import('./http2.js').Head} */ (call.head);
    if (call.size < (length ?? 0)) throw new MalformedFrames('a body is shorter than it says');
    // The service does not read the rest of a request that it has answered.
    if (call.unsent.length > 0) this.#write(http2.writeNumber(http2.RST_STREAM, stream, http2.CANCEL));
    this.isNew = false;
    this.lastUse = now();
    this.#remove(stream, call);
    const body = call.parts.length === 1 ? call.parts[0] : Buffer.concat(call.parts, call.size);
    call.resolve({ status, headers, body, isReusable: true });
  }

  /** @param {number} stream @param {Buffer} payload */
  #takeReset(stream, payload) {
    const code = readNumber(payload, 4);
    const call = this.#callOf(stream);
    if (call === undefined) return;
    this.lastUse = now();
    this.#remove(stream, call);
    call.reject(new Error(`the call was ended with the code ${code} of HTTP/2`));
  }

  /** @param {number} flags @param {Buffer} payload */
  #takeSettings(flags, payload) {
    if (flags & http2.ACK) return;
    const settings = http2.readSettings(payload);
    const firstWindow = settings.get(http2.INITIAL_WINDOW_SIZE);
    if (firstWindow !== undefined) {
      if (firstWindow > http2.MAX_WINDOW) throw new MalformedFrames('a window is too large');
      for (const call of this.#calls.values()) call.window += firstWindow - this.#firstWindow;
      this.#firstWindow = firstWindow;
    }
    const maxCalls = settings.get(http2.MAX_CONCURRENT_STREAMS);
    if (maxCalls !== undefined) {
      this.maxCalls = maxCalls;
      this.onLimit();
    }
    this.#acknowledge(http2.SETTINGS, NOTHING);
    this.#writeUnsent();
  }

  /** @param {number} flags @param {Buffer} payload */
  #takePing(flags, payload) {
    if (payload.length !== PING_SIZE) throw new MalformedFrames('a ping has another size');
    if ((flags & http2.ACK) === 0) this.#acknowledge(http2.PING, payload);
  }

  /** @param {number} type @param {Buffer} payload */
  #acknowledge(type, payload) {
    if (this.#socket.writableLength === 0) this.#acknowledged = 0;
    this.#acknowledged += 1;
    if (this.#acknowledged > MAX_ACKNOWLEDGED) throw new MalformedFrames('it asks for too many acknowledgements, and does not read them');
    this.#write(http2.writeFrame(type, http2.ACK, 0, payload));
  }

  /** The service takes no other call, and has not begun those of later streams. @param {Buffer} payload */
  #takeGoaway(payload) {
    const last = readNumber(payload, 8);
    for (const [stream, call] of this.#calls) {
      if (stream <= last) continue;
      this.#remove(stream, call);
      call.reject(new Error('the service takes no more calls on this connection'));
    }
    this.#retire();
  }

  /** @param {number} stream @param {Buffer} payload */
  #takeWindow(stream, payload) {
    const more = readNumber(payload, 4);
    const call = stream === 0 ? undefined : this.#callOf(stream);
    if (stream === 0) this.#window += more;
    else if (call !== undefined) call.window += more;
    if (Math.max(this.#window, call?.window ?? 0) > http2.MAX_WINDOW) throw new MalformedFrames('a window is too large');
    this.#writeUnsent();
  }

  /** Writes as much of the requests as the service takes. */
  #writeUnsent() {
    for (const [stream, call] of this.#calls) {
      while (call.unsent.length > 0) {
        const size = Math.min(this.#window, call.window, http2.MAX_FRAME, call.unsent.length);
        if (size <= 0) break;
        const flags = size === call.unsent.length ? http2.END_STREAM : 0;
        this.#write(http2.writeFrame(http2.DATA, flags, stream, call.unsent.subarray(0, size)));
        this.#window -= size;
        call.window -= size;
        call.unsent = call.unsent.subarray(size);
      }
    }
  }

  /** Calls of one turn of the event loop are written at once. @param {Buffer} frames */
  #write(frames) {
    if (this.#queue.length === 0) setImmediate(this.#flush);
    this.#queue.push(frames);
  }

  #writeAll() {
    const queue = this.#queue;
    this.#queue = [];
    if (this.#cause === undefined) this.#socket.write(queue.length === 1 ? queue[0] : Buffer.concat(queue));
  }

  /** @param {number} stream @param {Error} error */
  #giveUp(stream, error) {
    const call = /** @type {Call} */ (this.#calls.get(stream));
    this.#write(http2.writeNumber(http2.RST_STREAM, stream, http2.CANCEL));
    this.#remove(stream, call);
    call.reject(error);
  }

  /** @param {number} stream @param {Call} call */
  #remove(stream, call) {
    clearTimeout(call.timer);
    this.#calls.delete(stream);
    if (this.#calls.size === 0) this.#socket.unref();
  }

  /** Takes no other call. */
  #retire() {
    if (this.isEnded) return;
    this.isEnded = true;
    this.onEnd();
  }

  /** @param {Error} error */
  #close(error) {
    if (this.#cause !== undefined) return;
    const isStarting = !this.#isReady && !(error instanceof TimedOut);
    this.#cause = isStarting ? new NotHttp2(error.message, error instanceof MalformedFrames) : error;
    this.#socket.destroy();
    this.#start?.reject(this.#cause);
    for (const [stream, call] of this.#calls) {
      this.#remove(stream, call);
      call.reject(error);
    }
    this.#retire();
  }
}

/** @param {Buffer} payload @param {number} minSize */
function readNumber(payload, minSize) {
  if (payload.length < minSize) throw new MalformedFrames('a frame is too short');
  return payload.readUInt32BE(0) & 0x7fffffff;
}

const NOTHING = Buffer.alloc(0);
// Bytes.
const PRIORITY_SIZE = 5;
const PING_SIZE = 8;
const MAX_HEADERS = 64 * 1024;
/** Of responses that the service was not told of. */
const MAX_UNREPORTED = 1024 * 1024;
/** Frames of one list of header fields. */
const MAX_PARTS = 16;
/** Frames that are acknowledged while the service does not read. */
const MAX_ACKNOWLEDGED = 10_000;

module.exports = { Http2Connection, NotHttp2 };
