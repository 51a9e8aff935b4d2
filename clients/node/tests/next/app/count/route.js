// A route handler that counts, and one that reads.
import { store } from '../../lib/sessions.js';

export const POST = (request) => store.handle(request, async (session) => {
  session.increment('count');
  await session.save();
  return Response.json(session.count);
});

export const GET = (request) => store.handle(request, (session) => Response.json(session.count ?? 0));
