// Calls of AdminService by the Connect protocol, in JSON. The key stays in the memory of this page.

const SERVICE = '/cloakroom.v1.AdminService/';
const TIMEOUT_MS = 15_000;
const END_OF_STREAM = 2;

let key = '';

export function useKey(text) {
  key = text;
}

export class CallError extends Error {
  constructor(httpStatus, { code = 'unknown', message = '', details = [] } = {}) {
    super(message || `the service responded with HTTP status ${httpStatus}`);
    this.code = code;
    this.reason = details.find((detail) => detail.debug?.reason)?.debug.reason ?? '';
    // The service refuses every page, and this one by the same reason if its token is wrong.
    this.needsLogin = ['BROWSER_REFUSED', 'CALLER_UNKNOWN'].includes(this.reason);
  }
}

// Calls an RPC of AdminService, or the one with this whole path.
export async function call(rpc, message = {}) {
  const path = rpc.startsWith('/') ? rpc : SERVICE + rpc;
  const response = await request(path, 'application/json', JSON.stringify(message), AbortSignal.timeout(TIMEOUT_MS));
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new CallError(response.status, answer);
  return answer;
}

// Calls a streaming RPC, and gives each message to `receive` until `signal` aborts.
export async function stream(rpc, message, receive, signal) {
  const response = await request(SERVICE + rpc, 'application/connect+json', envelope(message), signal);
  if (!response.ok) throw new CallError(response.status, await response.json().catch(() => ({})));
  const reader = response.body.getReader();
  let rest = new Uint8Array();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new CallError(200, { code: 'unavailable', message: 'the stream was cut' });
    rest = joined(rest, value);
    for (let size = sizeOfFirst(rest); rest.length >= size; size = sizeOfFirst(rest)) {
      const text = JSON.parse(new TextDecoder().decode(rest.subarray(5, size)));
      if (rest[0] & END_OF_STREAM) throw new CallError(200, text.error ?? { code: 'unavailable', message: 'the stream ended' });
      receive(text);
      rest = rest.slice(size);
    }
  }
}

async function request(path, type, body, signal) {
  const headers = { 'content-type': type, 'connect-protocol-version': '1' };
  if (key) headers.authorization = `Bearer ${key}`;
  try {
    return await fetch(path, { method: 'POST', headers, body, signal, cache: 'no-store', credentials: 'same-origin' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new CallError(0, { code: 'unavailable', message: 'the service does not respond' });
  }
}

function envelope(message) {
  const body = new TextEncoder().encode(JSON.stringify(message));
  const framed = new Uint8Array(5 + body.length);
  new DataView(framed.buffer).setUint32(1, body.length);
  framed.set(body, 5);
  return framed;
}

// Returns the size of the first envelope with its prefix; Infinity if not even the prefix is there.
function sizeOfFirst(bytes) {
  return bytes.length < 5 ? Infinity : 5 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
}

function joined(first, second) {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
