//! The environment of a derivation's build in a user's shell, as `nix-shell` gives it: variables, the files that some of
//! them name, and what bash is told at its start. Pure; `development.rs` captures
//! what a build's own setup makes, `roots.rs` keeps what a shell uses from being collected.
//!
//! Absent: evaluating, building, and becoming the shell (`cli`).

pub mod development;
mod roots;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use store_model::derivation::DerivationOptions;
use store_model::{Derivation, StoreDir};

use crate::error::SessionError;

/// Variables.
pub type Variables = BTreeMap<OsString, OsString>;

/// What a pure shell keeps of the user's environment.
const KEPT: &[&str] = &[
    "HOME",
    "XDG_RUNTIME_DIR",
    "USER",
    "LOGNAME",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "WAYLAND_SOCKET",
    "PATH",
    "TERM",
    "IN_NIX_SHELL",
    "NIX_SHELL_PRESERVE_PROMPT",
    "TZ",
    "PAGER",
    "NIX_BUILD_SHELL",
    "SHLVL",
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// What is left of the user's environment in a pure shell; `more` are kept too.
pub fn pure(mut variables: Variables, more: &[String]) -> Variables {
    let kept: BTreeSet<&OsStr> = KEPT.iter().copied().chain(more.iter().map(String::as_str)).map(OsStr::new).collect();
    variables.retain(|name, _| kept.contains(name.as_os_str()));
    // NixOS: /etc/bashrc would read /etc/profile, which sets everything anew.
    variables.insert("__ETC_PROFILE_SOURCED".into(), "1".into());
    variables
}

/// A derivation's environment over the user's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// The variables.
    pub variables: Variables,
    /// Files in the shell's folder: names and contents.
    pub files: Vec<(String, Vec<u8>)>,
    /// Structured attributes as bash declares them.
    pub declarations: Vec<u8>,
}

/// Lays a derivation's environment over `variables`; `folder` is the shell's own, `cores` how many a build may use.
///
/// # Errors
/// Attributes that are malformed.
pub fn environment(
    store_dir: &StoreDir,
    derivation: &Derivation,
    mut variables: Variables,
    folder: &Path,
    cores: usize,
) -> Result<Environment, SessionError> {
    let mut set = |name: &str, value: &OsStr| drop(variables.insert(name.into(), value.to_owned()));
    for name in ["NIX_BUILD_TOP", "TMPDIR", "TEMPDIR", "TMP", "TEMP"] {
        set(name, folder.as_os_str());
    }
    set("NIX_STORE", store_dir.as_str().as_ref());
    set("NIX_BUILD_CORES", cores.to_string().as_ref());
    let options = DerivationOptions::of(store_dir, derivation)?;
    let mut files = Vec::new();
    for (name, value) in &derivation.env {
        let as_file = std::str::from_utf8(name).is_ok_and(|name| options.pass_as_file.contains(name));
        let (name, value) = match as_file {
            false => (name.clone(), value.clone()),
            true => {
                let file = format!(".attr-{}", files.len());
                let path = folder.join(&file);
                files.push((file, value.clone()));
                ([name.as_slice(), b"Path"].concat(), path.into_os_string().into_vec())
            }
        };
        variables.insert(OsString::from_vec(name), OsString::from_vec(value));
    }
    let mut declarations = Vec::new();
    if let Some(structured) = builder::structured_attributes(store_dir, derivation)? {
        for (variable, name, contents) in [
            ("NIX_ATTRS_JSON_FILE", ".attrs.json", structured.json),
            ("NIX_ATTRS_SH_FILE", ".attrs.sh", structured.shell.clone()),
        ] {
            variables.insert(variable.into(), folder.join(name).into_os_string());
            files.push((name.to_owned(), contents));
        }
        declarations = structured.shell;
    }
    Ok(Environment { variables, files, declarations })
}

/// What bash is told at its start.
#[derive(Clone, Debug)]
pub struct Script<'a> {
    /// The shell's own folder, removed at its end.
    pub folder: &'a Path,
    /// Bash itself: a path, or a name to be found.
    pub shell: &'a OsStr,
    /// Nothing of the user's.
    pub pure: bool,
    /// The prompt is that of root.
    pub root: bool,
    /// The user's time zone, which builds unset.
    pub time_zone: Option<&'a OsStr>,
    /// See [`Environment::declarations`].
    pub declarations: &'a [u8],
    /// What is run then; nothing for a shell to type in.
    pub command: &'a [u8],
}

impl Script<'_> {
    /// The text.
    pub fn text(&self) -> Vec<u8> {
        // A pure shell may have no `rm` on its search path.
        let folder = quoted(self.folder.as_os_str());
        let mut text = b"_nix_shell_clean_up() { { command rm -rf -- ".to_vec();
        text.extend_from_slice(&folder);
        text.extend_from_slice(b" || command -p rm -rf -- ");
        text.extend_from_slice(&folder);
        // The hooks are those of a standard environment, which has a trap of its own.
        text.extend_from_slice(
            b"; } 2>/dev/null; }\ntrap _nix_shell_clean_up EXIT\nexitHooks+=(_nix_shell_clean_up)\nfailureHooks+=(_nix_shell_clean_up)\n",
        );
        if !self.pure {
            text.extend_from_slice(b"[ -n \"$PS1\" ] && [ -e ~/.bashrc ] && source ~/.bashrc\n_nix_shell_path=$PATH\n");
        }
        text.extend_from_slice(b"unset PATH\ndontAddDisableDepTrack=1\n");
        text.extend_from_slice(self.declarations);
        text.extend_from_slice(b"\n[ -e $stdenv/setup ] && source $stdenv/setup\n");
        if !self.pure {
            text.extend_from_slice(b"PATH=$PATH:$_nix_shell_path\nunset _nix_shell_path\n");
        }
        let shell = quoted(self.shell);
        let folder = Path::new(self.shell).parent().map(PathBuf::from).unwrap_or_default();
        for (name, value) in [(&b"PATH"[..], [&quoted(folder.as_os_str()), &b":\"$PATH\""[..]].concat())]
            .into_iter()
            .chain([(&b"SHELL"[..], shell.clone()), (b"BASH", shell)])
        {
            text.extend_from_slice(&[name, b"=", &value, b"\n"].concat());
        }
        let colour = if self.root { "31" } else { "32" };
        text.extend_from_slice(b"set +e\n");
        let prompt = format!("PS1='\\n\\[\\033[1;{colour}m\\][nix-shell:\\w]\\$\\[\\033[0m\\] '\n");
        text.extend_from_slice(b"[ -n \"$PS1\" -a -z \"$NIX_SHELL_PRESERVE_PROMPT\" ] && ");
        text.extend_from_slice(prompt.as_bytes());
        text.extend_from_slice(b"if [ \"$(type -t runHook)\" = function ]; then runHook shellHook; fi\n");
        text.extend_from_slice(b"unset NIX_ENFORCE_PURITY\nshopt -u nullglob\nunset TZ\n");
        if let Some(zone) = self.time_zone {
            text.extend_from_slice(&[b"export TZ=", quoted(zone).as_slice(), b"\n"].concat());
        }
        text.extend_from_slice(b"shopt -s execfail\n");
        text.extend_from_slice(self.command);
        text.push(b'\n');
        text
    }
}

/// A word of the shell.
pub fn quoted(text: &OsStr) -> Vec<u8> {
    let mut word = vec![b'\''];
    for byte in text.as_bytes() {
        match byte {
            b'\'' => word.extend_from_slice(b"'\\''"),
            byte => word.push(*byte),
        }
    }
    word.push(b'\'');
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derivation(env: &[(&str, &str)]) -> Derivation {
        let env = env.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
        Derivation { name: "x".into(), env, ..Derivation::default() }
    }

    #[test]
    fn the_derivation_stands_over_the_user() {
        let user =
            Variables::from([("A".into(), "user".into()), ("HOME".into(), "/h".into()), ("B".into(), "b".into())]);
        let store = StoreDir::new("/nix/store").unwrap();
        let drv = derivation(&[("A", "drv"), ("passAsFile", "big"), ("big", "contents")]);
        let made = environment(&store, &drv, pure(user, &["B".into()]), Path::new("/t"), 3).unwrap();
        let get = |name: &str| made.variables.get(OsStr::new(name)).and_then(|value| value.to_str());
        assert_eq!((get("A"), get("HOME"), get("B")), (Some("drv"), Some("/h"), Some("b")));
        assert_eq!((get("bigPath"), get("big"), get("NIX_BUILD_CORES")), (Some("/t/.attr-0"), None, Some("3")));
        assert_eq!(made.files, [(".attr-0".to_owned(), b"contents".to_vec())]);
        assert!(pure(Variables::from([("A".into(), "x".into())]), &[]).keys().eq(["__ETC_PROFILE_SOURCED"]));
    }

    #[test]
    fn words_of_the_shell() {
        assert_eq!(quoted(OsStr::new("a'b $c")), b"'a'\\''b $c'");
    }
}
