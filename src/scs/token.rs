//! The token in a cookie: it names the record.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// A token, as scs makes it: 32 random bytes in base64.
///
/// Never printed, because it is all that is needed to open the session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token<'c>(&'c str);

impl<'c> Token<'c> {
    /// Reads a cookie; `None` if scs has not made it.
    pub fn parse(cookie: &'c str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        (bytes.len() == 32).then_some(Self(cookie))
    }

    /// The token as text.
    pub const fn as_str(&self) -> &'c str {
        self.0
    }

    /// Returns the store's name for the session with `HashTokenInStore`.
    pub fn hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.0))
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_scs_makes_is_a_token() {
        let token = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

        assert_eq!(Token::parse(token).unwrap().as_str(), token);
        for cookie in ["", &token[1..], &format!("{token}A"), &token.replace('A', "*"), &format!("{}B", &token[1..])] {
            assert_eq!(Token::parse(cookie), None, "{cookie}");
        }
    }
}
