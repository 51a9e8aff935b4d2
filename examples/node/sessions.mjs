// Calls Cloakroom with a deadline per call, over all addresses in turn.
import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

// One or more: host:port, unix:/path, or dns:///name:port for all addresses of a name.
const ADDRESSES = (process.env.CLOAKROOM_ADDRESS ?? '127.0.0.1:50051').split(',');
const DEADLINE_MS = 1000 * (process.env.CLOAKROOM_DEADLINE ?? 5);
const PAUSE_MS = 250;
const OPTIONS = {
  'grpc.enable_http_proxy': 0, // Calls carry tokens.
  'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
  // Leave a connection that loses its packets.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 3000,
  'grpc.keepalive_permit_without_calls': 1,
  // Connect again soon after a restart, and drop connections that are not used.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
  'grpc.client_idle_timeout_ms': 60_000,
};
const TEMPORARY = [grpc.status.UNAVAILABLE, grpc.status.DEADLINE_EXCEEDED, grpc.status.RESOURCE_EXHAUSTED];

const definition = loadSync('cloakroom/v1/session_service.proto', {
  includeDirs: [fileURLToPath(new URL('../../proto', import.meta.url))], longs: String, enums: String, defaults: true,
});
const { SessionService } = grpc.loadPackageDefinition(definition).cloakroom.v1;
const newClients = () => ADDRESSES.map((address) => new SessionService(address, grpc.credentials.createInsecure(), OPTIONS));
// The replicas take turns for each method. If all methods took turns together, one of two replicas would get every open
// and the other one every save. gRPC shares the connections of these clients.
const clients = { OpenSession: newClients(), SaveSession: newClients(), DestroySession: newClients() };

// Repeats the call on the next replica while one is unavailable. That is safe: opens and destroys may be repeated, and
// saves have a request_id.
async function call(method, request) {
  const deadline = Date.now() + DEADLINE_MS;
  for (let attempt = 1; ; attempt += 1) {
    const client = clients[method].shift();
    clients[method].push(client);
    try {
      return await callOnce(client, method, request, deadline);
    } catch (error) {
      if (error.code !== grpc.status.UNAVAILABLE || Date.now() + PAUSE_MS > deadline) throw error;
    }
    if (attempt % ADDRESSES.length === 0) await setTimeout(PAUSE_MS);
  }
}

const callOnce = (client, method, request, deadline) => new Promise((resolve, reject) => {
  client[method](request, { deadline }, (error, response) => (error ? reject(error) : resolve(response)));
});

export const open = (cookieHeader) => call('OpenSession', { cookieHeader });

const saveWith = (fields) =>
  call('SaveSession', { ...fields, accessed: true, requestId: randomBytes(16).toString('hex') });

// Saves to an opened session. If that has ended meanwhile, nothing is saved.
export const save = ({ session: { token }, cookieOutdated }, changes, { rotate = false } = {}) =>
  saveWith({ token, cookieOutdated, changes, rotate });

// Saves without an open. If the cookie opens no session, that begins a new one, and a repeat begins another.
export const openAndSave = (cookieHeader, changes, { rotate = false } = {}) => saveWith({ cookieHeader, changes, rotate });

// Logs in, with a new token, so that nobody knows it who has planted or seen the one before. All repeats of a save by the
// token of an open are one session: the user has no other one that nobody knows of.
export async function logIn(cookieHeader, changes) {
  const opened = await open(cookieHeader);
  if (!opened.session.nullSession) {
    const saved = await save(opened, changes, { rotate: true });
    if (saved.outcome !== 'OUTCOME_GONE') return saved;
  }
  // The session has ended since the open, or the browser has the cookies of two. A login ends both, and begins another.
  return openAndSave(cookieHeader, changes, { rotate: true });
}

export const destroy = (cookieHeader) => call('DestroySession', { cookieHeader });

// Whether the same call may succeed a moment later.
export const isTemporary = (error) => TEMPORARY.includes(error.code);
