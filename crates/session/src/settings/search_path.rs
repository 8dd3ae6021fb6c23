//! `NIX_PATH`: entries separated by colons.

/// Entries are separated by colons, but those of a URL belong to it.
pub(super) fn split_search_path(list: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for part in list.split(':') {
        match entries.last_mut() {
            Some(last) if continues(last, part) => {
                last.push(':');
                last.push_str(part);
            }
            _ => entries.push(part.to_owned()),
        }
    }
    entries.retain(|entry| !entry.is_empty());
    entries
}

fn continues(entry: &str, part: &str) -> bool {
    let value = entry.split_once('=').map_or(entry, |(_, value)| value);
    match value {
        "flake" | "channel" => true,
        "http" | "https" | "file" | "s3" | "git" | "ssh" => part.starts_with("//"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colons_of_urls_do_not_split_the_search_path() {
        assert_eq!(
            split_search_path("a=/x:https://h/y:channel:z:/w:n=flake:q"),
            ["a=/x", "https://h/y", "channel:z", "/w", "n=flake:q"]
        );
    }
}
