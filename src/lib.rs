//! Cloakroom keeps the sessions of web applications.
//!
//! A web frontend hands over a request's `Cookie` header and gets a session; at the end of the request
//! it hands over what changed and gets the headers to send. This page is the map of the house.
//!
//! # The floors
//!
//! Imports go down only.
//!
//! | floor | modules | what it is about |
//! |---|---|---|
//! | 5 | [`cli`] | the life of the process, one file a subcommand |
//! | 4 | [`server`] | sockets, connections and calls; and [`server::Cloakroom`], the house put together |
//! | 3 | [`grpc`] | messages to domain types and back, errors to status |
//! | 2 | [`service`] | what can be done, one verb a file |
//! | 1 | [`store`] | where sessions lie: the contract, and its three keepings |
//! | 0 | [`session`], [`token`], [`cookie`], [`flask`], [`flask_session`], [`app`], [`clock`], [`entropy`] | pure rules, that wait for nothing |
//!
//! What stands in a session's cookie depends on the app's [kind](app::Kind): a [`token`], or the session itself as
//! [`flask`] signs it. The walk below is that of a token.
//!
//! [`config`] is the tree of settings; each floor owns its own part of it. [`telemetry`] is what the process
//! says of itself.
//!
//! # One open, one save
//!
//! A browser comes back with a cookie, and the frontend calls `OpenSession`:
//!
//! 1. [`server`] has accepted the connection and given it to a worker. The call is counted, gets the name that logs call
//!    it by, passes its caps and gets its deadline, and goes by its path to the gRPC service.
//! 2. [`grpc`] turns the message into a [`service::Open`].
//! 3. [`Service::open`](service::Service::open) finds the app, takes the values of the app's cookie out of the
//!    header ([`cookie::values`]) and checks their signatures ([`token::verify_token`]). A forged one ends here: the
//!    store is never asked.
//! 4. The locator in the token gives the id, the id the [`store::SessionKey`], and [`Store::load`](store::Store::load)
//!    answers what is kept there, with the app's generation.
//! 5. [`session::judge()`] says whether the token opens it. If it does not, the answer is a new session with a ticket,
//!    of which no store knows. If it does, and a twentieth of the idle timeout has passed since the last use, the use
//!    is written down.
//! 6. The answer carries the entries, and the headers for a request that only reads and for one that never looks.
//!
//! The request puts something into its cart, and the frontend calls `SaveSession`:
//!
//! 1. [`grpc`] checks every value and name, and turns the message into a [`service::Save`] with its
//!    [`session::Changes`].
//! 2. [`Service::save`](service::Service::save) checks the token and turns the changes into a
//!    [`session::Edit`]: with the app's limits, and with the successor that the token would have if the subject changes.
//!    If they set a subject, the session is entered into the [index](store::Index) of its sessions first.
//! 3. [`Store::apply`](store::Store::apply) does the rest in one atomic step. In memory and on disk that is
//!    [`session::judge()`] and then [`session::edit()`] under the store's lock; in Redis one script that compares and
//!    writes, and leaves whatever is not plain to the same judge.
//! 4. The answer is what became of the session, with the headers: the cookie if something changed, nothing if the
//!    session had ended meanwhile.
//!
//! # One change of the configuration
//!
//! A file has changed, or somebody has sent SIGHUP. [`cli`] loads the whole [`config`] anew; if anything is wrong with it, it
//! says so, and all stays as it is. Otherwise what a running house can take up, a [`server::Reloadable`], is put in place of
//! the old at once. A call has looked its app up when it began, and ends with what it found.
//!
//! # What is nowhere
//!
//! No store sees a token, and none decodes a value. Nothing but [`clock`] reads the time, nothing but [`entropy`] draws
//! random bytes, nothing but [`config`] reads the environment. No write whose outcome is unknown is ever repeated.

pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod cookie;
pub mod flask;
pub mod grpc;
pub mod server;
pub mod service;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod token;
pub mod types;
