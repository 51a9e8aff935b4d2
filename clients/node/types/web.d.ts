import type { Header, SessionUnavailable } from './index';
import type { CommonOptions, SessionMembers } from './request_session';

export type { SessionCookie, SessionMembers } from './request_session';
export { CallFailed, CloakroomError, SessionNotOpened, SessionRefused, SessionUnavailable } from './index';

/**
 * The entries of an application. Declare them once:
 *
 *     declare module 'cloakroom-sessions/web' {
 *       interface SessionData { cart: string[] }
 *     }
 */
export interface SessionData {}

/** Headers as the Web has them. */
interface HeadersLike {
  get(name: string): string | null;
}

/** A request, its headers, or the text of its Cookie header. */
export type RequestLike = { headers: HeadersLike } | HeadersLike | string;

/** What takes cookies, such as `cookies()` of Next.js. */
export interface CookieStore {
  set(name: string, value: string, options: any): unknown;
}

/** The members of a session that are no entries. */
export interface WebSessionMembers extends Omit<SessionMembers, 'req'> {
  readonly req: RequestLike;
  /** Saves the changes and returns the response with the headers of the session. */
  respond(response: Response): Promise<Response>;
  /** Saves the changes and returns the headers of the session, to be appended to a response. */
  finish(): Promise<Header[]>;
  /** Saves the changes and sets the cookie in an object of the framework. */
  applyTo(cookies: CookieStore): Promise<void>;
}

export type WebSession = WebSessionMembers & Partial<SessionData>;

export interface Options extends Omit<CommonOptions, 'unset'> {
  onUnavailable?: (error: SessionUnavailable, request: RequestLike) => Response | Promise<Response>;
  onGone?: (reason: string, request: RequestLike) => void;
}

/** What is known of a request besides its headers. */
export interface RequestDetails {
  /** Where it comes from, for the list of a user's devices. */
  remoteAddress?: string;
}

/** Opens the sessions of requests. */
export interface Sessions {
  /** Opens the session of a request. With the option `lazy`, that is left to `session.open()`. */
  open(request: RequestLike, details?: RequestDetails): Promise<WebSession>;
  /** Opens the session, calls the handler, saves, and answers 503 in an outage. */
  handle(
    request: RequestLike,
    handler: (session: WebSession) => Response | Promise<Response>,
    details?: RequestDetails,
  ): Promise<Response>;
}

export function sessions(options?: Options): Sessions;
