//! The bytes of an export, decrypted if it is encrypted.

use std::io::{BufRead, BufReader, Cursor, Read as _};

use crate::age::{self, Decryptor, Identity};
use crate::cli::CliError;
use crate::cli::export::failed;

/// Returns what is to be read of an export. With identities it has to be encrypted, and without any it must not be.
pub(super) fn decrypted<'i>(
    mut input: impl BufRead + 'i,
    identities: &[Identity],
) -> Result<Box<dyn BufRead + 'i>, CliError> {
    let mut start = Vec::new();
    input.by_ref().take(ARMOR.len() as u64).read_to_end(&mut start)?;
    let (is_encrypted, is_armored) = (start.starts_with(AGE.as_bytes()), start == ARMOR.as_bytes());
    let input = Cursor::new(start).chain(input);
    match (is_encrypted, identities) {
        _ if is_armored => Err(format!("it is encrypted, and text: {ARMOR}; {BY_AGE}")),
        (true, []) => Err("it is encrypted; name the file of an identity that opens it, by --identity".to_owned()),
        (true, _) => match Decryptor::new(input, identities) {
            Ok(decryptor) => return Ok(Box::new(BufReader::new(decryptor))),
            Err(error @ (age::Error::Passphrase | age::Error::Version)) => Err(format!("{error}; {BY_AGE}")),
            Err(error) => return Err(failed(error)),
        },
        (false, []) => return Ok(Box::new(input)),
        (false, _) => Err("it is not encrypted; import it without --identity".to_owned()),
    }
    .map_err(|why| CliError::Failed(why.into()))
}

/// How each file of age begins, of any version.
const AGE: &str = "age-encryption.org/";

/// How one begins that `age --armor` made.
const ARMOR: &str = "-----BEGIN AGE ENCRYPTED FILE-----";

const BY_AGE: &str = "decrypt it with `age --decrypt`, and import from stdin";
