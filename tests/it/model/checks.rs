//! Checks each response against the model, and updates the model.

use cloakroom::service::{NullReason, Opened, Outcome, RotationCause, SessionView};
use cloakroom::session::{EndReason, Version, WriteEffect};
use cloakroom::store::IntoHandle;

use super::answer::{Answer, Checked, WriteResult, check_refused, check_view, entries, error_text, same};
use super::expected_session::{ExpectedSession, ExpectedWrite, Operation, State, WriteRequest};
use super::simulation::{HeldToken, PresentedToken, Recovery, SentAs, Simulation};

/// The session that a response must contain.
enum ExpectedView<'v> {
    Nothing,
    /// A new session, which is not stored. With a number, its ticket was issued by an earlier call.
    New(&'v SessionView, Option<u64>),
    /// A stored session, and whether the response has its current token.
    Stored(&'v SessionView, u64, bool),
}

/// What a response does with the cookie, besides what rotations and ends do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cookie {
    AsUsual,
    /// The browser may be about to get the cookie of a login: only a rotation sets one.
    Keep,
}

impl Cookie {
    fn of_ticket(ticket: &str) -> Self {
        if ticket.starts_with("t1k.") { Self::Keep } else { Self::AsUsual }
    }

    const fn of_recovery(recovery: Recovery) -> Self {
        if recovery.sets_cookie { Self::AsUsual } else { Self::Keep }
    }
}

impl<S: IntoHandle> Simulation<S> {
    pub(super) fn check_open(
        &mut self,
        browser: usize,
        (held, recoveries): (&[HeldToken], &mut [Recovery]),
        (max_age, began): (Option<u64>, Option<u64>),
        (opened, now): (&Opened, u64),
    ) -> Checked {
        // A ticket is not valid in a cookie and opens nothing.
        let tokens = held.iter().filter_map(|held| match held.token {
            PresentedToken::Token(token) => Some((held.session, token)),
            PresentedToken::Ticket => None,
        });
        let began_before = |end| began.is_some_and(|began| began < end);
        let is_overtaken =
            tokens.clone().any(|(session, token)| began_before(self.sessions[&session].end_time(token, now)));
        for recovery in recoveries.iter_mut().filter(|recovery| is_overtaken || began_before(recovery.ended)) {
            recovery.sets_cookie = false;
        }
        let opens = |(session, token): &(u64, usize)| {
            let expected = &self.sessions[session];
            expected.state(now) == State::Alive && expected.superseded(*token, now).is_none()
        };
        let mut live: Vec<u64> = tokens.filter(opens).map(|(session, _)| session).collect();
        live.sort_unstable();
        live.dedup();
        match (&*live, &*recoveries) {
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
                let is_live = |recovery: &&Recovery| self.sessions[&recovery.number].state(now) == State::Alive;
                match recoveries.iter().find(is_live).or_else(|| recoveries.first()) {
                    None => {
                        if is_overtaken {
                            self.cover("opened after the end of the session during the request");
                        }
                        same("the ticket's note", view.token.starts_with("t1k."), is_overtaken)?;
                        same("entries", opened.entries.count(), 0)?;
                        self.check(browser, &ExpectedView::New(view, None), now)
                    }
                    Some(recovery) => self.check_opened_recovery(browser, *recovery, opened, now),
                }
            }
            [session] => {
                let expected = self.sessions.get_mut(&session).ok_or("no such session")?;
                expected.touch(now);
                same("entries", entries(opened), expected.entries.clone())?;
                same("recently authenticated", opened.recently_authenticated, recent(expected))?;
                self.check(browser, &ExpectedView::Stored(view, session, true), now)
            }
            _ => same("a null session", view.null, Some(NullReason::CookiesAmbiguous)),
        }
    }

    fn check_opened_recovery(&mut self, browser: usize, recovery: Recovery, opened: &Opened, now: u64) -> Checked {
        self.cover("opened a recovery session");
        let (view, Recovery { number, sets_cookie, .. }) = (&opened.session, recovery);
        let expected = self.sessions.get_mut(&number).ok_or("no such session")?;
        if expected.state(now) != State::Alive {
            same("entries", opened.entries.count(), 0)?;
            let prefix = if sets_cookie { "t1s." } else { "t1k." };
            same("the ticket's note", view.token.starts_with(prefix), true)?;
            return self.check(browser, &ExpectedView::New(view, Some(number)), now);
        }
        expected.touch(now);
        same("entries", entries(opened), expected.entries.clone())?;
        same("cookie outdated", opened.cookie_outdated, sets_cookie)?;
        same("a cookie is set", opened.untouched_headers.is_empty(), !sets_cookie)?;
        if sets_cookie {
            return self.check(browser, &ExpectedView::Stored(view, number, true), now);
        }
        same("the token's note", view.token.starts_with("v1k."), true)?;
        check_view(expected, view, now)
    }

    pub(super) fn check_save(
        &mut self,
        browser: usize,
        (held, sent_as, recovery): (Option<HeldToken>, SentAs, Option<Recovery>),
        request: &WriteRequest,
        answer: WriteResult,
    ) -> Checked {
        let now = self.now();
        let usual = Cookie::AsUsual;
        let Some(held) = held else { return self.check_first_save(browser, (None, usual), request, answer) };
        let expected = self.sessions.get_mut(&held.session).ok_or("no such session")?;
        let (token, cookie) = match held.token {
            PresentedToken::Ticket if !expected.ticket_is_good(now) => return check_refused(answer, "token"),
            PresentedToken::Ticket => (0, Cookie::of_ticket(&expected.ticket)),
            PresentedToken::Token(token) => (token, usual),
        };
        if held.token == PresentedToken::Ticket && expected.state(now) == State::New {
            return self.check_first_save(browser, (Some(held.session), cookie), request, answer);
        }
        let is_unmodified = request.is_unmodified_save();
        let end = expected.end_time(token, now);
        let is_overtaken = sent_as == SentAs::CookieHeader && request.began_before(end, now);
        let write = if is_unmodified { expected.read(token, now) } else { expected.write(token, request, now) };
        match (write, recovery) {
            (ExpectedWrite::Gone(reason), _) if is_overtaken => {
                self.cover("gone during the request");
                self.check_gone(browser, &answer.map_err(error_text)?, Some(reason))
            }
            (ExpectedWrite::Gone(reason), Some(Recovery { ended, .. })) if request.began_before(ended, now) => {
                self.cover("gone in recovery during the request");
                self.check_gone(browser, &answer.map_err(error_text)?, Some(reason))
            }
            (ExpectedWrite::Missing | ExpectedWrite::Gone(_), Some(recovery)) => {
                self.check_recovery_save(browser, recovery, request, answer)
            }
            (ExpectedWrite::Missing | ExpectedWrite::Gone(_), None) if sent_as == SentAs::CookieHeader => {
                self.check_first_save(browser, (None, usual), request, answer)
            }
            (write, _) => self.check_written(browser, (held.session, cookie), write, answer),
        }
    }

    /// Checks a save by a superseded cookie, which is made to its recovery session.
    fn check_recovery_save(
        &mut self,
        browser: usize,
        recovery: Recovery,
        request: &WriteRequest,
        answer: WriteResult,
    ) -> Checked {
        let (now, cookie) = (self.now(), Cookie::of_recovery(recovery));
        let expected = self.sessions.get_mut(&recovery.number).ok_or("no such session")?;
        if expected.state(now) == State::New {
            return self.check_first_save(browser, (Some(recovery.number), cookie), request, answer);
        }
        self.cover("saved to a recovery session");
        let expected = self.sessions.get_mut(&recovery.number).ok_or("no such session")?;
        let write = if request.is_unmodified_save() { expected.read(0, now) } else { expected.write(0, request, now) };
        self.check_written(browser, (recovery.number, cookie), write, answer)
    }

    /// Checks a save by ticket (with a number) or without a credential, where nothing is stored yet.
    fn check_first_save(
        &mut self,
        browser: usize,
        (ticket, cookie): (Option<u64>, Cookie),
        request: &WriteRequest,
        answer: WriteResult,
    ) -> Checked {
        let now = self.now();
        let mut expected = match ticket {
            Some(number) => self.sessions[&number].clone(),
            None => ExpectedSession::new(String::new(), String::new(), now),
        };
        let write = if request.is_unmodified_save() { ExpectedWrite::Missing } else { expected.create(request, now) };
        let has_changes = matches!(request.operation, Operation::Save { changes: Some(_), .. });
        match write {
            ExpectedWrite::Refused(why) => check_refused(answer, why),
            ExpectedWrite::Missing if !has_changes || request.sets_permanent() => {
                let answer = answer.map_err(|error| format!("refused: {error}"))?;
                same("outcome", answer.outcome, Outcome::Unchanged)?;
                self.check(browser, &ExpectedView::New(answer.view()?, ticket), now)
            }
            ExpectedWrite::Missing => {
                let answer = answer.map_err(|error| format!("refused: {error}"))?;
                same("outcome", answer.outcome, Outcome::Deleted(EndReason::Emptied))?;
                match cookie {
                    Cookie::AsUsual => answer.deletes_the_cookie()?,
                    Cookie::Keep => same("no cookie", answer.cookies().len(), 0)?,
                }
                self.check(browser, &ExpectedView::Nothing, now)
            }
            write => {
                let number = ticket.unwrap_or_else(|| self.number());
                if expected.id.is_empty() {
                    let view = answer.as_ref().ok().and_then(|answer| answer.session.as_ref());
                    expected.id = view.and_then(|view| view.id).map(|id| id.to_string()).unwrap_or_default();
                }
                self.sessions.insert(number, expected);
                self.check_written(browser, (number, cookie), write, answer)
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
        let cookie = match held.token {
            PresentedToken::Ticket => Cookie::of_ticket(&expected.ticket),
            PresentedToken::Token(_) => Cookie::AsUsual,
        };
        let is_renewal = request.operation == Operation::Rotate(RotationCause::Renewal);
        let write = if is_renewal && cookie == Cookie::Keep {
            self.sessions.get_mut(&held.session).ok_or("no such session")?.read(token, now)
        } else {
            expected.write(token, request, now)
        };
        self.check_written(browser, (held.session, cookie), write, answer)
    }

    pub(super) fn check_destruction(
        &mut self,
        browser: usize,
        (held, recovery): (Option<HeldToken>, Option<Recovery>),
        request: &WriteRequest,
        answer: WriteResult,
    ) -> Checked {
        let now = self.now();
        let Some(held) = held else { return same("outcome", answer.map_err(error_text)?.outcome, Outcome::Gone(None)) };
        let expected = self.sessions.get_mut(&held.session).ok_or("no such session")?;
        let (token, cookie) = match held.token {
            PresentedToken::Ticket if !expected.ticket_is_good(now) => return check_refused(answer, "token"),
            PresentedToken::Ticket => (0, Cookie::of_ticket(&expected.ticket)),
            PresentedToken::Token(token) => (token, Cookie::AsUsual),
        };
        let mut outcome = match expected.write(token, request, now) {
            ExpectedWrite::Refused(why) => return check_refused(answer, why),
            ExpectedWrite::Missing => Outcome::Gone(None),
            ExpectedWrite::Gone(reason) => Outcome::Gone(Some(reason)),
            _ => Outcome::Deleted(expected.end.ok_or("it has not ended")?.0),
        };
        if let (Outcome::Gone(Some(_)) | Outcome::Deleted(_), Some(recovery)) = (outcome, recovery) {
            let has_ended = matches!(outcome, Outcome::Deleted(_));
            let expected = self.sessions.get_mut(&recovery.number).ok_or("no such session")?;
            match expected.write(0, request, now) {
                ExpectedWrite::Refused(why) => return check_refused(answer, why),
                ExpectedWrite::Missing => {}
                _ if has_ended => {}
                ExpectedWrite::Gone(reason) => outcome = Outcome::Gone(Some(reason)),
                _ => outcome = Outcome::Deleted(expected.end.ok_or("it has not ended")?.0),
            }
        }
        let answer = answer.map_err(error_text)?;
        same("outcome", answer.outcome, outcome)?;
        match outcome {
            Outcome::Gone(Some(EndReason::Superseded)) => same("headers", answer.headers.len(), 0),
            _ if cookie == Cookie::Keep => same("headers", answer.headers.len(), 0),
            _ => {
                self.browsers[browser] = None;
                answer.deletes_the_cookie()
            }
        }
    }

    fn check_written(
        &mut self,
        browser: usize,
        (number, cookie): (u64, Cookie),
        write: ExpectedWrite,
        answer: WriteResult,
    ) -> Checked {
        let now = self.now();
        self.cover(&format!("{write:?}"));
        let is_rotated = match &write {
            ExpectedWrite::Done { rotated, .. } => *rotated,
            ExpectedWrite::Again { by_rotation, .. } => *by_rotation,
            _ => false,
        };
        let expected = self.sessions.get_mut(&number).ok_or("no such session")?;
        let (outcome, mut shows_token) = match write {
            ExpectedWrite::Refused(why) => return check_refused(answer, why),
            ExpectedWrite::Missing => return self.check_gone(browser, &answer.map_err(error_text)?, None),
            ExpectedWrite::Gone(reason) => return self.check_gone(browser, &answer.map_err(error_text)?, Some(reason)),
            ExpectedWrite::Again { outcome, shows_token, .. } => (outcome, shows_token),
            ExpectedWrite::Renewed => (WriteEffect::Updated, true),
            ExpectedWrite::Read => (WriteEffect::Unchanged, true),
            ExpectedWrite::Done { outcome: WriteEffect::Created, rotated: false } if cookie == Cookie::Keep => {
                expected.tokens.push(String::new());
                (WriteEffect::Created, true)
            }
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
        if cookie == Cookie::Keep {
            let rotated = is_rotated && expected.state(now) == State::Alive;
            same("cookies", answer.cookies().len(), usize::from(rotated))?;
            shows_token &= rotated;
        }
        match outcome {
            Outcome::Deleted(_) => {
                if cookie == Cookie::AsUsual {
                    answer.deletes_the_cookie()?;
                }
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
                same("a new session", (view.version, view.null), (Version::NEW, None))?;
                same("a ticket", view.token.starts_with("t1"), true)?;
                let id = view.id.ok_or("no id")?.to_string();
                let number = number.unwrap_or_else(|| self.number());
                let expected =
                    self.sessions.entry(number).or_insert_with(|| ExpectedSession::new(id.clone(), String::new(), now));
                if expected.id.is_empty() {
                    expected.id.clone_from(&id);
                }
                same("id", &expected.id, &id)?;
                // A login by such a ticket replaces its token.
                expected.is_recovery |= view.token.starts_with("t1k.");
                (expected.ticket, expected.issued) = (view.token.clone(), now / 1000);
                let times = view.times.ok_or("no times")?;
                let fresh = ExpectedSession::new(id, String::new(), now);
                same("expire time", times.expire_time.millis(), fresh.expires(now))?;
                HeldToken { session: number, token: PresentedToken::Ticket }
            }
            ExpectedView::Stored(view, session, shows_token) => {
                let expected = self.sessions.get_mut(&session).ok_or("no such session")?;
                check_view(expected, view, now)?;
                // The first token of a recovery session is not shown at once.
                let hidden = expected.tokens.last_mut().filter(|token| shows_token && token.is_empty());
                hidden.into_iter().for_each(|token| token.clone_from(&view.token));
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
