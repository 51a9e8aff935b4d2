// An application in TypeScript: what compiles, and what does not.
import { Client } from 'cloakroom-sessions';
import { AdminClient } from 'cloakroom-sessions/admin';
import { CloakroomStore } from 'connect-cloakroom';
import session from 'express-session';

const gone = (reason: string) => reason.toLowerCase();

export const middleware = session({
  secret: 'a secret',
  store: new CloakroomStore({ service: 'localhost:50051', app: 'shop', deadline: 500, onGone: gone, sendContext: false }),
});

export const shared = new CloakroomStore({ client: new Client({ app: 'shop' }) });

export const listed = new CloakroomStore({ app: 'shop', admin: new AdminClient({ app: 'shop' }) });
listed.all((error, sessions) => sessions?.map(({ id, cookie }) => [id, cookie.maxAge]));
listed.ids((error, ids) => ids?.map((id) => id.toUpperCase()));
listed.length((error, length) => length?.toFixed());
listed.clear();

// @ts-expect-error There is no such option.
export const wrong = new CloakroomStore({ prefix: 'sess:' });
