//! The report: all findings, for people and for programs.

use serde::Serialize;

use super::finding::{Finding, Verdict};
use crate::cli::layout::wrapped;
use crate::types::counted;

/// All findings.
#[derive(Debug, Serialize)]
pub(super) struct DoctorReport {
    pub(super) findings: Vec<Finding>,
}

impl DoctorReport {
    pub(super) fn has_failures(&self) -> bool {
        self.count(Verdict::Failed) > 0
    }

    /// Writes the findings in the order in which they were made, and how many there are. Without a width, no line is broken.
    pub(super) fn text(&self, columns: Option<usize>) -> String {
        let lines = self.findings.iter().map(|finding| finding.text(columns)).collect::<String>();
        let count = |verdict| self.count(verdict);
        let summary = format!(
            "{} ok, {}, {} failed",
            count(Verdict::Ok),
            counted(count(Verdict::Warning), "warning", "warnings"),
            count(Verdict::Failed)
        );
        format!("{lines}\n{}", wrapped("", &summary, columns.unwrap_or(usize::MAX)))
    }

    pub(super) fn json(&self) -> String {
        #[derive(Serialize)]
        struct ReportJson<'r> {
            version: &'static str,
            verdict: Verdict,
            findings: &'r [Finding],
        }
        let verdict = self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
        let document = ReportJson { version: env!("CARGO_PKG_VERSION"), verdict, findings: &self.findings };
        serde_json::to_string_pretty(&document).expect("texts can be written as JSON")
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }
}
