//! URLs in C++ Nix's dialect: RFC 3986, with spaces and quotes let through where it is lenient.
//!
//! Parts are kept decoded, the path as its segments; printing encodes all but unreserved characters and a few others, so
//! that a URL comes out in one form. Source: `src/libutil/url.cc`, and for the grammar RFC 3986 as Boost.URL reads it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::error::Error;

/// A URL taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url {
    /// Before the colon, as written.
    pub scheme: String,
    /// After `//`, if that is there.
    pub authority: Option<Authority>,
    /// What stands between slashes, decoded; an empty first one means that the path is absolute.
    pub path: Vec<String>,
    /// Parameters, decoded; of a name that is given twice the first.
    pub query: BTreeMap<String, String>,
    /// After `#`, decoded.
    pub fragment: String,
}

/// Host, port and user of a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authority {
    /// Decoded, without brackets.
    pub host: String,
    /// Whether the host stood in brackets.
    pub bracketed: bool,
    /// Before `@`.
    pub user: Option<String>,
    /// After the user's colon.
    pub password: Option<String>,
    /// The port, if one is given.
    pub port: Option<u16>,
}

fn bad(url: &str, reason: &str) -> Error {
    Error::BadUrl(format!("'{url}' is not a valid URL: {reason}"))
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn is_path_char(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte)
}

/// What is wrong with a part, in Boost's words: `mismatch` for a broken escape, `leftover` for a character that may not
/// stand here.
fn check(part: &str, legal: impl Fn(u8) -> bool) -> Result<(), &'static str> {
    let bytes = part.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' if bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) => at += 3,
            b'%' => return Err("mismatch"),
            byte if legal(byte) => at += 1,
            _ => return Err("leftover"),
        }
    }
    Ok(())
}

/// Escapes taken back; bytes that are no UTF-8 are replaced.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Escapes taken back where they must be right.
pub(crate) fn percent_decode(text: &str) -> Result<String, Error> {
    let broken = text.match_indices('%').map(|(at, _)| &text.as_bytes()[at + 1..]).find_map(|rest| match rest {
        [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => None,
        [_, _, ..] => Some("bad hexdig in pct-encoding"),
        _ => Some("incomplete pct-encoding"),
    });
    match broken {
        Some(reason) => Err(Error::BadUrl(format!("invalid URI parameter '{text}': {reason}"))),
        None => Ok(decode(text)),
    }
}

/// Everything escaped that is not unreserved or in `keep`.
pub(crate) fn percent_encode(text: &str, keep: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_unreserved(byte) || keep.as_bytes().contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Some characters escaped, nothing else touched.
fn fix(text: &str, characters: &[char]) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if characters.contains(&c) {
            let _ = write!(out, "%{:02X}", u32::from(c));
        } else {
            out.push(c);
        }
        out
    })
}

/// The parameters of a query. One without `=` does not count.
pub(crate) fn decode_query(query: &str, lenient: bool) -> Result<BTreeMap<String, String>, Error> {
    let fixed = if lenient { fix(query, &[' ', '"']) } else { query.to_owned() };
    // Boost knows only one word for what is wrong with a query.
    check(&fixed, |byte| is_path_char(byte) || b"/?[]".contains(&byte))
        .map_err(|_| Error::BadUrl(format!("invalid URI query '{query}': leftover")))?;
    let mut found = BTreeMap::new();
    for parameter in fixed.split('&') {
        if let Some((name, value)) = parameter.split_once('=') {
            found.entry(decode(name)).or_insert_with(|| decode(value));
        }
    }
    Ok(found)
}

/// The two halves of `APPLICATION+TRANSPORT`.
pub(crate) fn split_scheme(scheme: &str) -> (Option<&str>, &str) {
    match scheme.split_once('+') {
        Some((application, transport)) => (Some(application), transport),
        None => (None, scheme),
    }
}

impl Url {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// [`Error::BadUrl`].
    pub fn parse(url: &str) -> Result<Url, Error> {
        Self::parse_fixed(url, url, false)
    }

    /// The same, but spaces and quotes may stand in query and fragment, and `^` in the fragment.
    ///
    /// # Errors
    /// [`Error::BadUrl`].
    pub fn parse_lenient(url: &str) -> Result<Url, Error> {
        let (before, fragment) = match url.split_once('#') {
            Some((before, fragment)) => (before, Some(fix(fragment, &[' ', '"', '^']))),
            None => (url, None),
        };
        let mut fixed = match before.split_once('?') {
            Some((path, query)) => format!("{path}?{}", fix(query, &[' ', '"'])),
            None => before.to_owned(),
        };
        if let Some(fragment) = fragment {
            fixed.push('#');
            fixed.push_str(&fragment);
        }
        Self::parse_fixed(&fixed, url, true)
    }

    fn parse_fixed(text: &str, given: &str, lenient: bool) -> Result<Url, Error> {
        let wrong = |reason: &str| bad(given, reason);
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let scheme = match rest.find([':', '/']) {
            Some(at) if rest.as_bytes()[at] == b':' => Some(&rest[..at]),
            _ => None,
        };
        if let Some(scheme) = scheme {
            let starts = scheme.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
            if scheme.is_empty() {
                return Err(wrong("leftover"));
            }
            if !starts || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
                return Err(wrong("mismatch"));
            }
        }
        let after = scheme.map_or(rest, |scheme| &rest[scheme.len() + 1..]);
        let (authority, path) = match after.strip_prefix("//") {
            Some(after) => {
                let end = after.find('/').unwrap_or(after.len());
                (Some(Authority::parse(&after[..end], given)?), &after[end..])
            }
            None => (None, after),
        };
        check(path, |byte| is_path_char(byte) || byte == b'/').map_err(wrong)?;
        check(query, |byte| is_path_char(byte) || b"/?[]".contains(&byte)).map_err(|_| wrong("leftover"))?;
        check(fragment, |byte| is_path_char(byte) || b"/?#".contains(&byte)).map_err(wrong)?;
        let scheme = scheme.ok_or_else(|| Error::BadUrl(format!("'{text}' doesn't have a scheme")))?;
        let is_file = split_scheme(scheme).1 == "file";
        if let Some(authority) = authority.as_ref().filter(|authority| is_file && !authority.host.is_empty()) {
            return Err(Error::BadUrl(format!(
                "file:// URL '{text}' has unexpected authority '{}'",
                authority.print()
            )));
        }
        let path = if is_file && path.is_empty() { "/" } else { path };
        Ok(Url {
            scheme: scheme.to_owned(),
            authority,
            path: path.split('/').map(decode).collect(),
            query: decode_query(query, lenient)?,
            fragment: decode(fragment),
        })
    }

    /// The segments that are not empty.
    pub(crate) fn segments(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).filter(|segment| !segment.is_empty()).collect()
    }

    /// The path as one of the host.
    ///
    /// # Errors
    /// [`Error::BadUrl`] where a segment is no file name.
    pub fn file_path(&self) -> Result<String, Error> {
        for segment in &self.path {
            if segment.contains('/') {
                let message =
                    format!("URL path component '{segment}' contains '/', which is not allowed in file names");
                return Err(Error::BadUrl(message));
            }
            if segment.contains('\0') {
                let shown = segment.replace('\0', "␀");
                let message = format!("URL path component '{shown}' contains NUL byte which is not allowed");
                return Err(Error::BadUrl(message));
            }
        }
        let mut path = String::new();
        let mut segments = self.path.iter();
        if self.path.first().is_some_and(String::is_empty) {
            path.push('/');
            segments.next();
        }
        for segment in segments {
            if !path.is_empty() && !path.ends_with('/') {
                path.push('/');
            }
            path.push_str(segment);
        }
        Ok(path)
    }

    /// The URL as text, everything encoded that may be.
    pub fn print(&self) -> String {
        let mut out = format!("{}:", self.scheme);
        if let Some(authority) = &self.authority {
            out.push_str("//");
            out.push_str(&authority.print());
        }
        let path: Vec<String> = self.path.iter().map(|segment| percent_encode(segment, ":@")).collect();
        out.push_str(&path.join("/"));
        for (number, (name, value)) in self.query.iter().enumerate() {
            out.push(if number == 0 { '?' } else { '&' });
            let _ = write!(out, "{}={}", percent_encode(name, ":@/?"), percent_encode(value, ":@/?"));
        }
        if !self.fragment.is_empty() {
            out.push('#');
            out.push_str(&percent_encode(&self.fragment, ""));
        }
        out
    }
}

impl Authority {
    fn parse(text: &str, url: &str) -> Result<Authority, Error> {
        let wrong = |reason: &str| bad(url, reason);
        let (user, place) = match text.split_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, text),
        };
        let (user, password) = match user.map(|user| user.split_once(':').map_or((user, None), |(u, p)| (u, Some(p)))) {
            Some((user, password)) => (Some(user), password),
            None => (None, None),
        };
        for part in [user, password].into_iter().flatten() {
            check(part, |byte| is_path_char(byte) && byte != b'@').map_err(wrong)?;
        }
        let (host, port, bracketed) = match place.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = inner.split_once(']').ok_or_else(|| wrong("mismatch"))?;
                check(host, |byte| is_path_char(byte) && byte != b'@').map_err(wrong)?;
                match after {
                    "" => (host, None, true),
                    _ => (host, Some(after.strip_prefix(':').ok_or_else(|| wrong("leftover"))?), true),
                }
            }
            None => {
                let (host, port) = place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)));
                check(host, |byte| is_path_char(byte) && !b":@".contains(&byte)).map_err(wrong)?;
                (host, port, false)
            }
        };
        let port = match port {
            None | Some("") => None,
            Some(digits) if !digits.bytes().all(|byte| byte.is_ascii_digit()) => return Err(wrong("leftover")),
            Some(digits) => match digits.parse::<u16>() {
                Ok(port) if port > 0 => Some(port),
                _ => return Err(Error::BadUrl(format!("port '{digits}' is invalid"))),
            },
        };
        Ok(Authority { host: decode(host), bracketed, user: user.map(decode), password: password.map(decode), port })
    }

    /// As text.
    pub fn print(&self) -> String {
        let mut out = String::new();
        if let Some(user) = &self.user {
            out.push_str(&percent_encode(user, ""));
            if let Some(password) = &self.password {
                out.push(':');
                out.push_str(&percent_encode(password, ""));
            }
            out.push('@');
        }
        if self.bracketed {
            let _ = write!(out, "[{}]", percent_encode(&self.host, ":"));
        } else {
            out.push_str(&percent_encode(&self.host, ""));
        }
        if let Some(port) = self.port {
            let _ = write!(out, ":{port}");
        }
        out
    }
}

/// The segments of a path of the host, as [`Url::path`] holds them.
pub(crate) fn path_segments(path: &str) -> Vec<String> {
    let mut segments = Vec::new();
    if path.starts_with('/') {
        segments.push(String::new());
    }
    let trailing = path.ends_with('/') && path.bytes().any(|byte| byte != b'/');
    segments.extend(path.split('/').filter(|part| !part.is_empty()).map(str::to_owned));
    if trailing {
        segments.push(String::new());
    }
    if path.ends_with('/') || path.is_empty() {
        segments.push(String::new());
    }
    segments
}

/// A URL of Git's kind: paths and `user@host:path` become URLs, and `git+` in front of a scheme goes.
///
/// # Errors
/// [`Error::BadUrl`].
pub fn git_url(text: &str) -> Result<Url, Error> {
    let mut text = text.to_owned();
    // Of `user@host:path`: the user without slashes, the last colon.
    if !text.starts_with('/')
        && let Some((before, path)) = text.rsplit_once(':')
        && let Some((user, host)) = split_user(before)
    {
        text = format!("ssh://{user}@{host}/{path}");
    }
    if !text.starts_with("file:") && !text.starts_with("git+file:") && !text.contains("://") {
        let path: Vec<String> = text.split('/').map(str::to_owned).collect();
        if path.first().is_some_and(|first| first.contains(':')) {
            let message = format!("SCP-like URL '{text}' is not supported; use SSH URL syntax instead (ssh://...)");
            return Err(Error::BadUrl(message));
        }
        let authority = text.starts_with('/').then(Authority::default);
        return Ok(Url { scheme: "file".to_owned(), authority, path, ..Url::default() });
    }
    let mut url = Url::parse(&text)?;
    if let (Some("git"), transport) = split_scheme(&url.scheme) {
        url.scheme = transport.to_owned();
    }
    Ok(url)
}

/// `USER@HOST` at the last `@` that a user without slashes can stand before.
fn split_user(text: &str) -> Option<(&str, &str)> {
    let slash = text.find('/').unwrap_or(text.len());
    let at = text[..slash].rfind('@')?;
    Some((&text[..at], &text[at + 1..]))
}
