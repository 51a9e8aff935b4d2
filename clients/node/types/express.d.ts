import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SessionUnavailable } from './index';
import type { CommonOptions, SessionMembers } from './request_session';

export type { SessionCookie, SessionMembers } from './request_session';
export { CallFailed, CloakroomError, SessionNotOpened, SessionRefused, SessionUnavailable } from './index';

/**
 * The entries of an application. Declare them once:
 *
 *     declare module 'cloakroom-sessions/express' {
 *       interface SessionData { cart: string[] }
 *     }
 */
export interface SessionData {}

export type RequestSession = SessionMembers & Partial<SessionData>;

export interface Options extends CommonOptions {
  onUnavailable?: (error: SessionUnavailable, request: any, response: any, next: (error?: any) => void) => void;
}

type Middleware = (
  request: IncomingMessage & { session?: any },
  response: ServerResponse,
  next: (error?: any) => void,
) => void;

/** Returns the middleware that gives each request its `req.session`. */
export function sessions(options?: Options): Middleware;

/** With the option `lazy`: opens the session before the next handler. */
export const openSession: Middleware;

declare global {
  namespace Express {
    interface Request {
      session: RequestSession;
      readonly sessionID: string | undefined;
    }
  }
}
