// Applications of Fastify, Koa and the Web's Request and Response, which only have to pass the type checker.
import fastify from 'fastify';
import Koa from 'koa';
import { sessions as fastifySessions, openSession } from 'cloakroom-sessions/fastify';
import { sessions as koaSessions, SessionUnavailable } from 'cloakroom-sessions/koa';
import { sessions as webSessions } from 'cloakroom-sessions/web';

declare module 'cloakroom-sessions/fastify' {
  interface SessionData { cart: string[] }
}
declare module 'cloakroom-sessions/koa' {
  interface SessionData { cart: string[] }
}
declare module 'cloakroom-sessions/web' {
  interface SessionData { cart: string[] }
}

const server = fastify();
void server.register(fastifySessions, { app: 'shop', lazy: true, onGone: (reason, request) => request.log.warn(reason) });
// @ts-expect-error An error handler answers an outage.
void server.register(fastifySessions, { onUnavailable: () => {} });
server.get('/', { preHandler: openSession }, async ({ session }) => {
  session.cart = [...session.get('cart') ?? [], 'milk'];
  // @ts-expect-error An entry has the type that it was declared with.
  session.set('cart', 1);
  // @ts-expect-error No such entry was declared.
  session.unknown = 1;
  await session.regenerate(['cart']);
  session.subject = 'ada';
  return session.id;
});

const app = new Koa();
app.use(koaSessions({ app: 'shop', onUnavailable: (error: SessionUnavailable, ctx) => { ctx.status = error.status; } }));
app.use(async (ctx) => {
  ctx.session.cart = ['milk'];
  // @ts-expect-error An entry has the type that it was declared with.
  ctx.session.cart = 1;
  // @ts-expect-error No such entry was declared.
  ctx.session.unknown = 1;
  await ctx.session.regenerate();
  ctx.session = null;
});

const store = webSessions({ app: 'shop', onUnavailable: () => new Response(null, { status: 503 }) });
// @ts-expect-error The object stays the same.
webSessions({ unset: 'destroy' });
export async function GET(request: Request): Promise<Response> {
  const session = await store.open(request, { remoteAddress: '192.0.2.1' });
  session.cart = ['milk'];
  // @ts-expect-error An entry has the type that it was declared with.
  session.cart = 1;
  await session.applyTo({ set: (name: string, value: string, options: object) => [name, value, options] });
  return session.respond(Response.json(session.cart));
}
export const POST = (request: Request): Promise<Response> =>
  store.handle(request, async (session) => Response.json((await store.open(request.headers)).id ?? session.id));
