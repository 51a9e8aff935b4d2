// The connection to one endpoint by gRPC.
'use strict';

const net = require('node:net');
const tls = require('node:tls');
const { now } = require('../clock.js');
const { CallFailed } = require('../errors.js');
const { callFailed } = require('./failure.js');
const { GrpcStream } = require('./stream.js');

/** @typedef {typeof import('@grpc/grpc-js')} Grpc */
/** @typedef {import('../messages.js').Method} Method */

/** Makes calls to one endpoint. Connects at the first call. */
class Channel {
  /** Whether a call was answered on the connection. */
  hasAnswered = false;
  /** @type {import('@grpc/grpc-js').Client | undefined} */
  #client;
  #grpc;
  #endpoint;
  #tls;
  #metadata;

  /**
   * @param {Grpc} grpc @param {import('../connect/address.js').Endpoint} endpoint
   * @param {import('../connect/credentials.js').TlsContexts} tls @param {string} token
   */
  constructor(grpc, endpoint, tls, token) {
    this.#grpc = grpc;
    this.#endpoint = endpoint;
    this.#tls = tls;
    this.#metadata = new grpc.Metadata();
    if (token !== '') this.#metadata.set('authorization', `Bearer ${token}`);
  }

  /**
   * Makes a call, and fails with DEADLINE_EXCEEDED at `attemptEnd`. The service may take until `end`. If there was no
   * answer, the next call connects again. Throws `CallFailed`.
   * @param {Method} method @param {Buffer} message @param {number} attemptEnd @param {number} end
   * @returns {Promise<any>}
   */
  async call(method, message, attemptEnd, end) {
    const client = this.#connected();
    try {
      const response = await this.#exchange(client, method, message, attemptEnd, end);
      this.hasAnswered = true;
      return response;
    } catch (error) {
      if (isUnanswered(error) && client === this.#client) this.close();
      throw error;
    }
  }

  /** Begins a call that is answered by a stream. @param {Method} method @param {Buffer} message */
  stream(method, message) {
    const decode = decoderOf(method);
    const call = this.#connected().makeServerStreamRequest(method.path, asItIs, decode, message, this.#metadata);
    return new GrpcStream(call, (error) => callFailed(this.#grpc, error));
  }

  /** Closes the connection after the calls that are under way. The next call connects again. */
  close() {
    this.#client?.close();
    this.#client = undefined;
    this.hasAnswered = false;
  }

  /**
   * @param {import('@grpc/grpc-js').Client} client @param {Method} method @param {Buffer} message
   * @param {number} attemptEnd @param {number} end
   */
  #exchange(client, method, message, attemptEnd, end) {
    return new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + Math.max(end - now(), 1) };
      const call = client.makeUnaryRequest(method.path, asItIs, decoderOf(method), message, this.#metadata, options,
        (error, response) => {
          clearTimeout(timer);
          if (error) reject(callFailed(this.#grpc, error));
          else resolve(response);
        });
      const timer = setTimeout(() => {
        reject(new CallFailed('DEADLINE_EXCEEDED', '', 'no answer within the deadline'));
        call.cancel();
      }, Math.max(attemptEnd - now(), 0));
    });
  }

  /** Throws `CallFailed` if a file of the credentials cannot be read. */
  #connected() {
    try {
      return this.#client ??= this.#connect();
    } catch (error) {
      throw new CallFailed('UNAVAILABLE', '', /** @type {Error} */ (error).message);
    }
  }

  #connect() {
    const { path, ip, port, host, tlsName } = this.#endpoint;
    const { credentials, Client } = this.#grpc;
    const options = { ...OPTIONS, 'grpc.default_authority': host };
    const tcp = ip.includes(':') ? `ipv6:[${ip}]:${port}` : `ipv4:${ip}:${port}`;
    const target = path === '' ? tcp : `unix:${path}`;
    if (tlsName === '') return new Client(target, credentials.createInsecure(), options);
    // Whatever the environment says about certificates.
    const secure = credentials.createFromSecureContext(this.#tls.context(), {
      rejectUnauthorized: true,
      checkServerIdentity: (_, certificate) => tls.checkServerIdentity(tlsName, certificate),
    });
    const serverName = net.isIP(tlsName) === 0 ? tlsName : NO_NAME;
    return new Client(target, secure, { ...options, 'grpc.ssl_target_name_override': serverName });
  }
}

/** Whether nobody knows what became of a call. @param {any} error */
const isUnanswered = ({ code, reason }) => reason === '' && UNANSWERED.includes(code);

/** @param {Buffer} message */
const asItIs = (message) => message;

/** @param {Method} method */
const decoderOf = (method) => (/** @type {Buffer} */ bytes) => method.response.decode(bytes);

const UNANSWERED = ['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'CANCELLED', 'INTERNAL'];
/** gRPC always sends a server name. TLS has none for IP addresses, and Node 26 sends no address in its place. */
const NO_NAME = 'address.invalid';
const OPTIONS = {
  // Calls carry tokens.
  'grpc.enable_http_proxy': 0,
  // The client repeats calls itself, and chooses among replicas.
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  // A channel that is made again has a connection of its own.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 3000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
  'grpc.client_idle_timeout_ms': 60_000,
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
};

module.exports = { Channel, isUnanswered };
