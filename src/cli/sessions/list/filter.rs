//! The filters of `sessions list` that the command applies to each session that the service sends.

use std::time::Duration;

use clap::Args;

use super::super::text::time;
use crate::grpc::wire::SessionInfo;
use crate::types::{Time, duration, timestamp};

/// The conditions of the sessions that are listed. All have to hold.
#[derive(Debug, Default, Args)]
pub(super) struct FilterArgs {
    /// List only sessions without a subject
    #[arg(long, conflicts_with = "subject")]
    anonymous: bool,
    /// List only sessions that were used at this time or later: a duration back from now, such as 2h or 7d, or a time,
    /// such as 2027-01-31 or 2027-01-31T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time_arg)]
    used_since: Option<TimeArg>,
    /// List only sessions that were last used before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time_arg)]
    used_before: Option<TimeArg>,
    /// List only sessions that were created at this time or later
    #[arg(long, value_name = "TIME", value_parser = parse_time_arg)]
    created_since: Option<TimeArg>,
    /// List only sessions that were created before this time
    #[arg(long, value_name = "TIME", value_parser = parse_time_arg)]
    created_before: Option<TimeArg>,
    /// List only sessions that expire before this time if they are not used again; here a duration is one from now on
    #[arg(long, value_name = "TIME", value_parser = parse_time_arg)]
    expires_before: Option<TimeArg>,
}

/// A time as it was written on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimeArg {
    At(Time),
    FromNow(Duration),
}

/// The conditions, with times.
#[derive(Debug)]
pub(super) struct Filter {
    anonymous: bool,
    used: Period,
    created: Period,
    expires: Period,
}

/// From a time, and before another.
#[derive(Debug)]
struct Period {
    since: Option<Time>,
    before: Option<Time>,
}

impl FilterArgs {
    /// Whether every session is listed.
    pub(super) const fn is_empty(&self) -> bool {
        let Self { anonymous, used_since, used_before, created_since, created_before, expires_before } = self;
        !*anonymous
            && used_since.is_none()
            && used_before.is_none()
            && created_since.is_none()
            && created_before.is_none()
            && expires_before.is_none()
    }

    pub(super) fn at(&self, now: Time) -> Filter {
        let ago = |arg: Option<TimeArg>| Some(arg?.resolve(|duration| now.before(duration)));
        let ahead = |arg: Option<TimeArg>| Some(arg?.resolve(|duration| now + duration));
        Filter {
            anonymous: self.anonymous,
            used: Period { since: ago(self.used_since), before: ago(self.used_before) },
            created: Period { since: ago(self.created_since), before: ago(self.created_before) },
            expires: Period { since: None, before: ahead(self.expires_before) },
        }
    }
}

impl TimeArg {
    fn resolve(self, from_now: impl FnOnce(Duration) -> Time) -> Time {
        match self {
            Self::At(time) => time,
            Self::FromNow(duration) => from_now(duration),
        }
    }
}

impl Filter {
    pub(super) fn includes(&self, session: &SessionInfo) -> bool {
        (!self.anonymous || session.subject.is_empty())
            && self.used.includes(time(&session.access_time))
            && self.created.includes(time(&session.create_time))
            && self.expires.includes(time(&session.expire_time))
    }
}

impl Period {
    fn includes(&self, time: Option<Time>) -> bool {
        self.since.is_none_or(|since| time.is_some_and(|time| time >= since))
            && self.before.is_none_or(|before| time.is_some_and(|time| time < before))
    }
}

fn parse_time_arg(text: &str) -> Result<TimeArg, String> {
    let from_now = duration::parse(text).map(TimeArg::FromNow);
    from_now.or_else(|_| timestamp::parse(text).map(TimeArg::At)).map_err(|_| {
        format!(
            "`{text}` is no time; write a duration such as 2h or 7d, or a time such as 2027-01-31 or \
             2027-01-31T18:00:00Z"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::example::{self, NOW};
    use super::*;

    fn includes(args: FilterArgs, session: &SessionInfo) -> bool {
        args.at(NOW).includes(session)
    }

    #[test]
    fn a_duration_is_back_from_now_and_of_an_expiry_ahead() {
        // Created 2 days ago, used 3 minutes ago, expires in 30 days.
        let session = example::full();
        let arg = |text| parse_time_arg(text).ok();

        assert!(includes(FilterArgs { used_since: arg("3m"), ..Default::default() }, &session));
        assert!(!includes(FilterArgs { used_since: arg("2m"), ..Default::default() }, &session));
        assert!(includes(FilterArgs { used_before: arg("2m"), ..Default::default() }, &session));
        assert!(!includes(FilterArgs { used_before: arg("3m"), ..Default::default() }, &session));
        assert!(includes(FilterArgs { created_since: arg("2d"), ..Default::default() }, &session));
        assert!(!includes(FilterArgs { created_before: arg("2d"), ..Default::default() }, &session));
        assert!(includes(FilterArgs { expires_before: arg("31d"), ..Default::default() }, &session));
        assert!(!includes(FilterArgs { expires_before: arg("30d"), ..Default::default() }, &session));
    }

    #[test]
    fn all_conditions_have_to_hold() {
        let time = |text| parse_time_arg(text).ok();
        let args =
            || FilterArgs { created_since: time("2026-01-01"), used_before: time("2026-01-03"), ..Default::default() };

        assert!(includes(args(), &example::bare()));
        assert!(!includes(args(), &example::full()), "it was created in 2025");
        assert!(includes(FilterArgs { anonymous: true, ..args() }, &example::bare()));
        assert!(!includes(FilterArgs { anonymous: true, ..Default::default() }, &example::full()));
    }

    #[test]
    fn a_text_that_is_no_time_is_refused_with_examples() {
        let error = parse_time_arg("yesterday").unwrap_err();

        assert!(error.starts_with("`yesterday` is no time; write a duration such as 2h"), "{error}");
    }
}
