//! `cloakroom sessions stats`: prints the statistics of an app.

use std::collections::HashMap;

use clap::Args;

use super::text::{NONE, absolute, printable, time};
use super::{CommandContext, OutputFormat, json, table};
use crate::cli::{CliError, output};
use crate::grpc::wire::{GetStatsRequest, GetStatsResponse};
use crate::types::Time;

#[derive(Debug, Args)]
pub(super) struct StatsArgs {}

impl StatsArgs {
    pub(super) async fn run(&self, context: &CommandContext) -> Result<(), CliError> {
        let request = GetStatsRequest { app: context.app.clone() };
        let stats = context.admin.call(async |mut client| client.get_stats(request).await).await?;
        Ok(output::print(&match context.format {
            OutputFormat::Text => render(&stats, context.now, context.columns),
            OutputFormat::Json => json::line(&json::StatsJson::from(&stats)),
        })?)
    }
}

fn render(stats: &GetStatsResponse, now: Time, columns: Option<usize>) -> String {
    let live = match (stats.live, stats.live_anonymous) {
        (Some(live), Some(anonymous)) => format!("{live}, {anonymous} of them anonymous"),
        (Some(live), None) => format!("{live}; not counted: how many of them are anonymous ({TOO_SMALL})"),
        (None, _) if stats.scan_time.is_some() => format!("not counted: {TOO_SMALL}"),
        (None, _) => format!("not counted: {NO_SCAN}"),
    };
    let mut fields = vec![
        ("counting since", absolute(time(&stats.start_time), now)),
        ("opened", stats.opened.to_string()),
        ("created", stats.created.to_string()),
        ("ended", by_reason(&stats.ended)),
        ("live", live),
        ("scanned", absolute(time(&stats.scan_time), now)),
    ];
    for source in &stats.migrations {
        fields.extend([
            ("migration", format!("{}, until {}", printable(&source.source), absolute(time(&source.until), now))),
            ("  imported", source.imported.to_string()),
            ("  last import", absolute(time(&source.last_import_time), now)),
            ("  found again", source.found.to_string()),
            ("  refused", by_reason(&source.refused)),
        ]);
    }
    table::fields(&fields, columns)
}

const TOO_SMALL: &str = "the sample was too small to be right within 5 %";
const NO_SCAN: &str = "no scan is complete yet, or live_count_interval is 0";

/// `5 DESTROYED, 2 REVOKED`.
fn by_reason(counts: &HashMap<String, u64>) -> String {
    let mut counts = counts.iter().collect::<Vec<_>>();
    counts.sort_unstable();
    let counts = counts.iter().map(|(reason, count)| format!("{count} {}", printable(reason))).collect::<Vec<_>>();
    if counts.is_empty() { NONE.to_owned() } else { counts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;
    use crate::grpc::wire::MigrationStats;

    #[test]
    fn live_sessions_have_the_time_of_the_scan() {
        let stats = GetStatsResponse {
            start_time: example::at(-7200),
            opened: 900,
            created: 30,
            ended: [("REVOKED".to_owned(), 2), ("DESTROYED".to_owned(), 5)].into(),
            live: Some(23),
            live_anonymous: Some(4),
            scan_time: example::at(-30),
            migrations: Vec::new(),
        };

        assert_eq!(
            render(&stats, example::NOW, None),
            "\
counting since  2026-01-02T01:04:05Z (2h ago)
opened          900
created         30
ended           5 DESTROYED, 2 REVOKED
live            23, 4 of them anonymous
scanned         2026-01-02T03:03:35Z (30s ago)
"
        );
    }

    #[test]
    fn each_migration_source_shows_its_imports_and_the_last_one() {
        let source = MigrationStats {
            source: "flask_cookie".to_owned(),
            until: example::at(86_400),
            imported: 812,
            found: 40,
            refused: [("EXPIRED".to_owned(), 3), ("ENDED".to_owned(), 9)].into(),
            last_import_time: example::at(-7200),
        };
        let text = render(&GetStatsResponse { migrations: vec![source], ..Default::default() }, example::NOW, None);

        let fields = "\
  imported      812
  last import   2026-01-02T01:04:05Z (2h ago)
  found again   40
  refused       9 ENDED, 3 EXPIRED
";
        assert!(text.ends_with(fields) && text.contains("\nmigration       flask_cookie, until 2026-01-03T"), "{text}");
    }

    #[test]
    fn before_the_first_scan_the_live_count_is_unknown() {
        let text = render(&GetStatsResponse { start_time: example::at(0), ..Default::default() }, example::NOW, None);

        let expected = "\
live            not counted: no scan is complete yet, or live_count_interval is 0
scanned         -
";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_number_that_the_sample_does_not_give_is_said_to_be_missing() {
        let stats = GetStatsResponse { scan_time: example::at(0), ..Default::default() };

        let without_any = render(&stats, example::NOW, None);
        let without_kinds = render(&GetStatsResponse { live: Some(1_000_000), ..stats }, example::NOW, None);

        let too_small = "the sample was too small to be right within 5 %";
        assert!(without_any.contains(&format!("live            not counted: {too_small}\n")), "{without_any}");
        let live = format!("live            1000000; not counted: how many of them are anonymous ({too_small})\n");
        assert!(without_kinds.contains(&live), "{without_kinds}");
    }
}
