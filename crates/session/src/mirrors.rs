//! Where `mirror://NAME/…` lives: first where the user's own package clients fetch, then public mirrors.
//!
//! Read are apt's sources (`mirror://debian`), pip's index (`pypi`), npm's registry (`npm`), cargo's source replacement
//! (`crates`). A source carries its hash, so a mirror needs no trust. Nothing is asked of the network here, and a file
//! that cannot be read or understood is passed over: its client would complain itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use transfer::Mirrors;

use crate::settings::Surroundings;

/// Mirrors that anyone may use, after the user's own. None is a client's default host.
const PUBLIC: &[(&str, &[&str])] = &[
    ("debian", &["https://mirrors.kernel.org/debian", "https://ftp.halifax.rwth-aachen.de/debian"]),
    ("gnu", &["https://ftp.gnu.org/gnu", "https://mirrors.kernel.org/gnu"]),
    ("cpan", &["https://www.cpan.org", "https://mirrors.kernel.org/CPAN"]),
];

/// Reads the clients' settings below `root` (`/` but in tests) and of the user. `hashed` are the places that have files
/// by their hash.
pub fn mirrors_of_user(around: &Surroundings, root: &Path, hashed: Vec<String>) -> Mirrors {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let own = apt(around, root).into_iter().map(|place| ("debian", place));
    let further = [("pypi", pip(around, root)), ("npm", npm(around, root)), ("crates", cargo(around))];
    let further = further.into_iter().filter_map(|(name, place)| Some((name, place?)));
    let public = PUBLIC.iter().flat_map(|(name, all)| all.iter().map(|place| (*name, (*place).to_owned())));
    for (name, place) in own.chain(further).chain(public) {
        let place = place.trim_end_matches('/').to_owned();
        let known = places.entry(name.to_owned()).or_default();
        if !place.is_empty() && !known.contains(&place) {
            known.push(place);
        }
    }
    Mirrors { places, hashed }
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The archives that apt fetches packages from, security archives left out: they hold no pinned files.
fn apt(around: &Surroundings, root: &Path) -> Vec<String> {
    let folder = root.join("etc/apt");
    let mut files = vec![folder.join("sources.list")];
    if let Ok(entries) = std::fs::read_dir(folder.join("sources.list.d")) {
        let mut parts: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        parts.sort();
        files.extend(parts);
    }
    files.extend(around.path("APT_SOURCES_LIST"));
    let mut places = Vec::new();
    for file in files {
        let text = read(&file).unwrap_or_default();
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => places.extend(text.lines().filter_map(apt_line)),
            Some("sources") => places.extend(text.split("\n\n").flat_map(apt_stanza)),
            _ => {}
        }
    }
    places
        .retain(|place| (place.starts_with("http://") || place.starts_with("https://")) && !place.contains("security"));
    places
}

/// `deb [options] URI suite components`.
fn apt_line(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("deb")?.trim_start_matches("-src");
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let rest = if rest.starts_with('[') { rest.split_once(']')?.1 } else { rest };
    let mut words = rest.split_whitespace();
    let (place, suite) = (words.next()?, words.next()?);
    (!suite.contains("security")).then(|| place.to_owned())
}

/// A deb822 stanza with a field `URIs`.
fn apt_stanza(stanza: &str) -> Vec<String> {
    let field = |name: &str| {
        let mut found = String::new();
        let mut inside = false;
        for line in stanza.lines().filter(|line| !line.starts_with('#')) {
            if !line.starts_with([' ', '\t']) {
                inside = line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
            }
            if inside {
                found.push(' ');
                found
                    .push_str(line.split_once(':').filter(|_| !line.starts_with([' ', '\t'])).map_or(line, |(_, v)| v));
            }
        }
        found
    };
    if field("Enabled").trim() == "no" || field("Suites").contains("security") {
        return Vec::new();
    }
    field("URIs").split_whitespace().map(str::to_owned).collect()
}

/// A value of an ini file: `key = value`, in any section.
fn ini(text: &str, key: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim().trim_matches('"').to_owned())
}

fn pip(around: &Surroundings, root: &Path) -> Option<String> {
    let index = around.text("PIP_INDEX_URL").map(str::to_owned).or_else(|| {
        let home = around.home();
        let user = around.path("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
        [around.path("PIP_CONFIG_FILE"), Some(user.join("pip/pip.conf")), Some(home.join(".pip/pip.conf"))]
            .into_iter()
            .flatten()
            .chain([root.join("etc/pip.conf")])
            .find_map(|path| ini(&read(&path)?, "index-url"))
    })?;
    // The files lie beside the index on every mirror that keeps PyPI's layout.
    Some(index.trim_end_matches('/').trim_end_matches("/simple").to_owned())
}

fn npm(around: &Surroundings, root: &Path) -> Option<String> {
    let named = ["npm_config_registry", "NPM_CONFIG_REGISTRY"].into_iter().find_map(|name| around.text(name));
    named.map(str::to_owned).or_else(|| {
        [
            around.home().join(".npmrc"),
            root.join("etc/npmrc"),
            root.join("usr/local/etc/npmrc"),
            root.join("usr/etc/npmrc"),
        ]
        .iter()
        .find_map(|path| ini(&read(path)?, "registry"))
    })
}

fn cargo(around: &Surroundings) -> Option<String> {
    let home = around.path("CARGO_HOME").unwrap_or_else(|| around.home().join(".cargo"));
    let text = read(&home.join("config.toml")).or_else(|| read(&home.join("config")))?;
    let table: toml::Table = text.parse().ok()?;
    let sources = table.get("source")?.as_table()?;
    let replacement = sources.get("crates-io")?.get("replace-with")?.as_str()?;
    let registry = sources.get(replacement)?.get("registry")?.as_str()?;
    Some(registry.trim_start_matches("sparse+").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(files: &[(&str, &str)]) -> (tempfile::TempDir, Surroundings) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut around = Surroundings { user: 1000, ..Surroundings::default() };
        around.variables.insert("HOME".into(), folder.path().join("home").into());
        (folder, around)
    }

    #[test]
    fn the_users_own_places_come_first() {
        let (root, around) = written(&[
            (
                "etc/apt/sources.list",
                "# deb http://no/debian x\ndeb [arch=amd64 signed-by=/k] http://one/debian/ bookworm main\n\
                 deb http://sec/debian-security bookworm-security main\ndeb cdrom:[x]/ y\n",
            ),
            (
                "etc/apt/sources.list.d/a.sources",
                "Types: deb\nURIs: https://two/debian\n https://three/debian\nSuites: bookworm\n\n\
                 Types: deb\nURIs: https://four/debian-security\nSuites: bookworm-security\n",
            ),
            ("home/.npmrc", "registry=https://five/npm/\n"),
            ("etc/pip.conf", "[global]\nindex-url = https://six/root/simple/\n"),
            (
                "home/.cargo/config.toml",
                "[source.crates-io]\nreplace-with = 'm'\n[source.m]\nregistry = 'sparse+https://seven/index/'\n",
            ),
        ]);
        let mirrors = mirrors_of_user(&around, root.path(), Vec::new());
        let debian = &mirrors.places["debian"];
        assert_eq!(debian[..3], ["http://one/debian", "https://two/debian", "https://three/debian"]);
        assert_eq!(debian[3], "https://mirrors.kernel.org/debian");
        assert_eq!(mirrors.places["npm"], ["https://five/npm"]);
        assert_eq!(mirrors.places["pypi"], ["https://six/root"]);
        assert_eq!(mirrors.places["crates"], ["https://seven/index"]);
    }
}
