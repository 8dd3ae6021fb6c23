//! Passwords by host, from the text of a netrc file.
//!
//! Known words: `machine`, `default`, `login`, `password`; `account` and macros are skipped. The password of a host is
//! asked anew for every host of a chain of redirects, and never sent to another one.

/// The entries of a netrc file, in its order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Netrc {
    entries: Vec<Entry>,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Entry {
    /// `None` for `default`.
    host: Option<String>,
    login: String,
    password: String,
}

impl std::fmt::Debug for Netrc {
    /// Shows hosts only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|entry| entry.host.as_deref().unwrap_or("default"))).finish()
    }
}

impl Netrc {
    /// Reads the text; what is not understood is skipped.
    pub fn parse(text: &str) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let mut words = line.split_whitespace();
            while let Some(word) = words.next() {
                match (word, entries.last_mut()) {
                    (comment, _) if comment.starts_with('#') => break,
                    ("machine", _) => {
                        entries.push(Entry { host: words.next().map(str::to_owned), ..Entry::default() });
                    }
                    ("default", _) => entries.push(Entry::default()),
                    ("login", Some(entry)) => entry.login = words.next().unwrap_or_default().to_owned(),
                    ("password", Some(entry)) => entry.password = words.next().unwrap_or_default().to_owned(),
                    ("account", _) => drop(words.next()),
                    // A macro reaches to the next empty line.
                    ("macdef", _) => {
                        lines.by_ref().take_while(|line| !line.trim().is_empty()).for_each(drop);
                        break;
                    }
                    _ => {}
                }
            }
        }
        Self { entries }
    }

    /// Login and password for a host: of its own entry, else of `default`.
    pub fn find(&self, host: &str) -> Option<(&str, &str)> {
        let own = self.entries.iter().find(|entry| entry.host.as_deref() == Some(host));
        own.or_else(|| self.entries.iter().find(|entry| entry.host.is_none()))
            .map(|entry| (entry.login.as_str(), entry.password.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_find_their_entry() {
        let text = "# all\nmachine a.org login me\n  password secret\nmacdef init\nmachine no login x\n\n\
                    machine b.org\nlogin you account z password other default login any password thing";
        let netrc = Netrc::parse(text);
        assert_eq!(netrc.find("a.org"), Some(("me", "secret")));
        assert_eq!(netrc.find("b.org"), Some(("you", "other")));
        assert_eq!(netrc.find("no"), Some(("any", "thing")));
        assert_eq!(Netrc::parse("machine a login b password c").find("d"), None);
        assert_eq!(format!("{netrc:?}"), r#"["a.org", "b.org", "default"]"#);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(machine|default|login|password|macdef|[ \n#a-z])*") {
            let _ = Netrc::parse(&text).find("a");
        }
    }
}
