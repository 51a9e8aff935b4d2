//! When certificates end: those that the service shows, and those of the authorities that it trusts.

use std::time::Duration;

use humantime::format_rfc3339_seconds;

use super::finding::{Finding, reason};
use crate::cli::config_checks;
use crate::config::{LoadedConfig, NamedFile};
use crate::tls;
use crate::types::Time;

/// Looks at all certificates of the configuration.
pub(super) fn examine(loaded: &LoadedConfig, now: Time) -> Vec<Finding> {
    let own = config_checks::certificates(loaded, now).into_iter().filter_map(|certificate| match certificate.end {
        Ok(None) => None,
        Ok(Some(end)) => Some(end_finding(&certificate.name, end, now)),
        Err(error) => Some(Finding::failed(&certificate.name, reason(&error), "correct the setting, or its file")),
    });
    let files = loaded.named_files();
    let authorities = files.iter().filter(|file| file.has_authorities()).map(|file| authorities_finding(file, now));
    own.chain(authorities).collect()
}

fn end_finding(check: &str, end: Time, now: Time) -> Finding {
    let time = format_rfc3339_seconds(end.into());
    if end <= now {
        return Finding::failed(
            check,
            format!("it has ended: {time}"),
            "put a new one into its file; no restart is needed",
        );
    }
    let left = format!("it ends {time}, in {}", days(end.since(now)));
    if end.since(now) < SOON {
        return Finding::warning(check, left, "put a new one into its file; no restart is needed");
    }
    Finding::ok(check, left)
}

/// A file may have several authorities, of which some have ended and others take their place.
fn authorities_finding(file: &NamedFile, now: Time) -> Finding {
    let check = format!("authorities of {}", file.key);
    let shown = file.path.display();
    let read = tls::read(&file.path).and_then(|text| {
        let ends = tls::certificates(&text).and_then(|certificates| tls::expire_times(&certificates));
        ends.map_err(|kind| tls::Error { file: file.path.clone(), kind })
    });
    let ends = match read {
        Ok(ends) => ends,
        Err(error) => return Finding::failed(&check, error.to_string(), "correct the setting, or its file"),
    };
    let (count, valid) = (ends.len(), ends.iter().filter(|end| **end > now).count());
    let Some(next) = ends.iter().filter(|end| **end > now).min() else {
        let found = format!("{shown}: all {count} have ended: nobody is trusted");
        return Finding::failed(&check, found, "put the present authority into the file");
    };
    let found = format!("{shown}: {valid} of {count} are valid, the next one ends in {}", days(next.since(now)));
    if next.since(now) < SOON {
        return Finding::warning(&check, found, "add the next authority to the file, beside this one");
    }
    Finding::ok(&check, found)
}

fn days(time: Duration) -> String {
    match time.as_secs() / 86_400 {
        0 => "less than a day".to_owned(),
        1 => "a day".to_owned(),
        days => format!("{days} days"),
    }
}

/// The alert `CloakroomCertificateExpires` fires as long before the end.
const SOON: Duration = Duration::from_secs(14 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Verdict;

    #[test]
    fn the_end_of_a_certificate_warns_14_days_ahead() {
        let now = Time::from_seconds(1_767_323_045);
        let day = Duration::from_secs(86_400);
        let table = [
            (now + 15 * day, Verdict::Ok, "in 15 days"),
            (now + 13 * day, Verdict::Warning, "in 13 days"),
            (now + day / 2, Verdict::Warning, "in less than a day"),
            (now, Verdict::Failed, "it has ended"),
        ];

        for (end, verdict, words) in table {
            let finding = end_finding("a certificate", end, now);

            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert!(finding.text(None).contains(words), "{finding:?}");
        }
    }
}
