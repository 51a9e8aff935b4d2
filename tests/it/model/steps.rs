//! The steps of a run, chosen at random.

use std::time::Duration;

use cloakroom::session::{
    AuthenticationChange, Changes, LifetimeChange, PermanentChange, Subject, SubjectChange, Value,
};
use cloakroom::store::IntoHandle;
use cloakroom::types::Time;

use super::answer::Checked;
use super::expected_session::{ANONYMOUS, AUTHENTICATED, ExpectedSession, GRACE, MINUTE, Operation, WriteRequest};
use super::rng::Rng;
use super::simulation::{BROWSERS, CAUSES, HeldToken, PresentedToken, SentAs, Simulation};

/// Does one step and checks it, then checks a random session by a random token. Returns what was done.
pub(super) async fn step<S: IntoHandle>(simulation: &mut Simulation<S>) -> Checked<String> {
    let browser = usize::try_from(simulation.rng.below(BROWSERS as u64)).unwrap();
    let done = match simulation.rng.below(100) {
        0..18 => open(simulation, browser).await,
        18..62 => write(simulation, browser).await,
        62..84 => move_clock(simulation),
        84..88 => copy_cookie(simulation, browser),
        88..90 => administrate(simulation).await,
        90..92 => lose_cookie(simulation, browser),
        92..93 if simulation.rng.chance(50) => {
            simulation.revoke_app().await.map_err(|error| format!("revoke app: {error}"))?;
            Ok("revoke app".to_owned())
        }
        92..94 => {
            simulation.sweep().await?;
            Ok("sweep".to_owned())
        }
        _ => retry(simulation, browser).await,
    }?;
    simulation.drop_unheld_sessions();
    check_random_token(simulation).await.map_err(|error| format!("{done}; then {error}"))?;
    Ok(done)
}

/// Does what operators do: lists the sessions of a subject, revokes one, all, or all but one.
async fn administrate<S: IntoHandle>(simulation: &mut Simulation<S>) -> Checked<String> {
    let subject = simulation.rng.pick(&["anna", "bert"]);
    let numbers: Vec<u64> = simulation.sessions.keys().copied().collect();
    let number = if numbers.is_empty() { None } else { Some(simulation.rng.pick(&numbers)) };
    let (now, kind) = (simulation.now(), simulation.rng.below(10));
    let (done, checked) = match (kind, number) {
        (0, _) => {
            let except = number.filter(|_| simulation.rng.chance(50));
            simulation.cover("revoked a subject");
            (format!("revoke {subject} but for {except:?}"), simulation.revoke_subject(subject, except).await)
        }
        (1..4, Some(number)) => {
            simulation.cover("revoked");
            (format!("revoke {number}"), simulation.revoke(number).await)
        }
        _ => {
            simulation.cover("listed");
            (format!("list {subject}"), simulation.list(subject).await)
        }
    };
    checked.map_err(|error| format!("{done} at {now}: {error}"))?;
    Ok(format!("{done} at {now}"))
}

/// Opens by any token of any session, current or older, and checks the record in the store.
async fn check_random_token<S: IntoHandle>(simulation: &mut Simulation<S>) -> Checked {
    let numbers: Vec<u64> = simulation.sessions.keys().copied().collect();
    if numbers.is_empty() {
        return Ok(());
    }
    let session = simulation.rng.pick(&numbers);
    if simulation.sessions[&session].id.is_empty() {
        return Ok(());
    }
    simulation.check_store(session).await.map_err(|error| format!("session {session} in the store: {error}"))?;
    let tokens = simulation.sessions[&session].tokens.len();
    if tokens == 0 || simulation.rng.chance(50) {
        return Ok(());
    }
    let token = usize::try_from(simulation.rng.below(tokens as u64)).unwrap();
    if simulation.sessions[&session].tokens[token].is_empty() {
        return Ok(());
    }
    let held = HeldToken { session, token: PresentedToken::Token(token) };
    let browser = usize::try_from(simulation.rng.below(BROWSERS as u64)).unwrap();
    simulation
        .open(browser, &[held], SentAs::CookieHeader, (None, None))
        .await
        .map_err(|error| format!("an open by {held:?}: {error}"))
}

async fn open<S: IntoHandle>(simulation: &mut Simulation<S>, browser: usize) -> Checked<String> {
    let mut held: Vec<HeldToken> = simulation.browsers[browser].into_iter().collect();
    if simulation.rng.chance(10) {
        let other = simulation.rng.pick(&simulation.browsers.clone());
        held.extend(other);
    }
    let sent_as = sent_as(&mut simulation.rng);
    let now = simulation.now();
    let authenticated = held.first().and_then(|held| simulation.sessions[&held.session].authenticated);
    let max_age = match authenticated {
        Some(time) if simulation.rng.chance(50) => {
            Some((now.saturating_sub(time) + simulation.rng.below(3)).max(2) - 1)
        }
        _ => None,
    };
    let ends = held.first().map_or_else(|| vec![0], |held| simulation.end_times(*held));
    let age = age(&mut simulation.rng, &ends, now);
    let done = format!("open by {browser} {held:?} {sent_as:?} {max_age:?} {age:?} at {now}");
    simulation.open(browser, &held, sent_as, (max_age, age)).await.map_err(|error| format!("{done}: {error}"))?;
    Ok(done)
}

async fn write<S: IntoHandle>(simulation: &mut Simulation<S>, browser: usize) -> Checked<String> {
    let held = simulation.browsers[browser];
    let request = request(simulation, held);
    write_by(simulation, browser, held, &request).await
}

/// Sends the same request twice, as a retry does.
async fn retry<S: IntoHandle>(simulation: &mut Simulation<S>, browser: usize) -> Checked<String> {
    let held = simulation.browsers[browser];
    let mut request = request(simulation, held);
    "again".clone_into(&mut request.request_id);
    request.etag = None;
    let first = write_by(simulation, browser, held, &request).await?;
    // The response may have been lost, and a ticket may have become a session.
    let still = held.is_some_and(|held| simulation.sessions.contains_key(&held.session));
    let held = if still { held } else { simulation.browsers[browser] };
    let second =
        write_by(simulation, browser, held, &request).await.map_err(|error| format!("{first}; again: {error}"))?;
    Ok(format!("{first}; {second}"))
}

async fn write_by<S: IntoHandle>(
    simulation: &mut Simulation<S>,
    browser: usize,
    held: Option<HeldToken>,
    request: &WriteRequest,
) -> Checked<String> {
    let sent_as = sent_as(&mut simulation.rng);
    let done = format!("write by {browser} {held:?} {sent_as:?} {request:?} at {}", simulation.now());
    simulation.write(browser, held, sent_as, request).await.map_err(|error| format!("{done}: {error}"))?;
    Ok(done)
}

/// Moves the clock on, often to the millisecond at which something expires, or one before or after.
fn move_clock<S: IntoHandle>(simulation: &mut Simulation<S>) -> Checked<String> {
    let now = simulation.now();
    let ends = simulation.sessions.values().flat_map(ExpectedSession::ends).collect();
    let to = next_time(&mut simulation.rng, now, ends);
    simulation.set_clock(to);
    Ok(format!("clock {now} to {to}"))
}

/// Returns a time that is not before `now`, often one of `ends`.
pub(super) fn next_time(rng: &mut Rng, now: u64, mut ends: Vec<u64>) -> u64 {
    // Jumps to all times, also far ones, would leave no session alive.
    let far = if rng.chance(3) { u64::MAX } else { now + 5 * MINUTE };
    ends.retain(|end| (now..far).contains(end));
    let to = match rng.below(10) {
        0..3 => now + rng.below(50),
        3..6 => now + rng.below(20_000),
        6 => now + rng.below(4 * MINUTE),
        _ if ends.is_empty() => now + GRACE,
        _ => rng.pick(&ends) + rng.below(3) - 1,
    };
    to.max(now)
}

/// Copies the cookie of another browser, as a thief does.
fn copy_cookie<S: IntoHandle>(simulation: &mut Simulation<S>, browser: usize) -> Checked<String> {
    simulation.browsers[browser] = simulation.rng.pick(&simulation.browsers.clone());
    Ok(format!("{browser} copies {:?}", simulation.browsers[browser]))
}

/// Removes the cookie of a browser, or replaces it by an older one.
fn lose_cookie<S: IntoHandle>(simulation: &mut Simulation<S>, browser: usize) -> Checked<String> {
    simulation.browsers[browser] = match simulation.browsers[browser] {
        Some(HeldToken { session, token: PresentedToken::Token(token) }) if token > 0 && simulation.rng.chance(70) => {
            let older = usize::try_from(simulation.rng.below(token as u64)).unwrap();
            Some(HeldToken { session, token: PresentedToken::Token(older) })
                .filter(|_| !simulation.sessions[&session].tokens[older].is_empty())
        }
        Some(HeldToken { session, token: PresentedToken::Token(_) }) if simulation.rng.chance(50) => {
            Some(HeldToken { session, token: PresentedToken::Ticket })
                .filter(|_| !simulation.sessions[&session].ticket.is_empty())
        }
        _ => None,
    };
    Ok(format!("{browser} has {:?}", simulation.browsers[browser]))
}

fn sent_as(rng: &mut Rng) -> SentAs {
    rng.pick(&[SentAs::Token, SentAs::CookieHeader])
}

fn request<S: IntoHandle>(simulation: &mut Simulation<S>, held: Option<HeldToken>) -> WriteRequest {
    let now = simulation.now();
    let version = held.map_or(0, |held| simulation.sessions[&held.session].version);
    let ends = held.map_or_else(|| vec![0], |held| simulation.end_times(held));
    let rng = &mut simulation.rng;
    let operation = match rng.below(20) {
        0 => Operation::Destroy,
        1..5 => Operation::Rotate(rng.pick(&CAUSES)),
        5..7 => Operation::Save { changes: None, rotate: rng.chance(30), keep_empty: false },
        _ => Operation::Save { changes: Some(changes(rng, now)), rotate: rng.chance(5), keep_empty: rng.chance(20) },
    };
    let request_id = if rng.chance(50) { format!("r{}", rng.below(24)) } else { String::new() };
    let is_save = matches!(&operation, Operation::Save { changes, rotate, .. } if changes.is_some() || *rotate);
    let etag = (is_save && rng.chance(10)).then(|| version + rng.below(2));
    let age = age(rng, &ends, now);
    WriteRequest { operation, request_id, etag, age }
}

/// Returns how old a request is that may say so, often just older than one of `ends`.
fn age(rng: &mut Rng, ends: &[u64], now: u64) -> Option<u64> {
    rng.chance(50).then(|| {
        let since_end = now.saturating_sub(rng.pick(ends));
        rng.pick(&[0, 1, MINUTE, since_end, since_end + 1])
    })
}

pub(super) fn changes(rng: &mut Rng, now: u64) -> Changes {
    let mut changes = Changes { clear: rng.chance(3), ..Changes::default() };
    for name in ["a", "b", "c", "d", "e", "f", "g", "n", "m"] {
        match rng.below(30) {
            0..4 => drop(changes.set.insert(name.to_owned(), value(rng))),
            4 => changes.unset.push(name.to_owned()),
            5 if name >= "m" => drop(changes.increment.insert(name.to_owned(), i64::MAX)),
            5..9 if name >= "m" => drop(changes.increment.insert(name.to_owned(), 1)),
            _ => {}
        }
    }
    changes.permanent = match rng.below(20) {
        0 => PermanentChange::Set(true),
        1 => PermanentChange::Set(false),
        2 => PermanentChange::Unset,
        _ => PermanentChange::Keep,
    };
    changes.subject = match rng.below(20) {
        0..3 => SubjectChange::Set(Subject::parse("anna").unwrap()),
        3 => SubjectChange::Set(Subject::parse("bert").unwrap()),
        4 => SubjectChange::Remove,
        _ => SubjectChange::Keep,
    };
    if rng.chance(8) {
        changes.authentication = AuthenticationChange::Now;
    }
    changes.lifetime = match rng.below(25) {
        0 => LifetimeChange::Default,
        1 => LifetimeChange::Idle(Duration::from_millis(rng.pick(&[MINUTE, ANONYMOUS.0, 2 * AUTHENTICATED.0]))),
        2 => LifetimeChange::Until(Time::from_millis(now + rng.pick(&[1, MINUTE, ANONYMOUS.1, 2 * AUTHENTICATED.1]))),
        _ => LifetimeChange::Keep,
    };
    changes.check(None).unwrap()
}

fn value(rng: &mut Rng) -> Value {
    match rng.below(10) {
        0 => Value::raw(b"\0raw\xff"),
        1 => Value::json(format!("\"{}\"", "x".repeat(usize::try_from(rng.below(700)).unwrap()))).unwrap(),
        2 => Value::json(" 1".to_owned()).unwrap(),
        n => Value::json(n.to_string()).unwrap(),
    }
}
