//! Generates the gRPC code from `proto/`, without protoc.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script where to write by the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(FILES)?;

    // What reflection serves. Comments stay out of it, options such as debug_redact stay in.
    let target = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin");
    let mut bare = protox::Compiler::new(["proto"])?;
    bare.include_imports(true).open_files(FILES)?;
    fs::write(target, bare.encode_file_descriptor_set())?;

    let mut config = prost_build::Config::new();
    // Derived Debug would print tokens and entries; without it `?request` does not compile.
    config.skip_debug(["."]);
    // Entries come sorted out of every store: no hash of each name, and no table that grows.
    config.btree_map([".cloakroom.v1.Session.entries", ".cloakroom.v1.SessionInfo.entries"]);
    for plain in ["Outcome", "EndReason", "AppKind", "RotationCause", "WatchState", "SessionEventKind"] {
        config.type_attribute(format!(".cloakroom.v1.{plain}"), "#[derive(Debug)]");
    }
    tonic_prost_build::configure()
        .build_transport(false)
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    Ok(())
}

const FILES: [&str; 2] = ["cloakroom/v1/session_service.proto", "cloakroom/v1/admin_service.proto"];
