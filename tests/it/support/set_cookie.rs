//! `Set-Cookie` by RFC 6265bis: what a server may write (section 4.1.1), and what a browser reads (section 5.6).
//!
//! Written from the RFC alone; shares nothing with the code that it judges.

/// A parsed `Set-Cookie` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetCookie {
    pub name: String,
    pub value: String,
    pub attributes: Vec<Av>,
}

/// An attribute, which the RFC calls a cookie-av.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Av {
    /// In seconds since 1970.
    Expires(u64),
    MaxAge(u64),
    Domain(String),
    Path(String),
    Secure,
    HttpOnly,
    SameSite(String),
    Partitioned,
}

/// Parses a header that a server may write, or says what is wrong with it.
pub(crate) fn parse(header: &str) -> Result<SetCookie, String> {
    let mut parts = header.split("; ");
    let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).ok_or("no cookie-pair")?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("{name:?} is no token"));
    }
    if !value.bytes().all(|c| matches!(c, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)) {
        return Err(format!("{value:?} has an octet that is no cookie-octet"));
    }
    let attributes = parts.map(attribute).collect::<Result<Vec<Av>, String>>()?;
    let cookie = SetCookie { name: name.to_owned(), value: value.to_owned(), attributes };
    check(&cookie)?;
    Ok(cookie)
}

fn attribute(text: &str) -> Result<Av, String> {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    if value.is_some_and(|value| value.len() > 1024 || value.bytes().any(|c| !(0x20..0x7f).contains(&c) || c == b';')) {
        return Err(format!("{text:?} is too long or has an octet that is no av-octet"));
    }
    match (name, value) {
        ("Expires", Some(date)) => imf_fixdate(date).map(Av::Expires).ok_or(format!("{date:?} is no IMF-fixdate")),
        ("Max-Age", Some(digits)) if digits.bytes().all(|c| c.is_ascii_digit()) => {
            digits.parse().map(Av::MaxAge).map_err(|_| format!("{digits:?} is no number"))
        }
        ("Domain", Some(domain)) if is_subdomain(domain) => Ok(Av::Domain(domain.to_owned())),
        ("Path", Some(path)) if path.starts_with('/') => Ok(Av::Path(path.to_owned())),
        ("SameSite", Some("Strict" | "Lax" | "None")) => Ok(Av::SameSite(value.unwrap_or_default().to_owned())),
        ("Secure", None) => Ok(Av::Secure),
        ("HttpOnly", None) => Ok(Av::HttpOnly),
        ("Partitioned", None) => Ok(Av::Partitioned),
        _ => Err(format!("{text:?} is no attribute")),
    }
}

/// Checks the rules that concern several parts.
fn check(cookie: &SetCookie) -> Result<(), String> {
    let has = |is: fn(&Av) -> bool| cookie.attributes.iter().any(is);
    let secure = has(|av| *av == Av::Secure);
    let httponly = has(|av| *av == Av::HttpOnly);
    let host = secure && !has(|av| matches!(av, Av::Domain(_))) && has(|av| *av == Av::Path("/".to_owned()));
    let name = cookie.name.to_ascii_lowercase();
    let kinds: Vec<_> = cookie.attributes.iter().map(std::mem::discriminant).collect();
    let rules = [
        ("an attribute is repeated", kinds.iter().enumerate().all(|(n, kind)| !kinds[..n].contains(kind))),
        ("it is over 4096 bytes", cookie.name.len() + cookie.value.len() <= 4096),
        ("Partitioned without Secure", secure || !has(|av| *av == Av::Partitioned)),
        ("SameSite=None without Secure", secure || !has(|av| *av == Av::SameSite("None".to_owned()))),
        ("__Secure- without Secure", secure || !name.starts_with("__secure-")),
        ("__Host- that is not the host's", host || !name.starts_with("__host-")),
        ("__Http- without HttpOnly", (secure && httponly) || !name.starts_with("__http-")),
        ("__Host-Http- without HttpOnly", httponly || !name.starts_with("__host-http-")),
    ];
    rules.iter().find(|(_, holds)| !holds).map_or(Ok(()), |(broken, _)| Err((*broken).to_owned()))
}

/// Parses a header as a browser does (section 5.6); `None` if the browser refuses it.
///
/// White space around names and values is dropped, and an attribute value that is too long is ignored.
pub(crate) fn parse_as_browser(header: &str) -> Option<SetCookie> {
    let trim = |text: &str| text.trim_matches([' ', '\t']).to_owned();
    if header.bytes().any(|c| (c < 0x20 && c != b'\t') || c == 0x7f) {
        return None;
    }
    let mut parts = header.split(';');
    let (name, value) = parts.next()?.split_once('=')?;
    let mut attributes = Vec::new();
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (trim(name).to_ascii_lowercase(), trim(value));
        if value.len() > 1024 {
            continue;
        }
        attributes.extend(match name.as_str() {
            "expires" => imf_fixdate(&value).map(Av::Expires),
            "max-age" => value.parse().ok().map(Av::MaxAge),
            "domain" => Some(Av::Domain(value.strip_prefix('.').unwrap_or(&value).to_owned())),
            "path" if value.starts_with('/') => Some(Av::Path(value)),
            "path" => Some(Av::Path("/default".to_owned())),
            "samesite" => Some(Av::SameSite(value)),
            "secure" => Some(Av::Secure),
            "httponly" => Some(Av::HttpOnly),
            "partitioned" => Some(Av::Partitioned),
            _ => None,
        });
    }
    let (name, value) = (trim(name), trim(value));
    (name.len() + value.len() <= 4096).then_some(SetCookie { name, value, attributes })
}

const fn is_token(c: u8) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(
            c,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// Checks for a `subdomain` of RFC 1034, section 3.5, as relaxed by RFC 1123.
fn is_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let edge = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
        edge(bytes.first())
            && edge(bytes.last())
            && bytes.len() <= 63
            && bytes.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// Parses `Thu, 24 Dec 2026 07:00:00 GMT` to seconds since 1970; the day of the week must be right.
fn imf_fixdate(text: &str) -> Option<u64> {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let bytes = text.as_bytes();
    let shape = b"www, dd mmm dddd dd:dd:dd GMT";
    let fits = |(c, shape): (&u8, &u8)| match shape {
        b'w' | b'm' => c.is_ascii_alphabetic(),
        b'd' => c.is_ascii_digit(),
        _ => c == shape,
    };
    if bytes.len() != shape.len() || !bytes.iter().zip(shape).all(fits) {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u64>().ok();
    let (day, year) = (number(5, 7)?, number(12, 16)?);
    let month = MONTHS.iter().position(|month| *month == &text[8..11])?;
    let (hour, minute, second) = (number(17, 19)?, number(20, 22)?, number(23, 25)?);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = |month: usize| [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month];
    if year < 1970 || !(1..=length(month)).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let years: u64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let days = years + (0..month).map(length).sum::<u64>() + day - 1;
    let weekday = DAYS[usize::try_from(days % 7).ok()?];
    (weekday == &text[..3]).then_some(days * 86_400 + hour * 3600 + minute * 60 + second)
}
