import { NextResponse } from 'next/server';
import { store } from './lib/sessions.js';

export async function proxy(request) {
  const session = await store.open(request);
  if (!session.subject) return session.respond(NextResponse.redirect(new URL('/', request.url)));
  session.increment('views');
  return session.respond(NextResponse.next());
}

export const config = { matcher: '/account' };
