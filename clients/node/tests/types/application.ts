// An application in TypeScript, which only has to pass the type checker.
import express, { type Express } from 'express';
import { Client, ConnectTransport, Session } from 'cloakroom-sessions';
import { AdminClient } from 'cloakroom-sessions/admin';
import { openSession, sessions, SessionUnavailable } from 'cloakroom-sessions/express';
import { MemoryTransport, type App } from 'cloakroom-sessions/testing';

declare module 'cloakroom-sessions/express' {
  interface SessionData {
    cart: string[];
    name: string;
  }
}

const app: Express = express();
app.use(sessions({ service: 'https://cloakroom:50051', app: 'shop', maxAge: 1000, credentials: { token: 'x' } }));
app.use(sessions({
  subject: (session) => session.passport?.user,
  onUnavailable: (error: SessionUnavailable, request, response, next) => next(error.reason),
}));
app.use(sessions({ service: 'localhost:50051', transport: 'grpc' }));
// @ts-expect-error There is no such protocol.
sessions({ transport: 'http' });
// @ts-expect-error The keys are settings of the service.
sessions({ secret: 'x' });
sessions({ resave: true, rolling: true });
sessions({ resave: false });
// @ts-expect-error It is a setting of the service.
sessions({ rolling: false });

app.get('/', openSession, async (request, response) => {
  const { session } = request;
  session.cart = ['milk', ...session.cart ?? []];
  // @ts-expect-error An entry has the type that it was declared with.
  session.name = 1;
  // @ts-expect-error No such entry was declared.
  session.unknown = 1;
  session.subject = 'ada';
  session.subject = null;
  session.subject = 42;
  // @ts-expect-error It is the id of the user.
  session.subject = { id: 42 };
  session.cookie.maxAge = null;
  session.cookie.expires = false;
  // @ts-expect-error It is a setting of the service.
  session.cookie.secure = true;
  const id: string | undefined = session.id ?? request.sessionID;
  session.increment('visits').rotate().markAuthenticated().touch();
  session.save((error?: Error) => { console.log(error); });
  await session.regenerate();
  await request.session.destroy();
  response.json(id);
});

const tested: App = { name: 'shop', idleTimeout: 60_000, onSessionLimit: 'refuse' };
const memory = new MemoryTransport(tested);
app.use(sessions({ service: memory, app: 'shop' }));
memory.isAvailable = false;
memory.advance(1000);
// @ts-expect-error It is a number of milliseconds.
new MemoryTransport({ idleTimeout: '1h' });

async function withoutFramework(cookieHeader: string): Promise<string | undefined> {
  const client = new Client({ service: new ConnectTransport('unix:/run/cloakroom/cloakroom.sock'), app: 'shop' });
  const session = new Session(client, { cookieHeader });
  session.set('a', 1);
  await session.open();
  const headers: { name: string; value: string }[] = await session.finish();
  return headers[0]?.value ?? session.subject;
}
void withoutFramework;

async function administrate(admin: AdminClient, session: Session): Promise<Date | undefined> {
  const [device] = await admin.listSubject('ada', { withEntries: true });
  // @ts-expect-error A session has no token here.
  device?.token;
  const count: number = await admin.revokeSubject('ada', { exceptId: session.id ?? '' });
  for await (const { events } of admin.events()) if (events[0]?.kind === 'ENDED') return events[0].time;
  const watch = await session.watch();
  const reason: string | undefined = await watch.ended;
  return reason === undefined || count > 0 ? watch.expireTime : device?.accessTime;
}
void administrate;
