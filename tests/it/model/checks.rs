//! Checks each response against the model, and updates the model.

use cloakroom::service::{NullReason, Opened, Outcome, SessionView};
use cloakroom::session::{EndReason, Version, WriteEffect};
use cloakroom::store::Store;

use super::answer::{Answer, Checked, WriteResult, check_refused, check_view, entries, error_text, same};
use super::expected_session::{ExpectedSession, ExpectedWrite, Operation, State, TokenMatch, WriteRequest};
use super::simulation::{HeldToken, PresentedToken, SentAs, Simulation};

/// The session that a response must contain.
enum ExpectedView<'v> {
    Nothing,
    /// A new session, which is not stored. With a number, its ticket was issued by an earlier call.
    New(&'v SessionView, Option<u64>),
    /// A stored session, and whether the response has its current token.
    Stored(&'v SessionView, u64, bool),
}

impl<S: Store> Simulation<S> {
    pub(super) fn check_open(
        &mut self,
        browser: usize,
        held: &[HeldToken],
        max_age: Option<u64>,
        (opened, now): (&Opened, u64),
    ) -> Checked {
        // A ticket is not valid in a cookie and opens nothing.
        let tokens = held.iter().filter_map(|held| match held.token {
            PresentedToken::Token(token) => Some((held.session, token)),
            PresentedToken::Ticket => None,
        });
        let (mut live, mut superseded) = (Vec::new(), Vec::new());
        for (session, token) in tokens {
            let expected = &self.sessions[&session];
            if expected.state(now) != State::Alive {
                continue;
            }
            match expected.match_token(token, now) {
                TokenMatch::Current | TokenMatch::InGrace => live.push(session),
                TokenMatch::Previous | TokenMatch::Replaced | TokenMatch::Older => {
                    superseded.push(expected.tokens[token].clone())
                }
            }
        }
        live.sort_unstable();
        live.dedup();
        match (&*live, &*superseded) {
            ([], []) => self.cover("opened nothing"),
            ([], _) => self.cover("opened by an older token"),
            ([_], _) => self.cover("opened"),
            _ => self.cover("opened two"),
        }
        let view = &opened.session;
        let recent = |expected: &ExpectedSession| {
            max_age.zip(expected.authenticated).is_some_and(|(age, time)| now < time + age)
        };
        match *live {
            [] => {
                same("recently authenticated", opened.recently_authenticated, false)?;
                match superseded.first() {
                    None => self.check(browser, &ExpectedView::New(view, None), now),
                    Some(token) => {
                        same("the superseded token stays", &view.token, token)?;
                        same("an empty session", (view.version, view.entries.count()), (Version::NEW, 0))
                    }
                }
            }
            [session] => {
                let expected = self.sessions.get_mut(&session).ok_or("no such session")?;
                expected.touch(now);
                same("entries", entries(view), expected.entries.clone())?;
                same("recently authenticated", opened.recently_authenticated, recent(expected))?;
                self.check(browser, &ExpectedView::Stored(view, session, true), now)
            }
            _ => same("a null session", view.null, Some(NullReason::CookiesAmbiguous)),
        }
    }

    pub(super) fn check_save(
        &mut self,
        browser: usize,
        (held, sent_as): (Option<HeldToken>, SentAs),
        request: &WriteRequest,
        answer: WriteResult,
    ) -> Checked {
        let now = self.now();
        let Some(held) = held else { return self.check_first_save(browser, None, request, answer) };
        let expected = self.sessions.get_mut(&held.session).ok_or("no such session")?;
        let token = match held.token {
            PresentedToken::Ticket if !expected.ticket_is_good(now) => return check_refused(answer, "token"),
            PresentedToken::Ticket if expected.state(now) == State::New => {
                return self.check_first_save(browser, Some(held.session), request, answer);
            }
            PresentedToken::Ticket => 0,
            PresentedToken::Token(token) => token,
        };
        if let Operation::Save { changes: None, rotate: false, .. } = request.operation {
            return self.check_unmodified_save(browser, (held, sent_as), token, answer);
        }
        match expected.write(token, request, now) {
            ExpectedWrite::Missing if sent_as == SentAs::CookieHeader => {
                self.check_first_save(browser, None, request, answer)
            }
            write => self.check_written(browser, held.session, write, answer),
        }
    }

    /// Checks a save without changes, which writes nothing.
    fn check_unmodified_save(
        &mut self,
        browser: usize,
        (held, sent_as): (HeldToken, SentAs),
        token: usize,
        answer: WriteResult,
    ) -> Checked {
        let now = self.now();
        let answer = answer.map_err(|error| format!("refused: {error}"))?;
        let expected = self.sessions.get_mut(&held.session).ok_or("no such session")?;
        match (expected.state(now), expected.match_token(token, now)) {
            (State::Alive, TokenMatch::Current | TokenMatch::InGrace) => {
                expected.touch(now);
                same("outcome", answer.outcome, Outcome::Unchanged)?;
                self.check(browser, &ExpectedView::Stored(answer.view()?, held.session, true), now)
            }
            (State::Alive, _) => self.check_gone(browser, &answer, Some(EndReason::Superseded)),
            (State::Ended(reason), _) => self.check_gone(browser, &answer, Some(reason)),
            (State::New | State::Forgotten, _) if sent_as == SentAs::CookieHeader => {
                same("outcome", answer.outcome, Outcome::Unchanged)?;
                self.check(browser, &ExpectedView::New(answer.view()?, None), now)
            }
            (State::New | State::Forgotten, _) => self.check_gone(browser, &answer, None),
        }
    }

    /// Checks a save by ticket (with a number) or without a credential, where nothing is stored yet.
    fn check_first_save(
        &mut self,
        browser: usize,
        ticket: Option<u64>,
        request: &WriteRequest,
        answer: WriteResult,
    ) -> Checked {
        let now = self.now();
        let mut expected = match ticket {
            Some(number) => self.sessions[&number].clone(),
            None => ExpectedSession::new(String::new(), String::new(), now),
        };
        let is_unmodified = matches!(request.operation, Operation::Save { changes: None, rotate: false, .. });
        let write = if is_unmodified { ExpectedWrite::Missing } else { expected.create(request, now) };
        match write {
            ExpectedWrite::Refused(why) => check_refused(answer, why),
            ExpectedWrite::Missing if matches!(request.operation, Operation::Save { changes: None, .. }) => {
                let answer = answer.map_err(|error| format!("refused: {error}"))?;
                same("outcome", answer.outcome, Outcome::Unchanged)?;
                self.check(browser, &ExpectedView::New(answer.view()?, ticket), now)
            }
            ExpectedWrite::Missing => {
                let answer = answer.map_err(|error| format!("refused: {error}"))?;
                same("outcome", answer.outcome, Outcome::Deleted(EndReason::Emptied))?;
                answer.deletes_the_cookie()?;
                self.check(browser, &ExpectedView::Nothing, now)
            }
            write => {
                let number = ticket.unwrap_or_else(|| self.number());
                if ticket.is_none() {
                    let view = answer.as_ref().ok().and_then(|answer| answer.session.as_ref());
                    expected.id = view.and_then(|view| view.id).map(|id| id.to_string()).unwrap_or_default();
                }
                self.sessions.insert(number, expected);
                self.check_written(browser, number, write, answer)
            }
        }
    }

    pub(super) fn check_rotation(
        &mut self,
        browser: usize,
        held: Option<HeldToken>,
        request: &WriteRequest,
        answer: WriteResult,
    ) -> Checked {
        let now = self.now();
        let Some(held) = held else { return self.check_gone(browser, &answer.map_err(error_text)?, None) };
        let expected = self.sessions.get_mut(&held.session).ok_or("no such session")?;
        let token = match held.token {
            PresentedToken::Ticket if !expected.ticket_is_good(now) => return check_refused(answer, "token"),
            PresentedToken::Ticket if expected.state(now) == State::New => {
                let answer = answer.map_err(error_text)?;
                same("outcome", answer.outcome, Outcome::Unchanged)?;
                return self.check(browser, &ExpectedView::New(answer.view()?, Some(held.session)), now);
            }
            PresentedToken::Ticket => 0,
            PresentedToken::Token(token) => token,
        };
        let write = expected.write(token, request, now);
        self.check_written(browser, held.session, write, answer)
    }

    pub(super) fn check_destruction(
        &mut self,
        browser: usize,
        held: Option<HeldToken>,
        request: &WriteRequest,
        answer: WriteResult,
    ) -> Checked {
        let now = self.now();
        let Some(held) = held else { return same("outcome", answer.map_err(error_text)?.outcome, Outcome::Gone(None)) };
        let expected = self.sessions.get_mut(&held.session).ok_or("no such session")?;
        let token = match held.token {
            PresentedToken::Ticket if !expected.ticket_is_good(now) => return check_refused(answer, "token"),
            PresentedToken::Ticket => 0,
            PresentedToken::Token(token) => token,
        };
        let outcome = match expected.write(token, request, now) {
            ExpectedWrite::Refused(why) => return check_refused(answer, why),
            ExpectedWrite::Missing => Outcome::Gone(None),
            ExpectedWrite::Gone(reason) => Outcome::Gone(Some(reason)),
            _ => Outcome::Deleted(expected.end.ok_or("it has not ended")?.0),
        };
        let answer = answer.map_err(error_text)?;
        same("outcome", answer.outcome, outcome)?;
        match outcome {
            Outcome::Gone(Some(EndReason::Superseded)) => same("headers", answer.headers.len(), 0),
            _ => {
                self.browsers[browser] = None;
                answer.deletes_the_cookie()
            }
        }
    }

    fn check_written(&mut self, browser: usize, number: u64, write: ExpectedWrite, answer: WriteResult) -> Checked {
        let now = self.now();
        self.cover(&format!("{write:?}"));
        let expected = self.sessions.get_mut(&number).ok_or("no such session")?;
        let (outcome, shows_token) = match write {
            ExpectedWrite::Refused(why) => return check_refused(answer, why),
            ExpectedWrite::Missing => return self.check_gone(browser, &answer.map_err(error_text)?, None),
            ExpectedWrite::Gone(reason) => return self.check_gone(browser, &answer.map_err(error_text)?, Some(reason)),
            ExpectedWrite::Again { outcome, shows_token } => (outcome, shows_token),
            ExpectedWrite::Renewed => (WriteEffect::Updated, true),
            ExpectedWrite::Done { outcome, rotated } => {
                if rotated || outcome == WriteEffect::Created {
                    // A new token can be any that this session has not had yet.
                    let view = answer.as_ref().map_err(|error| format!("refused: {error}"))?.view()?;
                    let token = view.token.clone();
                    same("a new token", (token.starts_with("v1."), expected.tokens.contains(&token)), (true, false))?;
                    expected.tokens.push(token);
                }
                (outcome, true)
            }
        };
        let answer = answer.map_err(error_text)?;
        let outcome = match outcome {
            WriteEffect::Unchanged => Outcome::Unchanged,
            WriteEffect::Created => Outcome::Created,
            WriteEffect::Updated => Outcome::Updated,
            WriteEffect::Deleted => Outcome::Deleted(expected.end.ok_or("it has not ended")?.0),
        };
        same("outcome", answer.outcome, outcome)?;
        match outcome {
            Outcome::Deleted(_) => {
                answer.deletes_the_cookie()?;
                self.check(browser, &ExpectedView::Nothing, now)
            }
            _ if expected.state(now) == State::Alive => {
                self.check(browser, &ExpectedView::Stored(answer.view()?, number, shows_token), now)
            }
            _ => self.check(browser, &ExpectedView::Nothing, now),
        }
    }

    fn check_gone(&mut self, browser: usize, answer: &Answer, reason: Option<EndReason>) -> Checked {
        same("outcome", answer.outcome, Outcome::Gone(reason))?;
        same("no session", answer.session.is_none(), true)?;
        same("no cookie", answer.cookies().len(), 0)?;
        self.check(browser, &ExpectedView::Nothing, self.now())
    }

    /// Checks the session of a response. Then the browser stores it, or the response is lost on the way.
    fn check(&mut self, browser: usize, view: &ExpectedView<'_>, now: u64) -> Checked {
        let held = match *view {
            ExpectedView::Nothing => return Ok(()),
            ExpectedView::New(view, number) => {
                same("a new session", (view.version, view.null, view.entries.count()), (Version::NEW, None, 0))?;
                same("a ticket", view.token.starts_with("t1."), true)?;
                let id = view.id.ok_or("no id")?.to_string();
                let number = number.unwrap_or_else(|| self.number());
                let expected =
                    self.sessions.entry(number).or_insert_with(|| ExpectedSession::new(id.clone(), String::new(), now));
                same("id", &expected.id, &id)?;
                (expected.ticket, expected.issued) = (view.token.clone(), now / 1000);
                let times = view.times.ok_or("no times")?;
                let fresh = ExpectedSession::new(id, String::new(), now);
                same("expire time", times.expire_time.millis(), fresh.expires(now))?;
                HeldToken { session: number, token: PresentedToken::Ticket }
            }
            ExpectedView::Stored(view, session, shows_token) => {
                let expected = &self.sessions[&session];
                check_view(expected, view, now)?;
                let token =
                    if shows_token { expected.tokens.last().cloned().unwrap_or_default() } else { String::new() };
                same("token", &view.token, &token)?;
                if !shows_token {
                    return Ok(());
                }
                HeldToken { session, token: PresentedToken::Token(expected.tokens.len() - 1) }
            }
        };
        if self.rng.chance(85) {
            self.browsers[browser] = Some(held);
        }
        Ok(())
    }
}
