// The operations of the kit on a session that behaves as `req.session` of `clients/node`.
const READS = ['get', 'subject'];

/**
 * Does the operations of a request, and returns what they say about the response.
 * `session` returns the session of the request.
 */
export async function runOperations(operations, session, { lazy }) {
  const response = { results: [], headers: [], status: 200, isStreamed: false };
  const run = {
    get: (key) => session()[key],
    set: (key, value) => { session()[key] = value; },
    delete: (key) => { delete session()[key]; },
    increment: (key, by) => { session().increment(key, by); },
    clear: () => session().regenerate(),
    login: (subject) => { session().subject = subject; },
    subject: () => session().subject,
    rotate: () => { session().rotate(); },
    permanent: (value) => { session().permanent = value; },
    destroy: () => session().destroy(),
    save: () => session().save(),
    header: (name, value) => { response.headers.push([name, value]); },
    status: (code) => { response.status = code; },
    stream: () => { response.isStreamed = true; },
  };
  for (const [name, ...args] of operations) {
    if (lazy && READS.includes(name)) await session().open();
    response.results.push(await run[name](...args) ?? null);
  }
  return response;
}

// The parts of a body that is sent in several.
export const partsOf = (body) => [body.slice(0, 5), body.slice(5, 10), body.slice(10)];

// The status of a request whose session failed: what the service refuses is 400.
export const statusOf = (error) => (error.status === 503 ? 503 : 400);

export const LAZY = Boolean(process.env.KIT_LAZY);

export const OPTIONS = {
  service: process.env.CLOAKROOM_ADDRESS,
  transport: process.env.KIT_TRANSPORT,
  app: process.env.CLOAKROOM_APP,
  deadline: Number(process.env.CLOAKROOM_DEADLINE) * 1000,
  lazy: LAZY,
};
