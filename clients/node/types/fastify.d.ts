import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import type { Callback, CommonOptions, SessionMembers } from './request_session';

export type { SessionCookie, SessionMembers } from './request_session';
export { CallFailed, CloakroomError, SessionNotOpened, SessionRefused, SessionUnavailable } from './index';

/**
 * The entries of an application. Declare them once:
 *
 *     declare module 'cloakroom-sessions/fastify' {
 *       interface SessionData { cart: string[] }
 *     }
 */
export interface SessionData {}

/** The members of `request.session` that are no entries. */
export interface FastifySessionMembers extends Omit<SessionMembers, 'regenerate'> {
  get<Name extends string>(name: Name): Name extends keyof SessionData ? SessionData[Name] | undefined : any;
  set<Name extends string>(name: Name, value: Name extends keyof SessionData ? SessionData[Name] | undefined : unknown): void;
  /** Removes all entries but those with these names, and the subject, and replaces the token with the next save. */
  regenerate(kept?: string[]): Promise<void>;
  regenerate(callback: Callback): this;
  regenerate(kept: string[], callback: Callback): this;
}

export type RequestSession = FastifySessionMembers & Partial<SessionData>;

export interface Options extends Omit<CommonOptions, 'onUnavailable'> {
  onGone?: (reason: string, request: FastifyRequest, reply: FastifyReply) => void;
}

/** The plugin that gives each request its `request.session`. */
export const sessions: FastifyPluginCallback<Options>;

/** With the option `lazy`, as `preHandler` of a route: opens the session before the handler. */
export function openSession(request: FastifyRequest): Promise<void>;

declare module 'fastify' {
  interface FastifyRequest {
    session: RequestSession;
  }
}
