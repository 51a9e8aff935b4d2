//! The key that the app `default` gets if the configuration gives none.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Barrier, Mutex};
use std::thread;

use cloakroom::config::ActiveConfig;
use cloakroom::config::default_key::{self, DefaultKey, Error};
use cloakroom::token::{Key, KeyRing};

use super::load;

/// Makes a key, as a first start does.
fn make(folder: &Path) -> KeyRing {
    default_key::prepare(folder, &data_file(folder)).unwrap();
    default_key::open(folder).unwrap().0
}

fn data_file(folder: &Path) -> PathBuf {
    folder.join("sessions.redb")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn only_the_owner_can_read_the_file_and_its_folder() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("some/data");

    make(&folder);

    assert_eq!((mode(&folder), mode(&default_key::path_in(&folder))), (0o700, 0o600));
}

#[test]
fn processes_that_start_at_once_share_one_key() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("data");
    let (start, store) = (Barrier::new(16), Mutex::new(()));

    let opened = thread::scope(|scope| {
        let open = || {
            start.wait();
            default_key::prepare(&folder, &data_file(&folder)).unwrap();
            // One process at a time has the data file open.
            let _open = store.lock().unwrap();
            fs::write(data_file(&folder), "").unwrap();
            default_key::open(&folder).unwrap()
        };
        let threads = (0..16).map(|_| scope.spawn(open)).collect::<Vec<_>>();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });

    let created = opened.iter().filter(|(_, origin)| matches!(origin, DefaultKey::Created(_))).count();
    assert_eq!(created, 1);
    assert!(opened.iter().all(|(ring, _)| ring.signing().id() == opened[0].0.signing().id()), "{opened:?}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing is left beside the key and the data file");
}

#[test]
fn a_key_or_a_data_file_that_is_alone_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, data_file) = (folder.path(), data_file(folder.path()));
    make(folder);

    let without_data = default_key::prepare(folder, &data_file);
    fs::remove_file(default_key::path_in(folder)).unwrap();
    fs::write(&data_file, "").unwrap();
    let without_key = default_key::prepare(folder, &data_file);

    assert!(matches!(without_data, Err(Error::DataMissing { .. })), "{without_data:?}");
    assert!(matches!(without_key, Err(Error::KeyMissing { .. })), "{without_key:?}");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "no key is made");
}

#[test]
fn a_key_that_other_users_can_read_is_refused() {
    let home = tempfile::tempdir().unwrap();
    make(home.path());
    let path = default_key::path_in(home.path());

    for permissive in [0o604, 0o640, 0o602, 0o660] {
        fs::set_permissions(&path, fs::Permissions::from_mode(permissive)).unwrap();
        assert!(matches!(default_key::open(home.path()), Err(Error::TooPermissive { mode, .. }) if mode == permissive));
    }
}

#[test]
fn a_damaged_key_is_not_replaced() {
    let home = tempfile::tempdir().unwrap();
    let path = default_key::path_in(home.path());
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();

    let refused = default_key::open(home.path());

    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    assert_eq!(fs::read(&path).unwrap(), b"");
}

#[test]
fn a_newer_key_on_a_line_above_signs_and_both_verify() {
    let home = tempfile::tempdir().unwrap();
    let old = make(home.path());
    let path = default_key::path_in(home.path());
    let newer = Key::generate();
    let text = format!("{newer}\n{}", fs::read_to_string(&path).unwrap());
    fs::write(&path, text).unwrap();

    let (ring, origin) = default_key::open(home.path()).unwrap();

    assert_eq!(origin, DefaultKey::Found(path));
    assert_eq!(ring.signing().id(), Key::parse(&newer).unwrap().id());
    assert!(ring.find(old.signing().id()).is_some());
}

#[test]
fn with_redis_there_is_no_key_because_replicas_must_share_it() {
    let active = load("[store]\nkind = \"redis\"\n", &[]).unwrap().activate().unwrap();

    assert_eq!(active.key, DefaultKey::Missing);
    assert!(active.loaded.apps.find("").unwrap().keys.is_none());
}

#[test]
fn with_the_memory_store_every_process_has_its_own_key() {
    let activate = || load("[store]\nkind = \"memory\"\n", &[]).unwrap().activate().unwrap();

    let (one, other) = (activate(), activate());

    let signing = |active: &ActiveConfig| active.loaded.apps.find("").unwrap().keys.as_ref().unwrap().signing().id();
    assert_eq!(one.key, DefaultKey::Ephemeral);
    assert_ne!(signing(&one), signing(&other));
}

#[test]
fn a_configured_key_is_used_with_every_store() {
    for kind in ["embedded", "redis", "memory"] {
        let variables = [("CLOAKROOM__STORE__KIND", kind), ("CLOAKROOM__APPS__DEFAULT__KEYS", &Key::generate())];

        let active = load("", &variables).unwrap().activate().unwrap();

        assert_eq!(active.key, DefaultKey::Configured);
    }
}
