//! Generates the gRPC code from `proto/`, without protoc.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

#[expect(clippy::disallowed_methods, reason = "cargo passes the output folder in the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(FILES)?;

    // The descriptors for reflection. They contain options such as debug_redact, but no comments.
    let target = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin");
    let mut without_comments = protox::Compiler::new(["proto"])?;
    without_comments.include_imports(true).open_files(FILES)?;
    fs::write(target, without_comments.encode_file_descriptor_set())?;

    let mut config = prost_build::Config::new();
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
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    Ok(())
}

const FILES: [&str; 2] = ["cloakroom/v1/session_service.proto", "cloakroom/v1/admin_service.proto"];
