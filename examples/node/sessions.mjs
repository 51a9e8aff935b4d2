// Calls Cloakroom with a deadline per call.
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const { CLOAKROOM_ADDRESS = '127.0.0.1:50051' } = process.env;
const DEADLINE_MS = 5000;
// Retries are safe: opens and destroys may be repeated, and saves have a request_id.
const RETRY = JSON.stringify({
  methodConfig: [{
    name: [{ service: 'cloakroom.v1.SessionService' }],
    retryPolicy: {
      maxAttempts: 3, initialBackoff: '0.05s', maxBackoff: '0.5s', backoffMultiplier: 2,
      retryableStatusCodes: ['UNAVAILABLE'],
    },
  }],
});
const TEMPORARY = [grpc.status.UNAVAILABLE, grpc.status.DEADLINE_EXCEEDED, grpc.status.RESOURCE_EXHAUSTED];

const definition = loadSync('cloakroom/v1/session_service.proto', {
  includeDirs: [fileURLToPath(new URL('../../proto', import.meta.url))], longs: String, enums: String, defaults: true,
});
const { SessionService } = grpc.loadPackageDefinition(definition).cloakroom.v1;
const cloakroom = new SessionService(
  CLOAKROOM_ADDRESS, grpc.credentials.createInsecure(), { 'grpc.service_config': RETRY,
    'grpc.enable_http_proxy': 0, // Calls carry tokens.
  });

const call = (method, request) => new Promise((resolve, reject) => {
  const options = { deadline: Date.now() + DEADLINE_MS };
  cloakroom[method](request, options, (error, response) => (error ? reject(error) : resolve(response)));
});

export const open = (cookieHeader) => call('OpenSession', { cookieHeader });

export const save = ({ token }, changes, { rotate = false } = {}) =>
  call('SaveSession', { token, changes, rotate, accessed: true, requestId: randomBytes(16).toString('hex') });

export const destroy = (cookieHeader) => call('DestroySession', { cookieHeader });

// Whether the same call may succeed a moment later.
export const isTemporary = (error) => TEMPORARY.includes(error.code);
