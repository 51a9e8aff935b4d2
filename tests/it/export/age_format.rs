//! The format of encrypted exports: the test vectors of age, and the limits of chunks.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use cloakroom::age::{Decryptor, Encryptor, Error, Identity};
use flate2::read::ZlibDecoder;
use sha2::{Digest as _, Sha256};

/// A vector: what it says of itself, and the encrypted file.
struct Vector {
    says: BTreeMap<String, String>,
    identities: Vec<Identity>,
    file: Vec<u8>,
}

impl Vector {
    fn read(path: &Path) -> Self {
        let mut input = BufReader::new(fs::File::open(path).unwrap());
        let (mut says, mut identities) = (BTreeMap::new(), Vec::new());
        loop {
            let mut line = String::new();
            input.read_line(&mut line).unwrap();
            let Some((key, value)) = line.trim_end().split_once(": ") else { break };
            if key == "identity" {
                identities.push(Identity::parse(value).unwrap());
            }
            says.insert(key.to_owned(), value.to_owned());
        }
        let mut file = Vec::new();
        match says.get("compressed").map(String::as_str) {
            None => input.read_to_end(&mut file).unwrap(),
            Some("zlib") => ZlibDecoder::new(input).read_to_end(&mut file).unwrap(),
            Some(other) => panic!("{other}"),
        };
        Self { says, identities, file }
    }

    /// Decrypts it. Returns the word that vectors have for the result, and the content.
    fn decrypt(&self) -> (&'static str, Vec<u8>) {
        let mut content = Vec::new();
        let result = match Decryptor::new(self.file.as_slice(), &self.identities) {
            Ok(mut decryptor) => match decryptor.read_to_end(&mut content) {
                Ok(_) => "success",
                Err(error) => {
                    let kinds = [io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof];
                    assert!(kinds.contains(&error.kind()), "{error}");
                    assert!(decryptor.fill_buf().is_err(), "it fails again");
                    "payload failure"
                }
            },
            Err(Error::NoMatch) => "no match",
            Err(Error::Header | Error::Version) => "header failure",
            Err(Error::Passphrase) => "passphrase",
            Err(error) => panic!("{error:?}"),
        };
        (result, content)
    }
}

#[test]
fn every_test_vector_of_age_is_decrypted_or_refused_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/export/age_vectors");
    let (mut count, mut gave_less) = (0, Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name == "README.md" {
            continue;
        }
        let vector = Vector::read(&path);
        let (result, content) = vector.decrypt();

        let expected = match (name.as_str(), vector.says["expect"].as_str()) {
            ("scrypt", "success") => "passphrase",
            // A file with a wrong MAC is not told apart from one with a damaged header, nor a nonce that is cut.
            (_, "HMAC failure") | ("stream_no_nonce" | "stream_short_nonce", _) => "header failure",
            (_, expected) => expected,
        };
        assert_eq!(result, expected, "{name}");
        if matches!(result, "success" | "payload failure") {
            let digest: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
            if digest != vector.says["payload"] {
                assert!(result == "payload failure" && content.len() % (64 * 1024) == 0, "{name}");
                gave_less.push(name);
            }
        }
        count += 1;
    }
    // Nothing is given out of a chunk of which it is known already that it is at the wrong place.
    gave_less.sort_unstable();
    assert_eq!(gave_less, GIVE_LESS);
    assert_eq!(count, 69);
}

const GIVE_LESS: [&str; 7] = [
    "stream_no_final_full",
    "stream_no_final_two_chunks_full",
    "stream_trailing_garbage_long",
    "stream_trailing_garbage_short",
    "stream_two_final_chunks",
    "stream_two_final_chunks_full",
    "stream_two_final_chunks_second",
];

#[test]
fn content_of_any_length_comes_back_and_no_cut_and_no_changed_bit_stays_unnoticed() {
    const CHUNK: usize = 64 * 1024;
    let identity = Identity::generate();
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1] {
        let content: Vec<u8> = (0..length).map(|number| u8::try_from(number % 251).unwrap()).collect();
        let mut encryptor =
            Encryptor::new(Vec::new(), &[Identity::generate().recipient(), identity.recipient()]).unwrap();
        for part in content.chunks(40_000) {
            encryptor.write_all(part).unwrap();
        }
        let file = encryptor.finish().unwrap();
        let decrypt = |file: &[u8]| {
            let mut read = Vec::new();
            let mut decryptor = Decryptor::new(file, std::slice::from_ref(&identity)).ok()?;
            decryptor.read_to_end(&mut read).ok().map(|_| read)
        };

        assert!(decrypt(&file).unwrap() == content, "{length}");
        assert!(decrypt(&[&file[..], b"x"].concat()).is_none(), "{length}");
        for position in (0..file.len()).step_by(4099).chain(file.len() - 20..file.len()) {
            assert!(decrypt(&file[..position]).is_none(), "{length}, cut at {position}");
            let mut changed = file.clone();
            changed[position] ^= 1 << (position % 8);
            assert!(decrypt(&changed).is_none(), "{length}, changed at {position}");
        }
    }
}

#[test]
fn two_files_of_one_content_have_nothing_in_common() {
    let recipient = Identity::generate().recipient();
    let encrypt = || {
        let mut encryptor = Encryptor::new(Vec::new(), &[recipient]).unwrap();
        encryptor.write_all(&[7; 1000]).unwrap();
        encryptor.finish().unwrap()
    };
    let (one, other) = (encrypt(), encrypt());

    let same = one.iter().zip(&other).rev().take(1000).filter(|(one, other)| one == other).count();
    assert!(same < 50, "{same} of 1000 bytes");
}
