//! Checks: what each answer has to be by the facts, which go along with it.

use cloakroom::service::{NullReason, Opened, Outcome, SessionView};
use cloakroom::session::{EndReason, Version, WriteEffect};
use cloakroom::store::Store;

use super::answer::{Answer, Checked, RecordedBody, check_view, entries, refused, same, text};
use super::facts::{Ask, Asked, Facts, State, TokenMatch, Wrote};
use super::world::{Held, How, PresentedToken, World};

/// What an answer shows of a session.
enum Shows<'v> {
    Nothing,
    /// One that no store knows, begun by this very call or (with a number) before.
    New(&'v SessionView, Option<u64>),
    /// One that is stored, with its current token or (false) without.
    Stored(&'v SessionView, u64, bool),
}

impl<S: Store> World<S> {
    pub(super) fn check_open(
        &mut self,
        by: usize,
        held: &[Held],
        max_age: Option<u64>,
        (opened, now): (&Opened, u64),
    ) -> Checked {
        // A ticket is valid in no cookie, and opens nothing.
        let tokens = held.iter().filter_map(|held| match held.shown {
            PresentedToken::Token(token) => Some((held.session, token)),
            PresentedToken::Ticket => None,
        });
        let (mut live, mut dead) = (Vec::new(), Vec::new());
        for (session, token) in tokens {
            let facts = &self.sessions[&session];
            if facts.state(now) != State::Alive {
                continue;
            }
            match facts.hold(token, now) {
                TokenMatch::Current | TokenMatch::InGrace => live.push(session),
                TokenMatch::Previous | TokenMatch::Replaced | TokenMatch::Older => {
                    dead.push(facts.tokens[token].clone())
                }
            }
        }
        live.sort_unstable();
        live.dedup();
        match (&*live, &*dead) {
            ([], []) => self.meet("opened nothing"),
            ([], _) => self.meet("opened by an older token"),
            ([_], _) => self.meet("opened"),
            _ => self.meet("opened two"),
        }
        let view = &opened.session;
        let recent = |facts: &Facts| max_age.zip(facts.authenticated).is_some_and(|(age, time)| now < time + age);
        match *live {
            [] => {
                same("recently authenticated", opened.recently_authenticated, false)?;
                match dead.first() {
                    None => self.check(by, &Shows::New(view, None), now),
                    Some(dead) => {
                        same("the dead token stays", &view.token, dead)?;
                        same("an empty session", (view.version, view.entries.count()), (Version::NEW, 0))
                    }
                }
            }
            [session] => {
                let facts = self.sessions.get_mut(&session).ok_or("no facts")?;
                facts.touch(now);
                same("entries", entries(view), facts.entries.clone())?;
                same("recently authenticated", opened.recently_authenticated, recent(facts))?;
                self.check(by, &Shows::Stored(view, session, true), now)
            }
            _ => same("a null session", view.null, Some(NullReason::CookiesAmbiguous)),
        }
    }

    pub(super) fn check_save(
        &mut self,
        by: usize,
        (held, how): (Option<Held>, How),
        ask: &Ask,
        answer: RecordedBody,
    ) -> Checked {
        let now = self.now();
        let Some(held) = held else { return self.check_first_save(by, None, ask, answer) };
        let facts = self.sessions.get_mut(&held.session).ok_or("no facts")?;
        let token = match held.shown {
            PresentedToken::Ticket if !facts.ticket_is_good(now) => return refused(answer, "token"),
            PresentedToken::Ticket if facts.state(now) == State::New => {
                return self.check_first_save(by, Some(held.session), ask, answer);
            }
            PresentedToken::Ticket => 0,
            PresentedToken::Token(token) => token,
        };
        if let Asked::Save { changes: None, rotate: false, .. } = ask.asked {
            return self.check_look(by, (held, how), token, answer);
        }
        match facts.write(token, ask, now) {
            Wrote::Missing if how == How::Cookie => self.check_first_save(by, None, ask, answer),
            wrote => self.check_written(by, held.session, wrote, answer),
        }
    }

    /// A save without changes only looks.
    fn check_look(&mut self, by: usize, (held, how): (Held, How), token: usize, answer: RecordedBody) -> Checked {
        let now = self.now();
        let answer = answer.map_err(|error| format!("refused: {error}"))?;
        let facts = self.sessions.get_mut(&held.session).ok_or("no facts")?;
        match (facts.state(now), facts.hold(token, now)) {
            (State::Alive, TokenMatch::Current | TokenMatch::InGrace) => {
                facts.touch(now);
                same("fate", answer.outcome, Outcome::Unchanged)?;
                self.check(by, &Shows::Stored(answer.view()?, held.session, true), now)
            }
            (State::Alive, _) => self.check_gone(by, &answer, Some(EndReason::Superseded)),
            (State::Ended(reason), _) => self.check_gone(by, &answer, Some(reason)),
            (State::New | State::Forgotten, _) if how == How::Cookie => {
                same("fate", answer.outcome, Outcome::Unchanged)?;
                self.check(by, &Shows::New(answer.view()?, None), now)
            }
            (State::New | State::Forgotten, _) => self.check_gone(by, &answer, None),
        }
    }

    /// A save to a ticket (with a number), or without any session: nothing is stored yet.
    fn check_first_save(&mut self, by: usize, ticket: Option<u64>, ask: &Ask, answer: RecordedBody) -> Checked {
        let now = self.now();
        let mut facts = match ticket {
            Some(number) => self.sessions[&number].clone(),
            None => Facts::new(String::new(), String::new(), now),
        };
        let only_looks = matches!(ask.asked, Asked::Save { changes: None, rotate: false, .. });
        let wrote = if only_looks { Wrote::Missing } else { facts.create(ask, now) };
        match wrote {
            Wrote::Refused(why) => refused(answer, why),
            Wrote::Missing if matches!(ask.asked, Asked::Save { changes: None, .. }) => {
                let answer = answer.map_err(|error| format!("refused: {error}"))?;
                same("fate", answer.outcome, Outcome::Unchanged)?;
                self.check(by, &Shows::New(answer.view()?, ticket), now)
            }
            Wrote::Missing => {
                let answer = answer.map_err(|error| format!("refused: {error}"))?;
                same("fate", answer.outcome, Outcome::Deleted(EndReason::Emptied))?;
                answer.deletes_the_cookie()?;
                self.check(by, &Shows::Nothing, now)
            }
            wrote => {
                let number = ticket.unwrap_or_else(|| self.number());
                if ticket.is_none() {
                    let view = answer.as_ref().ok().and_then(|answer| answer.session.as_ref());
                    facts.id = view.and_then(|view| view.id).map(|id| id.to_string()).unwrap_or_default();
                }
                self.sessions.insert(number, facts);
                self.check_written(by, number, wrote, answer)
            }
        }
    }

    pub(super) fn check_rotation(&mut self, by: usize, held: Option<Held>, ask: &Ask, answer: RecordedBody) -> Checked {
        let now = self.now();
        let Some(held) = held else { return self.check_gone(by, &answer.map_err(text)?, None) };
        let facts = self.sessions.get_mut(&held.session).ok_or("no facts")?;
        let token = match held.shown {
            PresentedToken::Ticket if !facts.ticket_is_good(now) => return refused(answer, "token"),
            PresentedToken::Ticket if facts.state(now) == State::New => {
                let answer = answer.map_err(text)?;
                same("fate", answer.outcome, Outcome::Unchanged)?;
                return self.check(by, &Shows::New(answer.view()?, Some(held.session)), now);
            }
            PresentedToken::Ticket => 0,
            PresentedToken::Token(token) => token,
        };
        let wrote = facts.write(token, ask, now);
        self.check_written(by, held.session, wrote, answer)
    }

    pub(super) fn check_destruction(
        &mut self,
        by: usize,
        held: Option<Held>,
        ask: &Ask,
        answer: RecordedBody,
    ) -> Checked {
        let now = self.now();
        let Some(held) = held else { return same("fate", answer.map_err(text)?.outcome, Outcome::Gone(None)) };
        let facts = self.sessions.get_mut(&held.session).ok_or("no facts")?;
        let token = match held.shown {
            PresentedToken::Ticket if !facts.ticket_is_good(now) => return refused(answer, "token"),
            PresentedToken::Ticket => 0,
            PresentedToken::Token(token) => token,
        };
        let outcome = match facts.write(token, ask, now) {
            Wrote::Refused(why) => return refused(answer, why),
            Wrote::Missing => Outcome::Gone(None),
            Wrote::Gone(reason) => Outcome::Gone(Some(reason)),
            _ => Outcome::Deleted(facts.end.ok_or("it has not ended")?.0),
        };
        let answer = answer.map_err(text)?;
        same("fate", answer.outcome, outcome)?;
        match outcome {
            Outcome::Gone(Some(EndReason::Superseded)) => same("headers", answer.headers.len(), 0),
            _ => {
                self.browsers[by] = None;
                answer.deletes_the_cookie()
            }
        }
    }

    fn check_written(&mut self, by: usize, number: u64, wrote: Wrote, answer: RecordedBody) -> Checked {
        let now = self.now();
        self.meet(&format!("{wrote:?}"));
        let facts = self.sessions.get_mut(&number).ok_or("no facts")?;
        let (outcome, told) = match wrote {
            Wrote::Refused(why) => return refused(answer, why),
            Wrote::Missing => return self.check_gone(by, &answer.map_err(text)?, None),
            Wrote::Gone(reason) => return self.check_gone(by, &answer.map_err(text)?, Some(reason)),
            Wrote::Again { outcome, told } => (outcome, told),
            Wrote::Renewed => (WriteEffect::Updated, true),
            Wrote::Done { outcome, rotated } => {
                if rotated || outcome == WriteEffect::Created {
                    // A new token is whatever the answer says, as long as it never was one before.
                    let view = answer.as_ref().map_err(|error| format!("refused: {error}"))?.view()?;
                    let token = view.token.clone();
                    same("a fresh token", (token.starts_with("v1."), facts.tokens.contains(&token)), (true, false))?;
                    facts.tokens.push(token);
                }
                (outcome, true)
            }
        };
        let answer = answer.map_err(text)?;
        let outcome = match outcome {
            WriteEffect::Unchanged => Outcome::Unchanged,
            WriteEffect::Created => Outcome::Created,
            WriteEffect::Updated => Outcome::Updated,
            WriteEffect::Deleted => Outcome::Deleted(facts.end.ok_or("it has not ended")?.0),
        };
        same("fate", answer.outcome, outcome)?;
        match outcome {
            Outcome::Deleted(_) => {
                answer.deletes_the_cookie()?;
                self.check(by, &Shows::Nothing, now)
            }
            _ if facts.state(now) == State::Alive => self.check(by, &Shows::Stored(answer.view()?, number, told), now),
            _ => self.check(by, &Shows::Nothing, now),
        }
    }

    fn check_gone(&mut self, by: usize, answer: &Answer, reason: Option<EndReason>) -> Checked {
        same("fate", answer.outcome, Outcome::Gone(reason))?;
        same("no session", answer.session.is_none(), true)?;
        same("no cookie", answer.cookies().len(), 0)?;
        self.check(by, &Shows::Nothing, self.now())
    }

    /// Whether what is shown is true; then the browser takes it in, or its answer is lost on the way.
    fn check(&mut self, by: usize, shows: &Shows<'_>, now: u64) -> Checked {
        let taken = match *shows {
            Shows::Nothing => return Ok(()),
            Shows::New(view, number) => {
                same("a new session", (view.version, view.null, view.entries.count()), (Version::NEW, None, 0))?;
                same("a ticket", view.token.starts_with("t1."), true)?;
                let id = view.id.ok_or("no id")?.to_string();
                let number = number.unwrap_or_else(|| self.number());
                let facts = self.sessions.entry(number).or_insert_with(|| Facts::new(id.clone(), String::new(), now));
                same("id", &facts.id, &id)?;
                (facts.ticket, facts.issued) = (view.token.clone(), now / 1000);
                let times = view.times.ok_or("no times")?;
                let fresh = Facts::new(id, String::new(), now);
                same("its end", times.expire_time.millis(), fresh.expires(now))?;
                Held { session: number, shown: PresentedToken::Ticket }
            }
            Shows::Stored(view, session, told) => {
                let facts = &self.sessions[&session];
                check_view(facts, view, now)?;
                let token = if told { facts.tokens.last().cloned().unwrap_or_default() } else { String::new() };
                same("token", &view.token, &token)?;
                if !told {
                    return Ok(());
                }
                Held { session, shown: PresentedToken::Token(facts.tokens.len() - 1) }
            }
        };
        if self.dice.chance(85) {
            self.browsers[by] = Some(taken);
        }
        Ok(())
    }
}
