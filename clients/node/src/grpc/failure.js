// What a failed call of gRPC stands for.
'use strict';

const { CallFailed } = require('../errors.js');
const { Message } = require('../protobuf.js');

/** google.protobuf.Any */
const Any = new Message({
  typeUrl: { number: 1, type: 'string', label: 'plain' },
  value: { number: 2, type: 'bytes', label: 'plain' },
});
/** google.rpc.Status */
const Status = new Message({ details: { number: 3, type: Any, label: 'repeated' } });
/** google.rpc.ErrorInfo */
const ErrorInfo = new Message({ reason: { number: 1, type: 'string', label: 'plain' } });

/**
 * Returns the failure of a call.
 * @param {typeof import('@grpc/grpc-js')} grpc @param {import('@grpc/grpc-js').ServiceError} error
 */
function callFailed(grpc, { code, details, metadata }) {
  return new CallFailed(grpc.status[code] ?? 'UNKNOWN', reasonIn(metadata), details);
}

/** Returns the service's reason. Empty: the service did not answer.
 * @param {import('@grpc/grpc-js').Metadata | undefined} metadata */
function reasonIn(metadata) {
  const [bytes] = metadata?.get('grpc-status-details-bin') ?? [];
  if (!(bytes instanceof Buffer)) return '';
  try {
    const info = Status.decode(bytes).details.find((/** @type {any} */ { typeUrl }) => typeUrl.endsWith('/google.rpc.ErrorInfo'));
    return info === undefined ? '' : ErrorInfo.decode(info.value).reason;
  } catch {
    return '';
  }
}

module.exports = { callFailed };
