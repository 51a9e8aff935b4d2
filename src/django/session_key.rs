//! The session key in a cookie: the name of a record.

use std::fmt;

/// A session key, as Django makes it: 32 lower-case letters and digits.
///
/// Never printed, because it is all that is needed to open the session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DjangoSessionKey<'c>(&'c str);

impl<'c> DjangoSessionKey<'c> {
    /// Reads a cookie; `None` if Django has not made it.
    pub fn parse(cookie: &'c str) -> Option<Self> {
        let is_key = cookie.len() == LENGTH && cookie.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'));
        is_key.then_some(Self(cookie))
    }

    /// The key as text.
    pub const fn as_str(&self) -> &'c str {
        self.0
    }
}

impl fmt::Debug for DjangoSessionKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DjangoSessionKey(..)")
    }
}

const LENGTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_django_makes_is_a_session_key() {
        let key = "0123456789abcdefghijklmnopqrstuv";

        assert_eq!(DjangoSessionKey::parse(key).unwrap().as_str(), key);
        for cookie in
            ["", &key[1..], &format!("{key}w"), &key.to_uppercase(), &key.replace('v', "*"), "é".repeat(16).as_str()]
        {
            assert_eq!(DjangoSessionKey::parse(cookie), None, "{cookie}");
        }
    }
}
