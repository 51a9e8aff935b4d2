//! Redis: whether the service can work with it, what it is, and its clock.

use super::data_files::size;
use super::finding::{Finding, reason};
use crate::cli::config_checks::RedisStore;
use crate::cli::{CliError, config_checks};
use crate::config::LoadedConfig;
use crate::server::clock_skew;
use crate::store::{Eviction, FsyncWarning, Handle, Persistence, RedisSettings, ServerAnswer, ServerClock, ServerInfo};
use crate::types::{Clock as _, SystemClock, Time, counted, with_causes};

/// Looks at the Redis of the store, at that of the one that sessions move to or from, and at that of each migration source.
pub(super) async fn examine(loaded: &LoadedConfig) -> Vec<Finding> {
    let (mut findings, mut opened) = (Vec::new(), Vec::new());
    for RedisStore { table, settings, store } in config_checks::redis_stores(loaded) {
        let found = match store {
            Ok(store) => {
                let found = store_findings(&store, &settings).await;
                opened.push(store);
                found
            }
            Err(error) => vec![connection_failed("redis", &error)],
        };
        findings.extend(found.into_iter().map(|finding| finding.of_store(table)));
    }
    // That one does not answer has been said.
    if let Err(error) = config_checks::check_places(&opened).await
        && reason(&error).contains(SAME_PLACE)
    {
        findings.push(connection_failed("redis", &error));
    }
    for source in config_checks::check_legacy_sources(loaded).await {
        let check = format!("{} of the app {}", source.name, source.app);
        findings.push(match source.result {
            Ok(()) => Finding::ok(&check, "its Redis answers, and legacy sessions can be read"),
            Err(error) => connection_failed(&check, &error),
        });
    }
    findings
}

async fn store_findings(store: &Handle, settings: &RedisSettings) -> Vec<Finding> {
    let checked = config_checks::check_store(store).await;
    let mut findings = vec![match &checked {
        Ok(()) => Finding::ok("redis", "it answers, this user has all rights, and the service can work with it"),
        Err(error) => connection_failed("redis", error),
    }];
    findings.push(encryption(settings));
    // What is unreachable tells nothing, and that has been said.
    let Ok(answers) = store.read_server_info().await else { return findings };
    findings.extend(answers.into_iter().flat_map(|answer| server_findings(answer, settings, checked.is_ok())));
    if checked.is_ok()
        && let Ok(warnings) = config_checks::store_warnings(store).await
    {
        let finding = |warning: FsyncWarning| {
            Finding::warning("redis acknowledgement", warning.found, warning.advice).at(&warning.address)
        };
        findings.extend(warnings.into_iter().map(finding));
    }
    if let Ok(clocks) = store.read_clocks().await {
        let finding = |ServerClock { node, time }| clock(SystemClock.now(), time).at_node(node.as_ref());
        findings.extend(clocks.into_iter().map(finding));
    }
    findings
}

/// Returns what there is to say of one server. `is_rest_ok`: the service can work with the store as a whole.
fn server_findings(answer: ServerAnswer, settings: &RedisSettings, is_rest_ok: bool) -> Vec<Finding> {
    let findings = match answer.info {
        Ok(Some(info)) => info_findings(&info, answer.node.is_some(), settings),
        Ok(None) if is_rest_ok => vec![Finding::warning(
            "redis",
            "this user may not run INFO, so version, persistence and eviction are not known",
            "grant +info",
        )],
        Err(error) if is_rest_ok => vec![Finding::failed(
            "redis",
            format!("it does not answer, so its sessions cannot be opened: {}", with_causes(&error)),
            "look at the log of this node, and whether a replica takes its place",
        )],
        // That has been said.
        Ok(None) | Err(_) => Vec::new(),
    };
    findings.into_iter().map(|finding| finding.at_node(answer.node.as_ref())).collect()
}

fn connection_failed(check: &str, error: &CliError) -> Finding {
    let found = reason(error);
    let advice = ADVICE.iter().find(|(part, _)| found.contains(part)).map_or(SEE_DOCS, |(_, advice)| advice);
    Finding::failed(check, found, advice)
}

fn encryption(settings: &RedisSettings) -> Finding {
    let check = "redis encryption";
    if settings.is_encrypted() {
        Finding::ok(check, "TLS, and the certificate of Redis is checked")
    } else if settings.is_on_this_machine() {
        Finding::ok(check, "none is needed: it is on this machine")
    } else {
        let found = "not every connection uses TLS: a program on the way can read and change sessions";
        let advice = "let each url, of Sentinels too, begin with rediss://, unless the network is yours alone";
        Finding::warning(check, found, advice)
    }
}

fn info_findings(info: &ServerInfo, is_node: bool, settings: &RedisSettings) -> Vec<Finding> {
    vec![version(info), role(info, is_node), eviction(info, settings.allow_eviction), persistence(info.persistence)]
}

fn version(info: &ServerInfo) -> Finding {
    let found = format!("{} {}", info.product, info.version);
    if info.is_too_old() {
        Finding::failed("redis version", found, USE_ANOTHER)
    } else {
        Finding::ok("redis version", found)
    }
}

fn role(info: &ServerInfo, is_node: bool) -> Finding {
    match info.role.as_str() {
        // In a cluster a failover may be under way.
        "slave" if !is_node => Finding::failed(
            "redis role",
            "it is a replica, which takes no writes",
            "let the url lead to the primary, or use the mode sentinel",
        ),
        "slave" => Finding::ok("redis role", "it is becoming a replica"),
        _ => Finding::ok("redis role", "it is a primary"),
    }
}

fn eviction(info: &ServerInfo, is_allowed: bool) -> Finding {
    let used = info.used_memory.map(|bytes| format!("{} used", size(bytes))).unwrap_or_default();
    let limit =
        info.maxmemory.map_or_else(|| "no maxmemory".to_owned(), |bytes| format!("maxmemory is {}", size(bytes)));
    let check = "redis eviction";
    match &info.eviction {
        Eviction::Never => Finding::ok(check, format!("never; {limit}, {used}")),
        Eviction::By(policy) => {
            let found = format!("maxmemory-policy is {policy}: a full Redis removes sessions; {limit}, {used}");
            let advice = "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in its configuration";
            if is_allowed { Finding::warning(check, found, advice) } else { Finding::failed(check, found, advice) }
        }
        Eviction::Unknown => Finding::warning(check, "Redis does not say", "ask who runs it"),
    }
}

fn persistence(persistence: Persistence) -> Finding {
    let check = "redis persistence";
    match persistence {
        Persistence::AppendOnly => Finding::ok(check, "it has an append-only file"),
        Persistence::Failing => Finding::failed(
            check,
            "it could not write to its disk the last time, and may refuse writes",
            "look at the log of Redis, and at the room and the rights of its folder",
        ),
        Persistence::Snapshots { unsaved_changes } => Finding::warning(
            check,
            format!(
                "it has no append-only file: if it ends now, {} lost",
                counted(unsaved_changes, "change is", "changes are")
            ),
            "set appendonly yes, unless a restart of Redis may log people out",
        ),
        Persistence::Unknown => Finding::warning(check, "Redis does not say", "ask who runs it"),
    }
}

fn clock(now: Time, time: Time) -> Finding {
    match clock_skew(now, time) {
        Some((seconds, direction)) => Finding::failed(
            "clock",
            format!("the clock of Redis is {seconds} s {direction} of the one here: sessions expire at a wrong time"),
            "set the clocks, and let NTP run on both machines",
        ),
        None => Finding::ok("clock", "it agrees with that of Redis"),
    }
}

/// The advice about each cause. `docs/operations.md` has the same.
const ADVICE: [(&str, &str); 11] = [
    (SAME_PLACE, "remove [store.next] or [store.previous], or let it lead to another Redis or key_prefix"),
    ("Connection refused", "is Redis up, and are host and port right?"),
    ("no connection within", "is Redis up, and do host, port and network policy fit?"),
    ("failed to lookup address", "correct the host in the url, or the name service"),
    ("WRONGPASS", "correct the user or the password; a new password file needs no restart"),
    ("NOAUTH", "set a user and a password file; Redis asks for a login"),
    ("lacks commands of Redis", USE_ANOTHER),
    ("lacks commands", "grant the rights that docs/operations.md lists under Redis"),
    ("NOPERM", "grant the rights that docs/operations.md lists under Redis, on the keys of key_prefix"),
    ("has ended", "put a new certificate into its file"),
    ("has expired", "put a new certificate into its file"),
];
const SAME_PLACE: &str = "is the same place as [store]";
const SEE_DOCS: &str = "docs/operations.md lists the causes under Redis";
const USE_ANOTHER: &str = "use Redis 7.0 or newer, or Valkey";
