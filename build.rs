//! Generates the gRPC code from `proto/`, without protoc, and finds out what `cloakroom version` prints.

#![expect(clippy::disallowed_methods, reason = "cargo passes what it knows in the environment")]

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    generate_grpc()?;
    record_build()
}

fn generate_grpc() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(FILES)?.open_file(ENVOY_FILE)?;

    write_descriptors("descriptors.bin", &FILES)?;
    write_descriptors("envoy_descriptors.bin", &[ENVOY_FILE])?;

    let mut config = prost_build::Config::new();
    config.extern_path(".google.rpc", "::tonic_types::pb");
    // A derived Debug would print tokens and entries. Without it, a log line with `?request` does not compile.
    config.skip_debug(["."]);
    // All stores return entries sorted by name, so a BTreeMap saves the hash of each name and the growth of a table.
    config.btree_map([".cloakroom.v1.Session.entries", ".cloakroom.v1.SessionInfo.entries"]);
    for without_secrets in
        ["Outcome", "EndReason", "AppKind", "RotationCause", "WatchState", "SessionEventKind", "CredentialState"]
    {
        config.type_attribute(format!(".cloakroom.v1.{without_secrets}"), "#[derive(Debug)]");
    }
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::grpc::codec::MessageCodec")
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    Ok(())
}

/// Writes the descriptors for reflection. They contain options such as debug_redact, but no comments.
fn write_descriptors(name: &str, files: &[&str]) -> Result<(), Box<dyn Error>> {
    let target = PathBuf::from(env::var("OUT_DIR")?).join(name);
    let mut without_comments = protox::Compiler::new(["proto"])?;
    without_comments.include_imports(true).open_files(files)?;
    fs::write(target, without_comments.encode_file_descriptor_set())?;
    Ok(())
}

/// Passes the commit, the profile, the target and the compiler to the code, as variables for `env!`.
fn record_build() -> Result<(), Box<dyn Error>> {
    // OUT_DIR is <target>/<profile>/build/<package>/out. The variable PROFILE knows only debug and release.
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let profile = out.ancestors().nth(3).and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or("unknown");
    let rustc = output(Command::new(env::var("RUSTC")?).arg("--version")).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=CLOAKROOM_BUILD_COMMIT={}", commit(&env::var("OPT_LEVEL")?));
    println!("cargo:rustc-env=CLOAKROOM_BUILD_PROFILE={profile}");
    println!("cargo:rustc-env=CLOAKROOM_BUILD_TARGET={}", env::var("TARGET")?);
    println!("cargo:rustc-env=CLOAKROOM_BUILD_RUSTC={rustc}");
    Ok(())
}

/// Returns the commit and its day: what `CLOAKROOM_COMMIT` says, as in the image, whose sources come without git. Else
/// what git says.
///
/// A debug build does not ask git, because then each commit would build the whole library again.
fn commit(opt_level: &str) -> String {
    println!("cargo:rerun-if-env-changed=CLOAKROOM_COMMIT");
    match env::var("CLOAKROOM_COMMIT") {
        Ok(commit) if !commit.is_empty() => commit,
        _ if opt_level == "0" => "not recorded in a debug build".to_owned(),
        _ => git_commit().unwrap_or_else(|| "unknown".to_owned()),
    }
}

/// Returns the commit of the working tree, marked if a file differs from it.
fn git_commit() -> Option<String> {
    let git = |arguments: &[&str]| output(Command::new("git").args(arguments));
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    for changed in [&log, "Cargo.toml", "Cargo.lock", "build.rs", "src"] {
        println!("cargo:rerun-if-changed={changed}");
    }
    let commit = git(&["show", "--no-patch", "--format=%H of %cs", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.is_empty() { commit } else { format!("{commit}, and changes") })
}

/// Returns what a command prints, or None if it fails.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

const FILES: [&str; 2] = ["cloakroom/v1/session_service.proto", "cloakroom/v1/admin_service.proto"];
const ENVOY_FILE: &str = "envoy/service/auth/v3/external_auth.proto";
