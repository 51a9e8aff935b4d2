//! JSON with what RFC 8259 lacks, or with dicts that look like Flask's tags, as JSON that Flask's serializer reads
//! back as the same.
//!
//! A dict of one item whose key is a tag is written as Flask writes it; a float that is not finite under a tag of
//! Cloakroom's clients. All else stays as it is, byte for byte, white space between the tokens aside.

use std::borrow::Cow;

/// The tag of a float that is not finite: `{" f":"NaN"}`, `{" f":"Infinity"}`, `{" f":"-Infinity"}`.
pub const FLOAT: &str = " f";

/// Flask's own tags, and [`FLOAT`].
pub(super) const TAGS: [&str; 7] = [" di", " t", " b", " m", " u", " d", FLOAT];

/// One value of Flask's tagged JSON as RFC 8259 has it; nothing if it is none, or nested too deep.
pub fn strict(json: &str) -> Option<Cow<'_, str>> {
    // Escapes have a backslash: whatever stands for the tag without one is found here too.
    let suspects = ["NaN", "Infinity", "\" f\"", "\\u0020f", "\\u0066"];
    if !suspects.iter().any(|suspect| json.contains(suspect)) {
        return Some(Cow::Borrowed(json));
    }
    let mut reader = Reader { json, at: 0, tags: &[FLOAT], out: String::with_capacity(json.len() + 16) };
    reader.value(MAX_DEPTH)?;
    reader.is_at_end().then_some(Cow::Owned(reader.out))
}

/// The items of a JSON object that knows no tags, in their order, as Flask's tagged JSON.
pub(super) fn items(json: &str) -> Option<Vec<(String, String)>> {
    let mut reader = Reader { json, at: 0, tags: &TAGS, out: String::new() };
    let mut items = Vec::new();
    reader.token(b'{')?;
    if reader.token(b'}').is_none() {
        loop {
            let name = reader.text()?;
            let name = serde_json::from_str(name).ok()?;
            reader.token(b':')?;
            reader.value(MAX_DEPTH)?;
            items.push((name, std::mem::take(&mut reader.out)));
            match reader.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
    }
    reader.is_at_end().then_some(items)
}

/// A dict of one item, as Flask writes one whose key would be a tag.
pub(super) fn escaped(key: &str, value: &str) -> String {
    format!("{{\" di\":{{\"{key}__\":{value}}}}}")
}

/// What stands for a float that is not finite.
pub(super) fn not_finite(name: &str) -> String {
    format!("{{\"{FLOAT}\":\"{name}\"}}")
}

struct Reader<'j> {
    json: &'j str,
    at: usize,
    /// The keys that would be read as tags.
    tags: &'static [&'static str],
    out: String,
}

impl<'j> Reader<'j> {
    /// Copies one value.
    fn value(&mut self, room: usize) -> Option<()> {
        self.space();
        match self.peek()? {
            b'{' => self.object(room.checked_sub(1)?),
            b'[' => self.array(room.checked_sub(1)?),
            b'"' => {
                let text = self.text()?;
                self.out.push_str(text);
                Some(())
            }
            _ => self.word(),
        }
    }

    fn object(&mut self, room: usize) -> Option<()> {
        let begin = self.out.len();
        self.token(b'{')?;
        self.out.push('{');
        if self.token(b'}').is_some() {
            self.out.push('}');
            return Some(());
        }
        let first = self.text()?;
        let mut count = 0;
        let mut key = first;
        loop {
            self.out.push_str(key);
            self.token(b':')?;
            self.out.push(':');
            let value = self.out.len();
            self.value(room)?;
            count += 1;
            match self.next()? {
                b',' => self.out.push(','),
                b'}' if count == 1 => {
                    match self.tag(first) {
                        Some(tag) => {
                            let value = self.out.split_off(value);
                            self.out.truncate(begin);
                            self.out.push_str(&escaped(tag, &value));
                        }
                        None => self.out.push('}'),
                    }
                    return Some(());
                }
                b'}' => {
                    self.out.push('}');
                    return Some(());
                }
                _ => return None,
            }
            self.space();
            key = self.text()?;
        }
    }

    fn array(&mut self, room: usize) -> Option<()> {
        self.token(b'[')?;
        self.out.push('[');
        if self.token(b']').is_some() {
            self.out.push(']');
            return Some(());
        }
        loop {
            self.value(room)?;
            match self.next()? {
                b',' => self.out.push(','),
                b']' => {
                    self.out.push(']');
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// A number, or one of the names that stand for a value.
    fn word(&mut self) -> Option<()> {
        let rest = self.rest();
        let length = rest.find([',', ']', '}', ' ', '\t', '\n', '\r']).unwrap_or(rest.len());
        let word = &rest[..length];
        match word {
            "NaN" | "Infinity" | "-Infinity" => self.out.push_str(&not_finite(word)),
            _ if serde_json::from_str::<serde::de::IgnoredAny>(word).is_ok() => self.out.push_str(word),
            _ => return None,
        }
        self.at += length;
        Some(())
    }

    /// One text with its quotes, as it is written.
    fn text(&mut self) -> Option<&'j str> {
        self.space();
        let rest = self.rest();
        let mut escaped = true;
        let end = rest.bytes().position(|byte| {
            let is_end = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            is_end
        })?;
        let text = rest.get(..=end)?;
        serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
        self.at += text.len();
        Some(text)
    }

    /// The tag that a key would be read as.
    fn tag(&self, key: &str) -> Option<&'static str> {
        let key = serde_json::from_str::<String>(key).ok()?;
        self.tags.iter().copied().find(|tag| *tag == key)
    }

    /// Passes over this byte, if it comes next.
    fn token(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn next(&mut self) -> Option<u8> {
        self.space();
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn is_at_end(&mut self) -> bool {
        self.space();
        self.at == self.json.len()
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn peek(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'j str {
        self.json.get(self.at..).unwrap_or_default()
    }
}

/// As deep as a value may be nested; what tags add is not counted.
const MAX_DEPTH: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_cannot_hold_stands_under_a_tag() {
        let table = [
            ("NaN", r#"{" f":"NaN"}"#),
            ("[1,Infinity,-Infinity]", r#"[1,{" f":"Infinity"},{" f":"-Infinity"}]"#),
            (r#"{"a":NaN,"b":1e+16}"#, r#"{"a":{" f":"NaN"},"b":1e+16}"#),
            (r#""NaN""#, r#""NaN""#),
            (r#"{" f":"NaN"}"#, r#"{" di":{" f__":"NaN"}}"#),
            (r#"{"\u0020f":1}"#, r#"{" di":{" f__":1}}"#),
            (r#"[{" f":{" f":NaN}}]"#, r#"[{" di":{" f__":{" di":{" f__":{" f":"NaN"}}}}}]"#),
            (r#"{" f":1,"b":2}"#, r#"{" f":1,"b":2}"#),
            (r#"{" t":[1,NaN]}"#, r#"{" t":[1,{" f":"NaN"}]}"#),
            (r#""\ud800 NaN \" \\""#, r#""\ud800 NaN \" \\""#),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
        ];

        for (json, expected) in table {
            let strict = strict(json).unwrap();
            assert_eq!(strict, expected);
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(&strict).is_ok(), "{strict}");
        }
    }

    #[test]
    fn what_is_no_json_is_nothing() {
        for json in ["[NaN", "NaN 1", "[NaN,]", "{\"a\"NaN}", "{NaN:1}", "\"NaN", "[nan,NaN]", &"[NaN".repeat(200)] {
            assert_eq!(strict(json), None, "{json}");
        }
    }

    #[test]
    fn a_dict_that_only_looks_like_a_tag_is_escaped() {
        let items = items(r#" {"a": {" t": [1, {" b": "x"}]}, " t": 1, "b" : {" t":1, "c":[]}} "#).unwrap();

        let expected =
            [("a", r#"{" di":{" t__":[1,{" di":{" b__":"x"}}]}}"#), (" t", "1"), ("b", r#"{" t":1,"c":[]}"#)];
        assert_eq!(items, expected.map(|(name, json)| (name.to_owned(), json.to_owned())));
    }
}
