//! Steps: what happens next, by the dice.

use std::time::Duration;

use cloakroom::session::{
    AuthenticationChange, Changes, LifetimeChange, PermanentChange, Subject, SubjectChange, Value,
};
use cloakroom::store::Store;
use cloakroom::types::Time;

use super::answer::Checked;
use super::dice::Dice;
use super::facts::{ANONYMOUS, Ask, Asked, GRACE, MINUTE, OWNED};
use super::world::{BROWSERS, CAUSES, Held, How, PresentedToken, World};

/// Does one step, checks it, and looks at some session by some token. Answers what was done.
pub(super) async fn step<S: Store>(world: &mut World<S>) -> Checked<String> {
    let by = usize::try_from(world.dice.below(BROWSERS as u64)).unwrap();
    let done = match world.dice.below(100) {
        0..18 => open(world, by).await,
        18..62 => write(world, by).await,
        62..84 => clock(world),
        84..88 => copy(world, by),
        88..90 => operate(world).await,
        90..92 => leave(world, by),
        92..93 if world.dice.chance(50) => {
            world.revoke_app().await.map_err(|error| format!("revoke app: {error}"))?;
            Ok("revoke app".to_owned())
        }
        92..94 => {
            world.sweep().await?;
            Ok("sweep".to_owned())
        }
        _ => repeat(world, by).await,
    }?;
    world.tidy();
    look(world).await.map_err(|error| format!("{done}; then {error}"))?;
    Ok(done)
}

/// What operators do: they list a subject's sessions, and end one, or all, or all but one.
async fn operate<S: Store>(world: &mut World<S>) -> Checked<String> {
    let subject = world.dice.pick(&["anna", "bert"]);
    let numbers: Vec<u64> = world.sessions.keys().copied().collect();
    let number = if numbers.is_empty() { None } else { Some(world.dice.pick(&numbers)) };
    let (now, kind) = (world.now(), world.dice.below(10));
    let (done, checked) = match (kind, number) {
        (0, _) => {
            let except = number.filter(|_| world.dice.chance(50));
            world.meet("revoked a subject");
            (format!("revoke {subject} but for {except:?}"), world.revoke_subject(subject, except).await)
        }
        (1..4, Some(number)) => {
            world.meet("revoked");
            (format!("revoke {number}"), world.revoke(number).await)
        }
        _ => {
            world.meet("listed");
            (format!("list {subject}"), world.list(subject).await)
        }
    };
    checked.map_err(|error| format!("{done} at {now}: {error}"))?;
    Ok(format!("{done} at {now}"))
}

/// Opens by any token of any session, an older one as likely as not, and looks into the store.
async fn look<S: Store>(world: &mut World<S>) -> Checked {
    let numbers: Vec<u64> = world.sessions.keys().copied().collect();
    if numbers.is_empty() {
        return Ok(());
    }
    let session = world.dice.pick(&numbers);
    world.check_store(session).await.map_err(|error| format!("session {session} in the store: {error}"))?;
    let tokens = world.sessions[&session].tokens.len();
    if tokens == 0 || world.dice.chance(50) {
        return Ok(());
    }
    let token = usize::try_from(world.dice.below(tokens as u64)).unwrap();
    let held = Held { session, shown: PresentedToken::Token(token) };
    let by = usize::try_from(world.dice.below(BROWSERS as u64)).unwrap();
    world.open(by, &[held], How::Cookie, None).await.map_err(|error| format!("a look at {held:?}: {error}"))
}

async fn open<S: Store>(world: &mut World<S>, by: usize) -> Checked<String> {
    let mut held: Vec<Held> = world.browsers[by].into_iter().collect();
    if world.dice.chance(10) {
        let other = world.dice.pick(&world.browsers.clone());
        held.extend(other);
    }
    let how = how(&mut world.dice);
    let now = world.now();
    let authenticated = held.first().and_then(|held| world.sessions[&held.session].authenticated);
    let max_age = match authenticated {
        Some(time) if world.dice.chance(50) => Some((now.saturating_sub(time) + world.dice.below(3)).max(2) - 1),
        _ => None,
    };
    let done = format!("open by {by} {held:?} {how:?} {max_age:?} at {now}");
    world.open(by, &held, how, max_age).await.map_err(|error| format!("{done}: {error}"))?;
    Ok(done)
}

async fn write<S: Store>(world: &mut World<S>, by: usize) -> Checked<String> {
    let held = world.browsers[by];
    let ask = ask(world, held);
    told(world, by, held, &ask).await
}

/// The same request twice: a retry.
async fn repeat<S: Store>(world: &mut World<S>, by: usize) -> Checked<String> {
    let held = world.browsers[by];
    let mut ask = ask(world, held);
    "again".clone_into(&mut ask.request);
    ask.etag = None;
    let first = told(world, by, held, &ask).await?;
    // The answer may have been lost, and a ticket may have become a session.
    let still = held.is_some_and(|held| world.sessions.contains_key(&held.session));
    let held = if still { held } else { world.browsers[by] };
    let second = told(world, by, held, &ask).await.map_err(|error| format!("{first}; again: {error}"))?;
    Ok(format!("{first}; {second}"))
}

async fn told<S: Store>(world: &mut World<S>, by: usize, held: Option<Held>, ask: &Ask) -> Checked<String> {
    let how = how(&mut world.dice);
    let done = format!("write by {by} {held:?} {how:?} {ask:?} at {}", world.now());
    world.write(by, held, how, ask).await.map_err(|error| format!("{done}: {error}"))?;
    Ok(done)
}

/// A span, or to the very millisecond at which something ends, one before or one after.
fn clock<S: Store>(world: &mut World<S>) -> Checked<String> {
    let now = world.now();
    let mut ends: Vec<u64> = world.sessions.values().flat_map(super::facts::Facts::ends).collect();
    // Far ends come by themselves; a jump to each would leave nobody alive.
    let far = if world.dice.chance(3) { u64::MAX } else { now + 5 * MINUTE };
    ends.retain(|end| (now..far).contains(end));
    let to = match world.dice.below(10) {
        0..3 => now + world.dice.below(50),
        3..6 => now + world.dice.below(20_000),
        6 => now + world.dice.below(4 * MINUTE),
        _ if ends.is_empty() => now + GRACE,
        _ => world.dice.pick(&ends) + world.dice.below(3) - 1,
    };
    world.set_clock(to.max(now));
    Ok(format!("clock {now} to {}", to.max(now)))
}

/// One browser has what another one has: a tab, or a thief.
fn copy<S: Store>(world: &mut World<S>, by: usize) -> Checked<String> {
    world.browsers[by] = world.dice.pick(&world.browsers.clone());
    Ok(format!("{by} copies {:?}", world.browsers[by]))
}

/// A browser forgets its cookies, or comes back with an old one.
fn leave<S: Store>(world: &mut World<S>, by: usize) -> Checked<String> {
    world.browsers[by] = match world.browsers[by] {
        Some(Held { session, shown: PresentedToken::Token(token) }) if token > 0 && world.dice.chance(70) => {
            let older = usize::try_from(world.dice.below(token as u64)).unwrap();
            Some(Held { session, shown: PresentedToken::Token(older) })
        }
        Some(Held { session, shown: PresentedToken::Token(_) }) if world.dice.chance(50) => {
            Some(Held { session, shown: PresentedToken::Ticket })
                .filter(|_| !world.sessions[&session].ticket.is_empty())
        }
        _ => None,
    };
    Ok(format!("{by} has {:?}", world.browsers[by]))
}

fn how(dice: &mut Dice) -> How {
    dice.pick(&[How::Bare, How::Cookie])
}

fn ask<S: Store>(world: &mut World<S>, held: Option<Held>) -> Ask {
    let now = world.now();
    let version = held.map_or(0, |held| world.sessions[&held.session].version);
    let dice = &mut world.dice;
    let asked = match dice.below(20) {
        0 => Asked::Destroy,
        1..5 => Asked::Rotate(dice.pick(&CAUSES)),
        5..7 => Asked::Save { changes: None, rotate: dice.chance(30), keep_empty: false },
        _ => Asked::Save { changes: Some(changes(dice, now)), rotate: dice.chance(5), keep_empty: dice.chance(20) },
    };
    let request = if dice.chance(50) { format!("r{}", dice.below(24)) } else { String::new() };
    let is_save = matches!(&asked, Asked::Save { changes, rotate, .. } if changes.is_some() || *rotate);
    let etag = (is_save && dice.chance(10)).then(|| version + dice.below(2));
    Ask { asked, request, etag }
}

fn changes(dice: &mut Dice, now: u64) -> Changes {
    let mut changes = Changes { clear: dice.chance(3), ..Changes::default() };
    for name in ["a", "b", "c", "d", "e", "f", "g", "n", "m"] {
        match dice.below(30) {
            0..4 => drop(changes.set.insert(name.to_owned(), value(dice))),
            4 => changes.unset.push(name.to_owned()),
            5 if name >= "m" => drop(changes.increment.insert(name.to_owned(), i64::MAX)),
            5..9 if name >= "m" => drop(changes.increment.insert(name.to_owned(), 1)),
            _ => {}
        }
    }
    changes.permanent = match dice.below(20) {
        0 => PermanentChange::Set(true),
        1 => PermanentChange::Set(false),
        2 => PermanentChange::Unset,
        _ => PermanentChange::Keep,
    };
    changes.subject = match dice.below(20) {
        0..3 => SubjectChange::Set(Subject::parse("anna").unwrap()),
        3 => SubjectChange::Set(Subject::parse("bert").unwrap()),
        4 => SubjectChange::Remove,
        _ => SubjectChange::Keep,
    };
    if dice.chance(8) {
        changes.authentication = AuthenticationChange::Now;
    }
    changes.lifetime = match dice.below(25) {
        0 => LifetimeChange::Default,
        1 => LifetimeChange::Idle(Duration::from_millis(dice.pick(&[MINUTE, ANONYMOUS.0, 2 * OWNED.0]))),
        2 => LifetimeChange::Until(Time::from_millis(now + dice.pick(&[1, MINUTE, ANONYMOUS.1, 2 * OWNED.1]))),
        _ => LifetimeChange::Keep,
    };
    changes.check(None).unwrap()
}

fn value(dice: &mut Dice) -> Value {
    match dice.below(10) {
        0 => Value::raw(b"\0raw\xff"),
        1 => Value::json(format!("\"{}\"", "x".repeat(usize::try_from(dice.below(700)).unwrap()))).unwrap(),
        2 => Value::json(" 1".to_owned()).unwrap(),
        n => Value::json(n.to_string()).unwrap(),
    }
}
