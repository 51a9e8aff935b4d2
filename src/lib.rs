//! Cloakroom, a session service for web applications.
//!
//! A web frontend sends a request's `Cookie` header and gets a session. At the end of the request it sends what
//! changed, and gets the headers for its response. `docs/concepts.md` explains the words, and `docs/architecture.md`
//! the design. This page lists the modules.
//!
//! # Where to begin reading
//!
//! Imports go down only: a module imports modules of the rows below it. `tests/tidy/layers.rs` checks that.
//!
//! | module | begin at |
//! |---|---|
//! | [`cli`] | `cli/serve.rs`, the subcommand that runs the service |
//! | [`config`] | [`config::Settings`], all settings, and [`config::load()`] |
//! | [`server`] | [`server::Cloakroom`], the assembled service, and [`server::Server`], which listens |
//! | [`connect`] | [`connect::call`], which makes a gRPC call of a Connect call |
//! | [`grpc`] | `grpc/session_service.rs`, one function for each RPC, and [`grpc::status`], which converts errors |
//! | [`auth`] | [`auth::Peer::authenticate`], the check of each call |
//! | [`service`] | [`service::Service`], one method and one file for each operation |
//! | [`store`] | [`store::Store`], the contract of a store, and [`store::Handle`], the one that is used |
//! | [`audit`] | [`audit::AuditLog`], the log of sessions that ended |
//! | [`app`] | [`app::App`], the checked settings of one app |
//! | [`django`] | [`django::Signer`], for Django's signed texts; [`django::DecodedSession`] |
//! | [`express`] | [`express::Signer`], for the cookies of express-session; [`express::DecodedRecord`] |
//! | [`flask`] | [`flask::Signer`], for Flask's own cookie; `flask_session` reads the sessions of Flask-Session |
//! | [`scs`] | [`scs::DecodedRecord`], for the records of scs, for Go |
//! | [`signing`] | [`signing::decode_payload`], for the payloads of signed cookies |
//! | [`session`] | [`session::judge()`] and [`session::edit()`], the rules; [`session::Head`], what is stored |
//! | [`token`] | [`token::SplitToken`], and [`token::sign_token`] and [`token::verify_token`] |
//! | [`cookie`] | [`cookie::values`] reads a `Cookie` header, [`cookie::Template`] writes `Set-Cookie` |
//! | [`otlp`] | [`otlp::Exporters`], which send spans and metrics to a collector |
//! | [`telemetry`] | [`telemetry::CallContext`], the id of a call in the logs; [`telemetry::spans::Tracer`] |
//! | [`age`] | [`age::Encryptor`] and [`age::Decryptor`], for encrypted exports |
//! | [`tls`] | [`tls::Error`], what may be wrong with a PEM file |
//! | [`types`] | [`types::Clock`], [`types::AppName`] |
//!
//! # One open, function by function
//!
//! The app is of kind `stored`, and one cookie has the current token.
//!
//! 1. `CallHandler::handle` in `server/call/` counts the call (`CallRecorder`), checks its caller
//!    ([`auth::Peer::authenticate`]) and runs it within the limits (`CallLimits::run`). For a call of the Connect
//!    protocol, [`connect::call`] converts the request to one of gRPC, and later the response back.
//!    [`server::Services`] finds the gRPC service.
//! 2. `open_session` in `grpc/session_service.rs` checks that the caller may use the app
//!    (`AppAuthorizer::authorize`), and makes a [`service::OpenRequest`].
//! 3. [`Service::open`](service::Service::open) finds the app, and begins an `AppCall`: the app, its keys, its
//!    cookie, and the time, the same for the whole call.
//! 4. `Service::read_cookie_header` takes the values from the header ([`cookie::values`]) and verifies them
//!    ([`token::verify_token`]).
//! 5. `Service::find_session` derives the id ([`token::SplitToken::id`]) and loads the session
//!    ([`Store::load`](store::Store::load)). `AppCall::token_state` asks [`session::judge()`] whether the token opens
//!    it.
//! 6. `Service::open_live` touches the session if that is due ([`Store::touch`](store::Store::touch)), and builds the
//!    answer: `AppCall::view` and `AppCall::headers`. Without a live session the answer is a new one
//!    (`AppCall::new_view`), or the recovery session of a superseded token (`Service::find_recovery`).
//! 7. `open_session` turns the [`service::Opened`] into the response, with the conversions of `grpc/convert.rs`.
//!
//! # One save, function by function
//!
//! The save shows the token of a live session, and sets an entry.
//!
//! 1. As above; then `save_session` finds the app, `convert::changes` checks the values by the app's kind, and
//!    `save_session` makes a [`service::SaveRequest`].
//! 2. [`Service::save`](service::Service::save) begins an `AppCall`. `Service::save_stored` verifies the token
//!    (`Service::resolve_credential`). Without changes and without `rotate`, `save_unmodified` answers the session as it
//!    is.
//! 3. `PreparedWrite::of_save` checks names and aliases ([`session::Changes::check`]) and builds the [`session::Edit`].
//!    It also decides whether the save rotates the token.
//! 4. `Service::save_prepared` does the next steps. A login first passes `prepare_login`. A ticket then goes to
//!    `create_or_write`, which calls [`Store::create`](store::Store::create). A token goes to `Service::write`.
//! 5. `Service::write` writes with the token, and if that is in its grace, again with the next token. It calls
//!    `Service::apply`, which calls [`Store::apply`](store::Store::apply), and counts ends and notes them in the audit
//!    log.
//! 6. The store calls [`session::judge()`] and [`session::edit()`] in its atomic step. In Redis, the scripts in
//!    `store/redis/scripts/` do the same, and leave every denial to the judge.
//! 7. In the session of a subject, `Service::after_save` evicts sessions after a login. `AppCall::saved` builds the
//!    [`service::Saved`].
//!
//! A Cookie header whose session has ended begins anew: `Service::save_prepared` finds its recovery session or takes a
//! new ticket (`Service::begin_anew`), and does steps 4 to 6 again. If a call ended that session within the `request_age`
//! of the save, the save is GONE ([`session::end_time()`]).
//!
//! `destroy` and `rotate` call `Service::write` too. For an app of kind `cookie`, `service/cookie_kind/` takes over at
//! step 3 of an open and at step 2 of a save.

pub mod age;
pub mod app;
pub mod audit;
pub mod auth;
pub mod cli;
pub mod config;
pub mod connect;
pub mod cookie;
pub mod django;
pub mod express;
pub mod flask;
pub mod grpc;
pub mod otlp;
pub mod scs;
pub mod server;
pub mod service;
pub mod session;
pub mod signing;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod token;
pub mod types;
