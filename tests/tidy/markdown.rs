//! A Markdown page as far as links and names go: prose, code and headings.

use std::collections::BTreeMap;

/// A page, taken apart.
pub(crate) struct Page {
    /// The text with all code as spaces. Lines and columns stay.
    pub(crate) prose: String,
    /// Code inside of lines, and its line.
    pub(crate) spans: Vec<(usize, String)>,
    /// Lines of code blocks, and their line.
    pub(crate) blocks: Vec<(usize, String)>,
    /// What an anchor may name.
    pub(crate) anchors: Vec<String>,
}

impl Page {
    /// Takes a page apart.
    pub(crate) fn parse(text: &str) -> Self {
        let (mut blocks, mut headings, mut prose) = (Vec::new(), Vec::new(), String::new());
        let (mut fence, mut may_indent) = (None::<&str>, true);
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let bare = line.trim();
            let mark = ["```", "~~~"].into_iter().find(|mark| bare.starts_with(mark));
            let indented = fence.is_none() && may_indent && line.starts_with("    ") && !bare.is_empty();
            let is_code = fence.is_some() || mark.is_some() || indented;
            match (fence, mark) {
                (None, Some(_)) => fence = mark,
                (Some(open), Some(close)) if open == close => fence = None,
                _ if is_code => blocks.push((number + 1, bare.to_owned())),
                _ if is_heading(bare) => headings.push(bare.trim_start_matches('#').trim().to_owned()),
                _ => {}
            }
            may_indent = bare.is_empty() || indented;
            prose.push_str(&if is_code { blank(line) } else { line.to_owned() });
        }
        let spans = take_spans(&mut prose);
        let mut anchors = anchors(&headings);
        anchors.extend(
            ["id=\"", "name=\""].iter().flat_map(|key| attributes(&prose, key)).map(|(_, value)| value.to_owned()),
        );
        Self { prose, spans, blocks, anchors }
    }

    /// The targets of all links and images, each with its place in the prose.
    pub(crate) fn links(&self) -> Vec<(usize, &str)> {
        let inline = self.prose.match_indices("](").map(|(at, open)| at + open.len());
        let inline = inline.filter_map(|at| Some((at, &self.prose[at..at + closing(&self.prose[at..])?])));
        let mut links = inline.collect::<Vec<_>>();
        let mut at = 0;
        for line in self.prose.split_inclusive('\n') {
            let definition = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
            links.extend(definition.map(|(_, target)| (at, target)));
            at += line.len();
        }
        links.extend(["href=\"", "src=\""].iter().flat_map(|key| attributes(&self.prose, key)));
        // A title may follow.
        links
            .iter()
            .filter_map(|&(at, target)| Some((at, target.split_whitespace().next()?.trim_matches(['<', '>']))))
            .collect()
    }
}

/// The text as spaces.
fn blank(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

fn is_heading(line: &str) -> bool {
    let rest = line.trim_start_matches('#');
    (1..=6).contains(&(line.len() - rest.len())) && rest.starts_with(' ')
}

/// The values of an attribute of HTML.
fn attributes<'a>(prose: &'a str, key: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let values = prose.match_indices(key).map(|(at, key)| (at, &prose[at + key.len()..]));
    values.filter_map(|(at, rest)| Some((at, rest.split_once('"')?.0)))
}

/// Where the parenthesis closes. A target may hold a pair of its own.
fn closing(rest: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, character) in rest.char_indices() {
        match character {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Takes code inside of lines out of the prose. It begins and ends with equally many backticks.
fn take_spans(prose: &mut String) -> Vec<(usize, String)> {
    let mut spans = Vec::new();
    let mut from = 0;
    while let Some(begin) = prose[from..].find('`').map(|at| from + at) {
        let ticks = prose[begin..].len() - prose[begin..].trim_start_matches('`').len();
        let inside = begin + ticks;
        let paragraph = prose[inside..].find("\n\n").map_or(prose.len(), |end| inside + end);
        let Some(end) = closing_ticks(&prose[inside..paragraph], ticks).map(|at| inside + at) else {
            from = inside;
            continue;
        };
        spans.push((crate::tree::line_of(prose, begin), prose[inside..end].trim().to_owned()));
        let blank = blank(&prose[begin..end + ticks]);
        prose.replace_range(begin..end + ticks, &blank);
        from = end + ticks;
    }
    spans
}

fn closing_ticks(text: &str, ticks: usize) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].find('`').map(|at| from + at) {
        let found = text[at..].len() - text[at..].trim_start_matches('`').len();
        if found == ticks {
            return Some(at);
        }
        from = at + found;
    }
    None
}

/// The anchors that GitHub makes of headings. One that comes again gets a number.
fn anchors(headings: &[String]) -> Vec<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut anchors = Vec::new();
    for heading in headings {
        let slug = slug(heading);
        let again = seen.entry(slug.clone()).or_default();
        anchors.push(if *again == 0 { slug } else { format!("{slug}-{again}") });
        *again += 1;
    }
    anchors
}

/// Small letters, digits, `-` and `_`; spaces become `-`, and of a link the text counts.
fn slug(heading: &str) -> String {
    let mut text = heading.to_owned();
    while let Some(at) = text.find("](") {
        let end = closing(&text[at + 2..]).map_or(text.len(), |end| at + 2 + end + 1);
        text.replace_range(at..end.min(text.len()), "");
    }
    let kept = text.chars().filter(|&character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|character| if character == ' ' { '-' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_no_prose() {
        let text = "a `b` c\n\n```sh\nd\n```\n\n    e\n    f\n\ng ``h ` i``\nj\n    k\n";

        let page = Page::parse(text);

        assert_eq!(page.prose.split_whitespace().collect::<Vec<_>>(), ["a", "c", "g", "j", "k"]);
        assert_eq!(page.prose.len(), text.len());
        assert_eq!(page.spans, [(1, "b".to_owned()), (10, "h ` i".to_owned())]);
        assert_eq!(page.blocks, [(4, "d".to_owned()), (7, "e".to_owned()), (8, "f".to_owned())]);
    }

    #[test]
    fn every_kind_of_link_is_found() {
        let text = "[a](b.md#c \"d\") ![e](f.png) [g\nh](<i(j).md>)\n[k]: l.md\n<a href=\"m.md\"> `[n](o)`";

        let page = Page::parse(text);

        assert_eq!(
            page.links().iter().map(|link| link.1).collect::<Vec<_>>(),
            ["b.md#c", "f.png", "i(j).md", "l.md", "m.md"]
        );
    }

    #[test]
    fn anchors_are_made_as_on_github() {
        let text = "# What's `new`, in 2.0?\n## A  b\n## [Link](x.md) -- c_d\n## \u{dc}ber\n## A  b\n#no\n<a id=\"own\"></a>\n```\n# code\n```\n";

        let page = Page::parse(text);

        assert_eq!(page.anchors, ["whats-new-in-20", "a--b", "link----c_d", "\u{fc}ber", "a--b-1", "own"]);
    }
}
