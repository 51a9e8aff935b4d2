//! Words that are used no longer, and what is said instead.

use std::collections::BTreeMap;

use crate::rust_source;
use crate::tree::{Finding, Tree};

/// Where a word is retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum In {
    /// In every text.
    All,
    /// In the service's code, comments and strings aside: elsewhere it may be an ordinary word.
    Code,
    /// In Python.
    Python,
    /// In what users and readers of the service read: its source, its contract and its pages.
    Service,
}

/// What is retired where, as whole words, and what takes its place. A `*` stands for the rest of a word.
const RETIRED: &[(In, &str, &[&str])] = &[
    // Contract: settings, metrics, messages.
    (In::All, "first_request_timeout", &["preface_timeout"]),
    (In::All, "shutdown_delay", &["drain_pause"]),
    (In::All, "store_unhealthy_after", &["store_silence"]),
    (In::All, "on_session_limit", &["when_full"]),
    (In::All, "migrate", &["accept.flask_cookie", "accept.flask_session", "*ACCEPT__FLASK*"]),
    (In::All, "migration_credentials", &["*old_credential*", "*OldCredential*"]),
    (In::All, "MigrationStats", &["DoorStats"]),
    (In::All, "anonymous", &["of=\"nobody\"", "nobody's session", "nobody's sessions"]),
    (In::All, "no longer opens", &["stops to open", "stop to open"]),
    (In::All, "legacy session", &["session from before", "sessions from before"]),
    // Types.
    (In::Service, "legacy credential", &["old credential", "old credentials"]),
    (In::All, "Authorizer", &["Doorkeeper", "doorkeeper"]),
    (In::Code, "MigrationSource or AppAuthorizer", &["Door"]),
    (In::Code, "StreamPermit", &["Leave"]),
    (In::Service, "goaway", &["farewell"]),
    (In::Code, "CallerRegistry", &["Register"]),
    (In::Code, "Authenticator or Precondition", &["mod guard", "struct Guard", "enum Guard", "guard::Guard"]),
    (In::Code, "Reloader", &["Entrance"]),
    (In::Code, "ServerContext", &["Front"]),
    (In::Code, "CallMetrics", &["Meter"]),
    (In::Code, "ConnectionMetrics", &["Traffic"]),
    (In::Code, "MetricsSources", &["Figures"]),
    (In::Service, "HealthState", &["Vitals", "vitals"]),
    (In::Code, "Acceptor", &["Arrivals", "Arrival"]),
    (In::Code, "CallRecorder", &["Ongoing"]),
    (In::Code, "BudgetedBody", &["Paying"]),
    (In::Code, "BudgetPermit", &["Taken"]),
    (In::Code, "FrameLengths", &["Lengths"]),
    (In::Code, "run", &["assembly"]),
    (In::Code, "WatchRegistry", &["Hub", "hub"]),
    (In::Code, "AppWatchers", &["Room"]),
    (In::Code, "Subscription", &["Seat", "Seats"]),
    (In::Service, "Poller", &["Attendant", "attendant"]),
    (In::Service, "LiveCount", &["Census", "census"]),
    (In::Code, "CookieAction", &["Carry"]),
    (In::Code, "Outcome", &["Fate"]),
    (In::Code, "ResolvedCredential", &["Claim"]),
    (In::Code, "PresentedToken", &["Shown"]),
    (In::Code, "TokenState", &["Standing"]),
    (In::All, "OnConflict, or timeout", &["*Patience*", "*PATIENCE*", "*patience*", "*patient*"]),
    (In::Code, "TokenMatch", &["Hold"]),
    (In::Code, "Precondition", &["Terms"]),
    (In::Code, "Rotation", &["Offer"]),
    (In::Code, "SubjectLocks", &["Queues"]),
    (In::Code, "Undecided", &["AsItIs"]),
    (In::Code, "CursorExpired", &["Missed"]),
    (In::Code, "EncodedHead", &["Packed"]),
    (In::Code, "RequestIdReused", &["MarkReused"]),
    (In::Code, "AnsweredWrite", &["Written"]),
    (In::Code, "FollowAsk", &["Next::Asked"]),
    (In::Code, "CheckpointTask", &["enum Work"]),
    (In::Code, "ConnectionCounts", &["struct Mark"]),
    (In::Code, "LayoutEvidence", &["Proof"]),
    (In::Code, "finish", &["fn seal", "envelope::seal"]),
    (In::Code, "query", &["fn one"]),
    (In::Code, "EventKind", &["Happening"]),
    (In::Code, "OnSessionLimit", &["WhenFull"]),
    (In::Code, "MigrationSettings", &["AcceptSettings"]),
    (In::Code, "MigrationError", &["AcceptError"]),
    (In::Code, "FeedEntry", &["Notice"]),
    (In::Code, "SessionKey", &["Place"]),
    (In::Code, "Snapshot", &["Kept"]),
    (In::Code, "SubjectKey", &["Owner"]),
    (In::Code, "Handle", &["Measured", "AnyStore"]),
    (In::Code, "Selector", &["Locator", "locator"]),
    (In::Code, "next_token", &["successor"]),
    (In::Code, "LogThrottle", &["Seldom"]),
    (In::All, "WatchPrinter", &["Vigil", "vigil"]),
    (In::Code, "CommandContext", &["Desk"]),
    (In::Code, "Query, or CheckRequest", &["Question", "question", "QuestionRefused"]),
    // Constants and functions.
    (In::All, "IDEMPOTENCY_TTL", &["MARK_MEMORY"]),
    (In::All, "PREVIOUS_TTL", &["PREVIOUS_MEMORY"]),
    (In::All, "tombstone_expiry", &["memory_end"]),
    (In::All, "purge_time", &["forget_time"]),
    (In::Code, "INDEX_CLEANUP_MIN", &["FEW"]),
    (In::Code, "INDEX_SAMPLE", &["GLIMPSE", "glimpse"]),
    (In::Code, "tombstone", &["bury"]),
    (In::Code, "public_view", &["fn told"]),
    (In::Code, "u48_be", &["fn six"]),
    // Python.
    (In::Python, "RequestInfo", &["Visit"]),
    (In::Python, "CookieDecision", &["Verdict"]),
    (In::Python, "CookieAction", &["Carry"]),
    (In::Python, "_build_save", &["_draw_up"]),
    (In::Python, "_apply_response", &["_take_in"]),
    (In::Python, "null_when_unavailable", &["tolerates_absence"]),
    // Comments and pages.
    (In::Service, "service or process", &["house", "House"]),
    (In::Service, "layer", &["floors"]),
    (In::Service, "store", &["keepings"]),
    (In::All, "who it is: a client that ..., the caller", &["whoever", "Whoever"]),
    (In::All, "stops serving, stopped answering", &["stops to serve", "stopped to answer"]),
    (In::Service, "check request", &["question about a request", "question of forward", "question of a proxy"]),
    (In::All, "untrusted peer, attacker, or who it is", &["*stranger*", "*Stranger*", "*STRANGER*"]),
    (In::Service, "authoritative for", &["the say", "no say"]),
    (In::Service, "what it proves", &["vouch", "vouches"]),
    (In::Service, "AppAuthorizer, or what it leads to", &["door", "doors"]),
    (In::Service, "what to do", &["way out"]),
    (In::Service, "what it is: a noun phrase, or a verb in the third person", &["/// What", "//! What"]),
    (In::Service, "what it is: a noun phrase", &["// Which", "//! Which", "// Who", "//! Who"]),
];

/// They say what has been, or refuse it.
const EXEMPT: [&str; 5] = [
    "CHANGELOG.md",
    "src/config/renamed.rs",
    "tests/it/config/invalid/renamed",
    "tests/it/config/renamed",
    "tests/tidy/words.rs",
];

/// What the service is, for readers.
const SERVICE: [&str; 5] = ["src/", "proto/", "docs/", "deploy/", "README.md"];

/// Checks all texts.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let files = tree.files().filter(|(file, _)| !EXEMPT.iter().any(|exempt| file.starts_with(exempt)));
    files.flat_map(|(file, text)| retired(file, text, RETIRED)).collect()
}

/// The retired words in a text, each once a line.
fn retired(file: &str, text: &str, words: &[(In, &str, &[&str])]) -> Vec<Finding> {
    let code =
        if file.starts_with("src/") && file.ends_with(".rs") { rust_source::code_only(text) } else { String::new() };
    let mut found = BTreeMap::new();
    for (place, instead, words) in words {
        let searched = match place {
            In::All => text,
            In::Code => code.as_str(),
            In::Python if file.ends_with(".py") => text,
            In::Service if SERVICE.iter().any(|start| file.starts_with(start)) => text,
            In::Python | In::Service => "",
        };
        for word in *words {
            found.extend(occurrences(searched, word).map(|line| ((line, *word), *instead)));
        }
    }
    let finding = |((line, word), instead): ((usize, &str), &str)| {
        Finding::new(file, line, format!("{word} is retired"), format!("say {instead}"))
    };
    found.into_iter().map(finding).collect()
}

/// The lines that a word stands in.
fn occurrences(text: &str, word: &str) -> impl Iterator<Item = usize> {
    let (open_start, open_end, bare) = (word.starts_with('*'), word.ends_with('*'), word.trim_matches('*'));
    let is_word = |byte: Option<&u8>| byte.is_some_and(|&byte| rust_source::is_word(byte));
    let bytes = text.as_bytes();
    let whole = text.match_indices(bare).filter(move |(at, _)| {
        let starts = open_start || *at == 0 || !is_word(bytes.get(at - 1));
        starts && (open_end || !is_word(bytes.get(at + bare.len())))
    });
    whole.map(|(at, _)| crate::tree::line_of(text, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &[(In, &str, &[&str])] = &[
        (In::All, "new", &["old", "an old one", "*_old_*"]),
        (In::Code, "Source", &["Door"]),
        (In::Python, "Info", &["Visit"]),
        (In::Service, "service", &["house"]),
    ];

    fn found(file: &str, text: &str) -> Vec<String> {
        retired(file, text, WORDS)
            .iter()
            .map(|finding| finding.to_string().split(" is").next().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_retired_word_is_found_as_a_whole_word() {
        let text = "old\nolder, bold, old_x\nthis is an old one\nx_old_y";

        assert_eq!(found("a.md", text), ["a.md:1: old", "a.md:3: an old one", "a.md:3: old", "a.md:4: *_old_*"]);
    }

    #[test]
    fn a_word_of_rust_code_is_found_in_code_alone() {
        assert_eq!(found("src/a.rs", "// Door\nlet x = Door::new(\"Door\"); DoorKeeper"), ["src/a.rs:2: Door"]);
        assert_eq!(found("tests/a.rs", "Door"), [""; 0]);
    }

    #[test]
    fn a_word_is_found_in_its_kind_of_file_alone() {
        assert_eq!(found("clients/a.py", "Visit house"), ["clients/a.py:1: Visit"]);
        assert_eq!(found("src/a.rs", "Visit\n// house"), ["src/a.rs:2: house"]);
    }

    #[test]
    fn a_doc_comment_of_the_service_that_begins_with_what_is_found() {
        let text = "//! What it is.\n    /// What a write did.\n/// Whatever. What else?\n// What a line does.";

        let found = check(&Tree::of(&[("src/a.rs", text), ("tests/a.rs", text)]));

        let places = found.iter().map(|finding| finding.to_string().split(": ").next().unwrap().to_owned());
        assert_eq!(places.collect::<Vec<_>>(), ["src/a.rs:1", "src/a.rs:2"]);
    }

    #[test]
    fn a_comment_of_the_service_that_begins_with_which_or_who_is_found() {
        let text = "//! Which it is.\n    /// Who did it.\n// Which.\n/// Whole. Who? Which?\n/// The one who is it.";

        let found = check(&Tree::of(&[("src/a.rs", text), ("tests/a.rs", text)]));

        let places = found.iter().map(|finding| finding.to_string().split(": ").next().unwrap().to_owned());
        assert_eq!(places.collect::<Vec<_>>(), ["src/a.rs:1", "src/a.rs:2", "src/a.rs:3"]);
    }

    #[test]
    fn what_says_what_has_been_is_exempt() {
        let tree = Tree::of(&[
            ("CHANGELOG.md", "drain_pause"),
            ("src/config/renamed.rs", "drain_pause"),
            ("a.md", "drain_pause"),
        ]);

        assert_eq!(check(&tree).len(), 1);
    }
}
