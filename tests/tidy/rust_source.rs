//! Rust source as far as imports and names go: code without comments and strings, its tokens, and the paths in it.

/// The code with comments and literals as spaces. Lines and columns stay. A string that is a path from the crate's
/// root, such as serde's `with`, counts as code.
pub(crate) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    while code.len() < bytes.len() {
        let at = code.len();
        let end = skipped(text, at);
        if end == at {
            code.push(if bytes[at].is_ascii() { bytes[at] } else { b' ' });
            continue;
        }
        let literal = text[at..end].trim_matches('"');
        let is_path = literal.starts_with("crate::") && literal.bytes().all(|byte| is_word(byte) || byte == b':');
        let kept = |byte: u8| byte == b'\n' || is_path && byte != b'"';
        code.extend(bytes[at..end].iter().map(|&byte| if kept(byte) { byte } else { b' ' }));
    }
    String::from_utf8(code).expect("all bytes are ASCII")
}

/// Where the comment or literal that begins here ends; `at` if none does.
fn skipped(text: &str, at: usize) -> usize {
    let (bytes, rest) = (text.as_bytes(), &text.as_bytes()[at..]);
    let end_of = |found: Option<usize>| found.map_or(text.len(), |length| at + length);
    let in_word = at > 0 && is_word(bytes[at - 1]);
    match rest {
        [b'/', b'/', ..] => end_of(rest.iter().position(|&byte| byte == b'\n')),
        [b'/', b'*', ..] => end_of(block_comment(rest)),
        [b'"', ..] => end_of(string(rest)),
        [b'\'', ..] => end_of(Some(character(&text[at..]))),
        [b'r', b'"' | b'#', ..] if !in_word => end_of(raw_string(&text[at..])),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !in_word => end_of(raw_string(&text[at..])),
        _ => at,
    }
}

/// The length of a block comment. They nest.
fn block_comment(rest: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0, 0);
    loop {
        match rest.get(at..at + 2)? {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

fn string(rest: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match rest.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// The length of a character; 0 if this is a lifetime.
fn character(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), _) => rest[3.min(rest.len())..].find('\'').map_or(rest.len(), |end| end + 4),
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 0,
    }
}

/// The length of a raw string; 0 if this is a raw identifier.
fn raw_string(rest: &str) -> Option<usize> {
    let open = rest.trim_start_matches(['b', 'c']).trim_start_matches('r');
    let hashes = open.len() - open.trim_start_matches('#').len();
    if !open[hashes..].starts_with('"') {
        return Some(0);
    }
    let begin = rest.len() - open.len() + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    rest[begin..].find(&close).map(|end| begin + end + close.len())
}

/// Whether the byte may stand in an identifier.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A path such as `crate::store::Error`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
    /// How many inline modules it stands in.
    pub(crate) depth: usize,
    /// The name that an import gives it; `None` outside of imports.
    pub(crate) imported_as: Option<String>,
}

/// The path from the crate's root of the module that a file has.
pub(crate) fn module(file: &str) -> Vec<String> {
    let inside = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    if inside == "lib" { Vec::new() } else { inside.split('/').map(str::to_owned).collect() }
}

impl Path {
    /// The path from the crate's root, if it begins with `crate`, `self` or `super` in this module; else `None`.
    pub(crate) fn absolute(&self, module: &[String]) -> Option<Vec<String>> {
        let inline = std::iter::repeat_n(String::new(), self.depth);
        let here: Vec<_> = module.iter().cloned().chain(inline).collect();
        match self.segments.first()?.as_str() {
            "crate" => Some(self.segments[1..].to_vec()),
            "self" | "super" => {
                let rest = &self.segments[usize::from(self.segments[0] == "self")..];
                let up = rest.iter().take_while(|segment| *segment == "super").count();
                Some([&here[..here.len().checked_sub(up)?], &rest[up..]].concat())
            }
            _ => None,
        }
    }
}

/// All paths of two segments and more in the code, and all imports.
pub(crate) fn paths(code: &str) -> Vec<Path> {
    Parser { tokens: tokens(code), at: 0, modules: Vec::new(), paths: Vec::new() }.run()
}

/// Modules that the code declares in files of their own.
pub(crate) fn declared_modules(code: &str) -> Vec<&str> {
    let tokens = tokens(code);
    let declared = |three: &[(&'_ str, usize)]| three[0].0 == "mod" && three[2].0 == ";";
    tokens.windows(3).filter(|three| declared(three)).map(|three| three[1].0).collect()
}

/// Words, `::` and single characters, each with its line.
pub(crate) fn tokens(code: &str) -> Vec<(&str, usize)> {
    let (mut tokens, mut line, mut at) = (Vec::new(), 1, 0);
    while let Some(&byte) = code.as_bytes().get(at) {
        let rest = &code[at..];
        let length = match byte {
            _ if rest.starts_with("::") => 2,
            byte if is_word(byte) => rest.bytes().take_while(|&byte| is_word(byte)).count(),
            _ => 1,
        };
        line += usize::from(byte == b'\n');
        if !byte.is_ascii_whitespace() {
            tokens.push((&rest[..length], line));
        }
        at += length;
    }
    tokens
}

struct Parser<'a> {
    tokens: Vec<(&'a str, usize)>,
    at: usize,
    /// The braces that are open, and whether each is a module's.
    modules: Vec<bool>,
    paths: Vec<Path>,
}

impl<'a> Parser<'a> {
    fn run(mut self) -> Vec<Path> {
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "{" => self.modules.push(self.at >= 2 && self.tokens[self.at - 2].0 == "mod"),
                "}" => drop(self.modules.pop()),
                "use" if self.peek(1) != "<" => {
                    self.at += 1;
                    self.import(&[]);
                }
                word if starts_word(word) => self.path(),
                _ => {}
            }
            self.at += 1;
        }
        self.paths
    }

    fn peek(&self, ahead: usize) -> &'a str {
        self.tokens.get(self.at + ahead).map_or("", |&(token, _)| token)
    }

    /// Reads one tree of an import, up to what ends it.
    fn import(&mut self, prefix: &[String]) {
        let (mut segments, line) = (prefix.to_vec(), self.tokens.get(self.at).map_or(0, |&(_, line)| line));
        loop {
            match self.peek(0) {
                "::" => {}
                "{" => {
                    self.at += 1;
                    while !matches!(self.peek(0), "}" | "") {
                        self.import(&segments);
                        self.at += usize::from(self.peek(0) == ",");
                    }
                    self.at += 1;
                    return;
                }
                "as" => {
                    let name = self.peek(1).to_owned();
                    self.at += 2;
                    return self.push(line, segments, Some(name));
                }
                "self" if !segments.is_empty() => {}
                word if starts_word(word) || word == "*" => segments.push(word.to_owned()),
                _ => {
                    let name = segments.last().cloned();
                    return self.push(line, segments, name);
                }
            }
            self.at += 1;
        }
    }

    /// Reads a path outside of imports. A name that follows `::` after a type is no path of its own.
    fn path(&mut self) {
        let before = |back: usize| self.at.checked_sub(back).map_or("", |at| self.tokens[at].0);
        let of_a_type = before(1) == "::" && before(2) == ">" && before(3) != "-";
        if of_a_type || before(1) == "." || self.peek(1) != "::" {
            return;
        }
        let line = self.tokens[self.at].1;
        let mut segments = vec![self.peek(0).to_owned()];
        while self.peek(1) == "::" && starts_word(self.peek(2)) {
            segments.push(self.peek(2).to_owned());
            self.at += 2;
        }
        self.push(line, segments, None);
    }

    fn push(&mut self, line: usize, segments: Vec<String>, imported_as: Option<String>) {
        let depth = self.modules.iter().filter(|&&module| module).count();
        self.paths.push(Path { line, segments, depth, imported_as });
    }
}

fn starts_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        paths(&code_only(text)).iter().map(|path| format!("{} {}", path.line, path.segments.join("::"))).collect()
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        let text = "a /* b /* c */ d */ e // f\n\"g \\\" h\" i r#\"j \" k\"# l '\\'' m '\u{e9}' n 'o p br\"q\" r#type";

        let code = code_only(text);

        assert_eq!(code.len(), text.len());
        assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "e", "i", "l", "m", "n", "'o", "p", "r#type"]);
    }

    #[test]
    fn a_string_that_is_a_path_of_the_crate_is_code() {
        assert_eq!(code_only("with = \"crate::config::span\""), "with =  crate::config::span ");
        assert_eq!(code_only("\"crate:: and more\"").trim(), "");
    }

    #[test]
    fn an_import_is_read_over_lines_and_trees() {
        let text = "use crate::{\n    store,\n    app::{App, name::{self, X as Y}},\n};\nuse std::io;";

        assert_eq!(
            found(text),
            ["2 crate::store", "3 crate::app::App", "3 crate::app::name", "3 crate::app::name::X", "5 std::io"]
        );
    }

    #[test]
    fn a_path_is_read_outside_of_imports() {
        let text = "fn f(x: crate::a::B) -> ::c::D { <E as F>::g(); h.i::<J>(); k::l::<m::N>(); pub(in crate::o) }";

        assert_eq!(found(text), ["1 crate::a::B", "1 c::D", "1 k::l", "1 m::N", "1 crate::o"]);
    }

    #[test]
    fn inline_modules_are_counted() {
        let text = "a::b; mod t { fn f() { c::d } mod u { e::f } } g::h";

        let depths = paths(&code_only(text)).iter().map(|path| path.depth).collect::<Vec<_>>();

        assert_eq!(depths, [0, 1, 2, 0]);
    }

    #[test]
    fn a_module_in_a_file_of_its_own_is_declared() {
        assert_eq!(declared_modules("mod a; pub(crate) mod b; mod c {}"), ["a", "b"]);
    }
}
