//! `cloakroom sessions stats`: the numbers of an app.

use clap::Args;

use super::text::{NONE, absolute, printable, time};
use super::{Desk, Format, json, table};
use crate::cli::{Failure, output};
use crate::clock::Time;
use crate::grpc::wire::{GetStatsRequest, GetStatsResponse};

#[derive(Debug, Args)]
pub(super) struct Stats {}

impl Stats {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let request = GetStatsRequest { app: desk.app.clone() };
        let stats = desk.admin.ask(async |mut client| client.get_stats(request).await).await?;
        Ok(output::answer(&match desk.format {
            Format::People => sheet(&stats, desk.now),
            Format::Json => json::line(&json::Stats::from(&stats)),
        })?)
    }
}

fn sheet(stats: &GetStatsResponse, now: Time) -> String {
    let mut ended = stats.ended.iter().collect::<Vec<_>>();
    ended.sort_unstable();
    let ended = ended.iter().map(|(reason, count)| format!("{count} {}", printable(reason))).collect::<Vec<_>>();
    let ended = if ended.is_empty() { NONE.to_owned() } else { ended.join(", ") };
    // Before the first scan nobody knows.
    let live = match stats.scan_time {
        None => NONE.to_owned(),
        Some(_) => format!("{}, {} of them nobody's", stats.live, stats.live_anonymous),
    };
    table::fields(&[
        ("counting since", absolute(time(&stats.start_time), now)),
        ("opened", stats.opened.to_string()),
        ("created", stats.created.to_string()),
        ("ended", ended),
        ("live", live),
        ("scanned", absolute(time(&stats.scan_time), now)),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn numbers_are_told_with_the_time_of_the_scan() {
        let stats = GetStatsResponse {
            start_time: example::at(-7200),
            opened: 900,
            created: 30,
            ended: [("REVOKED".to_owned(), 2), ("DESTROYED".to_owned(), 5)].into(),
            live: 23,
            live_anonymous: 4,
            scan_time: example::at(-30),
        };

        assert_eq!(
            sheet(&stats, example::NOW),
            "\
counting since  2026-01-02T01:04:05Z (2h ago)
opened          900
created         30
ended           5 DESTROYED, 2 REVOKED
live            23, 4 of them nobody's
scanned         2026-01-02T03:03:35Z (30s ago)
"
        );
    }

    #[test]
    fn before_the_first_scan_nobody_knows_how_many_live() {
        let text = sheet(&GetStatsResponse { start_time: example::at(0), ..Default::default() }, example::NOW);

        assert!(text.contains("live            -\nscanned         -\n"), "{text}");
    }
}
