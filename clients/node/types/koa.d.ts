import type { Context, Middleware } from 'koa';
import type { SessionUnavailable } from './index';
import type { CommonOptions, SessionMembers } from './request_session';

export type { SessionCookie, SessionMembers } from './request_session';
export { CallFailed, CloakroomError, SessionNotOpened, SessionRefused, SessionUnavailable } from './index';

/**
 * The entries of an application. Declare them once:
 *
 *     declare module 'cloakroom-sessions/koa' {
 *       interface SessionData { cart: string[] }
 *     }
 */
export interface SessionData {}

export type RequestSession = SessionMembers & Partial<SessionData>;

export interface Options extends CommonOptions {
  /** What happens if `ctx.session` is set to null: `destroy`, which is the default, ends the session. */
  unset?: 'keep' | 'destroy';
  onUnavailable?: (error: SessionUnavailable, ctx: Context) => void | Promise<void>;
  onGone?: (reason: string, ctx: Context) => void;
}

/** Returns the middleware that gives each request its `ctx.session`. */
export function sessions(options?: Options): Middleware;

/** With the option `lazy`: opens the session before the next handler. */
export const openSession: Middleware;

declare module 'koa' {
  interface DefaultContext {
    get session(): RequestSession;
    set session(value: null | undefined);
  }
}
