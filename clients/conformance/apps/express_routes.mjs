// The operations of the kit on `req.session` of `clients/node`, in an application of Express.
import express from '../../node/node_modules/express/index.js';
import { partsOf, runOperations, statusOf } from './operations.mjs';

// Adds the route of the kit, and the responses that it asks for. With `lazy`, sessions are opened at their first use.
export function addOperations(app, { lazy }) {
  app.post('/', express.json({ type: () => true }), async (request, response) => {
    const { results, headers, status, isStreamed } =
      await runOperations(request.body.operations, () => request.session, { lazy });
    response.status(status);
    for (const [name, value] of headers) response.append(name, value);
    const body = JSON.stringify({ results });
    if (isStreamed) for (const part of partsOf(body)) response.write(part);
    response.end(isStreamed ? undefined : body);
  });

  app.use((error, request, response, next) => {
    if (error.code === undefined || response.headersSent) next(error);
    else response.status(statusOf(error)).end(error.message);
  });
}
