import type { Client, ClientOptions, SessionWatch } from './index';

/** The part of the cookie that a request decides. The others are settings of the service. */
export interface SessionCookie {
  /** Milliseconds that the session has left. Null: the cookie ends with the browser. */
  maxAge: number | null;
  get expires(): Date | null;
  set expires(value: Date | string | number | null | false);
  readonly originalMaxAge: number | null;
}

export type Callback = (error?: any) => void;

/** The members of `req.session` that are no entries. */
export interface SessionMembers {
  /** The public id, which is safe to log. Undefined before the session was opened or saved. */
  readonly id: string | undefined;
  /** The request. */
  readonly req: any;
  readonly cookie: SessionCookie;
  /** Whether entries can be read. */
  readonly isOpen: boolean;
  /** Whether the session is not stored yet. */
  readonly isNew: boolean;
  /** Whether no session is possible, because the request has the cookies of two of them, or the app has no key. */
  readonly isNull: boolean;
  /** Why the session had ended before it was saved, such as `SUPERSEDED`. */
  readonly gone: string | undefined;
  readonly expireTime: Date | undefined;
  readonly authenticateTime: Date | undefined;
  /** Whether the subject authenticated less than `maxAuthenticateAge` ago. */
  readonly recentlyAuthenticated: boolean;
  /** The user, set by a text or an integer. Setting it is a login: the same save replaces the token. */
  get subject(): string | undefined;
  set subject(value: string | number | bigint | null | undefined);
  /** Whether the cookie outlives the browser. */
  permanent: boolean;
  /** Opens the session, with the option `lazy`. */
  open(): Promise<void>;
  /** Saves now. */
  save(): Promise<void>;
  save(callback: Callback): this;
  /** Ends the session now, and deletes the cookie. `req.session` is undefined then. */
  destroy(): Promise<void>;
  destroy(callback: Callback): this;
  /** Removes all entries and the subject, and replaces the token with the next save. `req.session` is a new object. */
  regenerate(): Promise<void>;
  regenerate(callback: Callback): this;
  /** Opens the session again, and forgets the changes that were not saved. `req.session` is a new object. */
  reload(): Promise<void>;
  reload(callback: Callback): this;
  /** Does nothing: the service counts each open as a use. */
  touch(): this;
  resetMaxAge(): this;
  /** Adds to a counter. Concurrent requests lose no counts. */
  increment(name: string, by?: number): this;
  /** Replaces the token with the next save. */
  rotate(): this;
  /** Records that the user has just authenticated again. */
  markAuthenticated(): this;
  /** Watches the session for as long as a stream of events is open. It is no use of the session. */
  watch(): Promise<SessionWatch>;
}

/** The attributes of the cookie that a request chooses. The others are settings of the service. */
export interface CookieAttributes {
  /** Empty: the cookie is for one host only. */
  domain?: string;
  path?: string;
  /** `auto`: `None` and Secure if the browser has sent the request by TLS, else `Lax`. */
  sameSite?: boolean | 'strict' | 'lax' | 'none' | 'auto';
  /** `auto`: the cookie is Secure if the browser has sent the request by TLS, else as the service has it for the app. */
  secure?: boolean | 'auto';
}

export interface CommonOptions extends ClientOptions {
  /** A client of its own, instead of `service`, `transport`, `app`, `deadline` and `credentials`. */
  client?: Client;
  /** The name of the cookie, if it is not the one that the service has for the app. */
  name?: string;
  /** Attributes of the cookie, if they are not those that the service has for the app; a function chooses by request. */
  cookie?: CookieAttributes | ((request: any) => CookieAttributes | undefined);
  /** Milliseconds that a new session lives without use. Its cookie outlives the browser then. */
  maxAge?: number;
  /** Makes no call before a handler asks: by `await req.session.open()` or the middleware `openSession`. */
  lazy?: boolean;
  /** Stores new sessions without content. Default: false. */
  saveUninitialized?: boolean;
  /** What happens if `req.session` is set to null: `keep` saves nothing, `destroy` ends the session. */
  unset?: 'keep' | 'destroy';
  /** Has no effect: a session that was read counts as used, and only changes are saved. */
  resave?: boolean;
  /** Has no effect: the cookie of a permanent session goes with every response, if the app in the service does not forbid it. */
  rolling?: true;
  /** Returns the user of a session. It is asked before each save. */
  subject?: (session: any) => string | number | bigint | null | undefined;
  /** Milliseconds for which an authentication counts as recent. */
  maxAuthenticateAge?: number;
  /** Whether to send the user agent and address, for the list of a user's devices. Default: true. */
  sendContext?: boolean;
  /** Called if the session had ended before it was saved. The cookie stays, and nothing was written. */
  onGone?: (reason: string, request: any, response?: any) => void;
  /** Answers a request in an outage, instead of 503 with Retry-After. */
  onUnavailable?: (...args: any[]) => any;
}
