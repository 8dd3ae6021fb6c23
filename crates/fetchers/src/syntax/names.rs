//! The small grammars of names in references: flake names, Git revisions, branches and tags, hosts.

/// Forty digits of base 16.
pub(crate) fn is_rev(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What may be a branch or tag in a reference: `[a-zA-Z0-9@][a-zA-Z0-9_./@+-]*`.
pub(crate) fn is_ref(text: &str) -> bool {
    let later = |byte: u8| byte.is_ascii_alphanumeric() || b"_./@+-".contains(&byte);
    match text.as_bytes() {
        [first, rest @ ..] => (first.is_ascii_alphanumeric() || *first == b'@') && rest.iter().all(|&byte| later(byte)),
        [] => false,
    }
}

/// The name of a flake: `[a-zA-Z][a-zA-Z0-9_-]*`.
pub(crate) fn is_flake_id(text: &str) -> bool {
    let later = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    match text.as_bytes() {
        [first, rest @ ..] => first.is_ascii_alphabetic() && rest.iter().all(|&byte| later(byte)),
        [] => false,
    }
}

/// A host of a forge.
pub(crate) fn is_host(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
}

/// Whether Git takes the text for the name of a branch, a tag or a reference (git-check-ref-format(1)).
pub(crate) fn is_legal_ref(name: &str) -> bool {
    if name.is_empty() || name == "@" || name.ends_with('.') || name.contains("@{") || name.contains("..") {
        return false;
    }
    // A branch or tag may not look like an option; a longer reference may.
    if name.starts_with('-') && !name.contains('/') {
        return false;
    }
    let legal = |byte: u8| byte > b' ' && byte != 0x7f && !b"~^:\\?[*".contains(&byte);
    name.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"))
        && name.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_as_git_takes_them() {
        for good in ["master", "a/b", "A", "HEAD", "refs/heads/x", "x.y", "@x", "ä", "-a/b", "FOO/BAR/BAZ"] {
            assert!(is_legal_ref(good), "{good}");
        }
        for bad in
            ["", "@", "a..b", "a/", "/a", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a b", "a~1", "a^", "a:b"]
        {
            assert!(!is_legal_ref(bad), "{bad}");
        }
        for bad in ["a?", "a[b", "a\\b", "a*", "a@{b", "-a", "a\u{7f}", "a\n"] {
            assert!(!is_legal_ref(bad), "{bad}");
        }
    }
}
