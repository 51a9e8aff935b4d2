// A call of gRPC that is answered by a stream of messages.
'use strict';

const { now } = require('../clock.js');
const { CallFailed } = require('../errors.js');

/** The messages of one call. */
class GrpcStream {
  #call;
  #messages;
  #toFailure;
  #isClosed = false;
  /** What a `next` that had no time left has waited for. @type {Promise<IteratorResult<any>> | undefined} */
  #pending;

  /**
   * @param {import('@grpc/grpc-js').ClientReadableStream<any>} call
   * @param {(error: any) => CallFailed} toFailure
   */
  constructor(call, toFailure) {
    this.#call = call;
    this.#messages = call[Symbol.asyncIterator]();
    this.#toFailure = toFailure;
    // The caller of `next` gets the error.
    call.on('error', () => {});
  }

  /**
   * Returns the next message. Undefined: the stream has ended or was closed. Throws `CallFailed`.
   * @param {number} [end] When it fails with DEADLINE_EXCEEDED. Without it, it waits until there is a message.
   */
  async next(end) {
    const pending = this.#pending ??= this.#messages.next();
    try {
      const result = await (end === undefined ? pending : until(pending, end));
      this.#pending = undefined;
      return result.done ? undefined : result.value;
    } catch (error) {
      if (this.#isClosed) return undefined;
      throw error instanceof CallFailed ? error : this.#toFailure(error);
    }
  }

  /** Ends the stream. Who waits for the next message gets undefined. */
  close() {
    this.#isClosed = true;
    this.#pending?.catch(() => {});
    this.#call.cancel();
  }
}

/** @template T @param {Promise<T>} pending @param {number} end @returns {Promise<T>} */
function until(pending, end) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      pending.catch(() => {});
      reject(new CallFailed('DEADLINE_EXCEEDED', '', 'no answer within the deadline'));
    }, Math.max(end - now(), 0));
    pending.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

module.exports = { GrpcStream };
