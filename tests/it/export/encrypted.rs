//! Encrypted exports: who opens them, with this program and with `age`, and what happens if they are cut or damaged.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use cloakroom::age::Identity;
use cloakroom::grpc::wire::ExportSessionsResponse;
use cloakroom::store::Reader;
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::net::TcpListener;

use super::hot::large_record;
use super::moves::assert_same;
use super::place::{Kind, Place, create, fill, with_other_app};
use crate::cli::program::{Ended, Program};
use crate::conformance::fixtures::key_in;
use crate::process::child::with_timeout;
use crate::support::tool::tool;
use crate::support::{StoreKind, TestService, app_settings};

/// A filled store, and the identity of a key pair in the file `key`.
struct Encrypted {
    place: Place,
    identity: Identity,
}

impl Encrypted {
    async fn new() -> Self {
        let place = Place::new(Kind::Embedded);
        fill(&place.open()).await;
        with_other_app(&place);
        let identity = Identity::generate();
        write_secret(&place.folder.path().join("key"), &identity.expose());
        Self { place, identity }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.folder.path().join(name)
    }

    /// Exports into the file `export`, encrypted.
    fn export(&self) -> PathBuf {
        let ended = self.place.run(&["export", "export", "--recipient", &self.identity.recipient().to_string()]);
        assert!(
            ended.code == Some(0) && ended.stderr.starts_with(&format!("{SESSIONS} sessions exported")),
            "{ended:?}"
        );
        self.path("export")
    }
}

const SESSIONS: usize = 254;

fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Imports a file into a new store. Returns the store too.
fn import(file: &Path, options: &[&str]) -> (Place, Ended) {
    let target = Place::new(Kind::Embedded);
    let ended = with_other_app(&target).run(&[&["import", file.to_str().unwrap()], options].concat());
    (target, ended)
}

/// Runs `age`, which gets these bytes, and returns what it says.
fn age(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(tool("age"));
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "age {arguments:?}");
    output.stdout
}

#[tokio::test]
async fn every_store_imports_it_with_the_identity() {
    let test = Encrypted::new().await;
    let (file, key) = (test.export(), test.path("key"));

    for kind in [Kind::Embedded, Kind::Redis] {
        let target = Place::new(kind);
        let arguments = ["import", file.to_str().unwrap(), "--identity", key.to_str().unwrap()];
        let dry = with_other_app(&target).run(&[&arguments[..], &["--dry-run"]].concat());
        let ended = target.run(&arguments);

        assert!(dry.code == Some(0) && dry.stdout.contains("would be written"), "{dry:?}");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
        assert!(ended.stdout.starts_with(&format!("{SESSIONS} sessions in the export")), "{ended:?}");
        assert_same(&test.place.open(), &target.open()).await;
    }
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn age_opens_it_and_an_import_opens_what_age_encrypted() {
    let test = Encrypted::new().await;
    let (file, key, plain) = (test.export(), test.path("key"), test.path("plain"));
    test.place.export(&plain);
    let plain = fs::read(plain).unwrap();

    let opened = age(&["--decrypt", "--identity", key.to_str().unwrap()], &fs::read(file).unwrap());
    let by_age = age(&["--recipient", &test.identity.recipient().to_string()], &plain);
    let armored = age(&["--armor", "--recipient", &test.identity.recipient().to_string()], &plain);
    fs::write(test.path("by-age"), by_age).unwrap();
    fs::write(test.path("armored"), armored).unwrap();
    let (target, ended) = import(&test.path("by-age"), &["--identity", key.to_str().unwrap()]);
    let (_, refused) = import(&test.path("armored"), &["--identity", key.to_str().unwrap()]);

    assert_eq!(opened.len(), plain.len());
    assert_eq!(Reader::new(opened.as_slice()).unwrap().check_all().unwrap()["other"], 250);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_same(&test.place.open(), &target.open()).await;
    assert!(refused.code == Some(1) && refused.stderr.contains("decrypt it with `age --decrypt`"), "{refused:?}");
}

#[tokio::test]
async fn keygen_makes_a_key_pair_that_age_knows() {
    let made = Program::new(&["keygen", "--age"]).run();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    write_secret(&key, &made.stdout);
    let output = Command::new(tool("age-keygen")).arg("-y").arg(&key).output().unwrap();
    let recipient = String::from_utf8(output.stdout).unwrap();
    let secret = made.stdout.lines().last().unwrap();

    assert_eq!(made.code, Some(0));
    assert_eq!(Identity::parse(secret).unwrap().recipient().to_string(), recipient.trim());
    assert!(made.stdout.starts_with(&format!("# public key: {recipient}")), "{}", recipient);
    assert!(made.stderr.starts_with(&format!("Public key: {recipient}")), "{}", made.stderr);
    assert!(!made.stderr.contains(secret), "the identity is for stdout alone");
    assert_eq!(Program::new(&["keygen", "--age", "--count", "2"]).run().code, Some(2));
}

#[tokio::test]
async fn each_of_several_recipients_opens_it() {
    let test = Encrypted::new().await;
    let others = [Identity::generate(), Identity::generate()];
    let list = format!("# the office\n{}\n\n  {}  \n", others[0].recipient(), others[1].recipient());
    fs::write(test.path("recipients"), list).unwrap();
    let recipient = test.identity.recipient().to_string();

    let arguments = ["export", "export", "--recipient", &recipient, "--recipients-file", "recipients"];
    let exported = test.place.run(&arguments);

    assert_eq!(exported.code, Some(0), "{exported:?}");
    let unrelated = Identity::generate();
    for identity in others.iter().chain([&test.identity]) {
        let keys = format!("# keys\n{}\n{}\n", unrelated.expose(), identity.expose());
        write_secret(&test.path("keys"), &keys);
        let keys = test.path("keys");
        let (_, ended) = import(&test.path("export"), &["--dry-run", "--identity", keys.to_str().unwrap()]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    }
}

#[tokio::test]
async fn it_goes_through_pipes() {
    let test = Encrypted::new().await;
    let recipient = test.identity.recipient().to_string();
    let target = Place::new(Kind::Embedded);
    let key = test.path("key");

    let exported = test.place.command(&["export", "-", "--recipient", &recipient]).output().unwrap();
    let mut import = with_other_app(&target).command(&["import", "-", "--identity", key.to_str().unwrap()]);
    fs::write(test.path("piped"), &exported.stdout).unwrap();
    let imported = import.stdin(fs::File::open(test.path("piped")).unwrap()).output().unwrap();

    assert!(exported.stdout.starts_with(b"age-encryption.org/v1\n"));
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    assert_same(&test.place.open(), &target.open()).await;
}

#[tokio::test]
async fn a_running_service_is_exported_encrypted_and_what_is_no_export_leaves_no_file() {
    let service =
        TestService::with_apps(StoreKind::Memory, [("default", app_settings()), ("other", app_settings())]).await;
    fill(&service.store).await;
    let test = Encrypted::new().await;
    let (recipient, key) = (test.identity.recipient().to_string(), test.path("key"));
    let foreign = service_that_sends(b"cloakroom export, format 1\n").await;

    let address = service.admin_address.trim_start_matches("http://");
    let whole = test.place.run_beside(&["export", "whole", "--address", address, "--recipient", &recipient]).await;
    let mut cut = Vec::new();
    for options in [&["--recipient", &recipient][..], &[]] {
        cut.push(test.place.run_beside(&[&["export", "cut", "--address", &foreign], options].concat()).await);
    }

    assert_eq!(whole.code, Some(0), "{whole:?}");
    let (target, imported) = import(&test.path("whole"), &["--identity", key.to_str().unwrap()]);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    assert_same(&service.store, &target.open()).await;
    for cut in cut {
        assert!(cut.code == Some(1) && cut.stderr.contains("it ends in the middle"), "{cut:?}");
    }
    let names = fs::read_dir(test.place.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().starts_with("cut")), "the temporary file is gone too");
}

/// Starts a service that answers each call by one part of an export with these bytes, as if that was all.
async fn service_that_sends(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let answer = service_fn(async move |_| {
                let message = ExportSessionsResponse { data: bytes.to_vec(), ..Default::default() }.encode_to_vec();
                let length = u32::try_from(message.len()).unwrap().to_be_bytes();
                let trailers = http::HeaderMap::from_iter([(
                    http::HeaderName::from_static("grpc-status"),
                    http::HeaderValue::from_static("0"),
                )]);
                let frames =
                    [Frame::data(Bytes::from([&[0], &length[..], &message].concat())), Frame::trailers(trailers)];
                let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, std::convert::Infallible>)));
                http::Response::builder().header("content-type", "application/grpc").body(body)
            });
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(async move { builder.serve_connection(TokioIo::new(socket), answer).await });
        }
    });
    address
}

#[tokio::test]
async fn a_part_of_it_on_the_disk_is_encrypted_too() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let place = Place::new(Kind::Embedded);
    let recipient = Identity::generate().recipient().to_string();
    let mut command = place.command(&["export", "sessions", "--address", &address, "--recipient", &recipient]);
    let mut export = command.stderr(Stdio::null()).spawn().unwrap();
    let _connection = with_timeout(silent.accept()).await.unwrap();

    let partial = fs::read_dir(place.folder.path()).unwrap().next().unwrap().unwrap().path();
    let part = fs::read(&partial).unwrap();
    export.kill().unwrap();
    export.wait().unwrap();

    assert!(partial.to_str().unwrap().contains("sessions.partial-"), "{partial:?}");
    assert!(part.starts_with(b"age-encryption.org/v1\n"), "{part:?}");
}

#[tokio::test]
async fn a_file_that_is_cut_or_damaged_is_refused_before_anything_is_written() {
    let test = Encrypted::new().await;
    // More than a chunk of the format has.
    for number in 1000..1002 {
        create(&test.place.open(), &key_in("other", number), &large_record()).await;
    }
    let key = test.path("key");
    let recipient = test.identity.recipient().to_string();
    assert_eq!(test.place.run(&["export", "export", "--recipient", &recipient]).code, Some(0));
    let bytes = fs::read(test.path("export")).unwrap();
    let refuse = |bytes: &[u8], why: &str| {
        fs::write(test.path("bad"), bytes).unwrap();
        let (target, ended) = import(&test.path("bad"), &["--identity", key.to_str().unwrap()]);
        assert!(ended.code == Some(1) && ended.stderr.contains(why) && ended.stderr.contains("bad: "), "{ended:?}");
        assert!(!target.folder.path().join("data").exists(), "the store was opened");
    };
    let changed = |position: usize| {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        changed
    };
    let header = bytes.windows(4).position(|bytes| bytes == b"--- ").unwrap() + 48;

    refuse(&bytes[..60], "its header is damaged or cut; copy it again");
    refuse(&changed(header - 3), "its header is damaged or cut; copy it again");
    refuse(&bytes[..header + 16], "it ends in the middle");
    refuse(&bytes[..header + 16 + 64 * 1024 + 16], "it ends in the middle");
    refuse(&bytes[..bytes.len() - 1], "the encrypted file is damaged or cut; copy it again");
    refuse(&changed(bytes.len() / 2), "the encrypted file is damaged or cut; copy it again");
    refuse(&[&bytes[..], b"x"].concat(), "the encrypted file is damaged or cut; copy it again");
}

#[tokio::test]
async fn an_import_without_the_right_identity_says_what_to_give() {
    let test = Encrypted::new().await;
    let (file, key) = (test.export(), test.path("key"));
    let plain = test.path("plain");
    test.place.export(&plain);
    fs::write(test.path("passphrase"), WITH_A_PASSPHRASE).unwrap();
    fs::write(test.path("newer"), b"age-encryption.org/v2\n").unwrap();
    let refuse = |file: &Path, options: &[&str], why: &str| {
        let (target, ended) = import(file, options);
        assert!(ended.code == Some(1) && ended.stderr.contains(why), "{why}: {ended:?}");
        assert!(!target.folder.path().join("data").exists(), "the store was opened");
    };
    let wrong = test.path("wrong");
    let refuse_key = |text: &str, why: &str| {
        write_secret(&wrong, text);
        refuse(&file, &["--identity", wrong.to_str().unwrap()], why);
    };
    let key = key.to_str().unwrap();
    let mut mistaken = test.identity.expose();
    mistaken.replace_range(30..31, if mistaken.as_bytes()[30] == b'Q' { "P" } else { "Q" });

    refuse(&file, &[], "export: it is encrypted; name the file of an identity that opens it, by --identity");
    refuse(&plain, &["--identity", key], "plain: it is not encrypted; import it without --identity");
    refuse(&test.path("passphrase"), &["--identity", key], "with a passphrase; decrypt it with `age --decrypt`");
    refuse(&test.path("newer"), &["--identity", key], "a version of age that this program does not know");
    refuse(&file, &["--identity", "/none"], "/none: it cannot be read");
    refuse_key(&Identity::generate().expose(), "export: it is encrypted to others");
    refuse_key("# nothing\n", "wrong: it has no identity, a line that begins with AGE-SECRET-KEY-1");
    refuse_key(&format!("\n{}", test.identity.recipient()), "wrong: line 2: this is a recipient, and no identity");
    refuse_key("AGE-PLUGIN-YUBIKEY-1QQ", "wrong: line 1: keys of this kind are for `age` itself");
    refuse_key("-----BEGIN OPENSSH PRIVATE KEY-----", "wrong: line 1: keys of this kind are for `age` itself");
    refuse_key("AGE-SECRET-KEY-1QQ", "wrong: line 1: this is no identity");
    refuse_key(&mistaken, "wrong: line 1: it has a mistake");
    let (_, ended) = import(&file, &["--identity", wrong.to_str().unwrap()]);
    assert!(!ended.stderr.contains(&mistaken[20..40]), "secrets are not printed: {ended:?}");
}

#[tokio::test]
async fn an_identity_that_everybody_may_read_is_used_with_a_warning() {
    let test = Encrypted::new().await;
    let (file, key) = (test.export(), test.path("key"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();

    let (_, ended) = import(&file, &["--identity", key.to_str().unwrap()]);

    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("everybody on this machine may read this secret (mode 644)"), "{ended:?}");
}

#[test]
fn a_recipient_that_is_none_is_refused_before_anything_is_done() {
    let place = Place::new(Kind::Embedded);
    let identity = Identity::generate();
    let recipient = identity.recipient().to_string();
    let refuse = |arguments: &[&str], why: &str| {
        let ended = place.run(&[&["export", "export"], arguments].concat());
        assert!(ended.code == Some(1) && ended.stderr.contains(why), "{why}: {ended:?}");
        assert!(!place.folder.path().join("data").exists() && !place.folder.path().join("export").exists());
        ended.stderr
    };
    let file = |text: &str| fs::write(place.folder.path().join("list"), text).unwrap();

    refuse(&["--recipient", "anna"], "--recipient anna: this is no recipient; a recipient is age1…");
    refuse(&["--recipient", &recipient[..61]], "has 62 characters");
    refuse(&["--recipient", &recipient.replace("age1", "age1q")[..62]], "it has a mistake");
    refuse(&["--recipient", "ssh-ed25519 AAAA"], "keys of this kind are for `age` itself");
    refuse(&["--recipient", "age1yubikey1qqq"], "keys of this kind are for `age` itself");
    let said = refuse(&["--recipient", &identity.expose()], "this is an identity, which is secret, and no recipient");
    assert!(!said.contains(&identity.expose()[20..40]), "secrets are not printed: {said}");
    refuse(&["--recipients-file", "none"], "none: it cannot be read");
    file("# nobody yet\n");
    refuse(&["--recipients-file", "list"], "list: it has no recipient");
    file(&format!("{recipient}\nanna\n"));
    refuse(&["--recipients-file", "list"], "list: line 2: this is no recipient");
}

/// The begin of a file that `age --passphrase` made.
const WITH_A_PASSPHRASE: &str = "\
age-encryption.org/v1
-> scrypt rF0/NwblUHHTpgQgRpe5CQ 10
gUjEymFKMVXQEKdMMHL24oYexjE3TIC0O0zGSqJ2aUY
--- IOXiQYStkoT1mvZW2tFOqZdhRVvj58egABx/sWfZQbc
0123456789abcdef";
