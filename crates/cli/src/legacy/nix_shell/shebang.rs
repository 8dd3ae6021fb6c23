//! `nix-shell` as the interpreter of a script: its options stand in the script's lines `#! nix-shell …`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use session::shell::quoted;

use crate::command::CommandError;

/// A script that names us as its interpreter.
pub struct Shebang {
    /// The script.
    pub script: PathBuf,
    /// The words of its lines.
    pub words: Vec<OsString>,
    /// What it was called with.
    pub arguments: Vec<OsString>,
}

impl Shebang {
    /// Whether the first word is a script rather than an argument of ours: a file that begins with `#!`.
    ///
    /// # Errors
    /// A quote in its lines that is not closed.
    pub fn of(words: &[OsString]) -> Result<Option<Self>, CommandError> {
        let Some((script, arguments)) = words.split_first() else { return Ok(None) };
        let Ok(bytes) = std::fs::read(script) else { return Ok(None) };
        if !bytes.starts_with(b"#!") {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&bytes);
        let mut found = Vec::new();
        for line in text.lines().skip(1) {
            let Some(rest) = line.strip_prefix("#!") else { continue };
            let Some(rest) = rest.trim_start().strip_prefix("nix-shell") else { continue };
            if rest.starts_with(char::is_whitespace) {
                found.extend(shell_words(rest)?.into_iter().map(OsString::from));
            }
        }
        let script = PathBuf::from(script);
        Ok(Some(Self { script, words: found, arguments: arguments.to_vec() }))
    }

    /// What makes bash become the script's interpreter.
    pub fn command(&self, interpreter: &str) -> Vec<u8> {
        // perl runs what a shebang names unless that is called perl, or its own name is not.
        let name = if interpreter.contains("perl") { "-a PERL " } else { "" };
        // ruby looks for its name in the shebang and skips everything before.
        let load = if interpreter.contains("ruby") { "-e 'load(ARGV.shift)' -- " } else { "" };
        let mut command = format!("exec {name}{interpreter} {load}").into_bytes();
        command.extend(quoted(self.script.as_os_str()));
        for argument in &self.arguments {
            command.push(b' ');
            command.extend(quoted(argument));
        }
        command
    }

    /// The folder that names in the script are relative to.
    pub fn folder(&self) -> Result<PathBuf, CommandError> {
        let script = std::path::absolute(&self.script)?;
        Ok(script.parent().unwrap_or(Path::new("/")).to_owned())
    }
}

/// The words of a line, as a shell would take it apart: quotes of both kinds, backslashes.
fn shell_words(line: &str) -> Result<Vec<String>, CommandError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            (letter, None) if letter.is_whitespace() => words.extend(word.take()),
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (letter, Some(open)) if letter == open => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(letters.next()),
            (letter, _) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(CommandError::failed("unterminated quote in shebang line"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_as_a_shell_takes_them() {
        let words = |line: &str| shell_words(line).map_err(|_| ());
        assert_eq!(words(r#" -i  'a "b'c "d\"e" f\ g ''"#).unwrap(), ["-i", "a \"bc", "d\"e", "f g", ""]);
        assert!(words("-p 'x").is_err());
    }

    #[test]
    fn interpreters_are_not_told_their_names() {
        let shebang = Shebang { script: "/s".into(), words: Vec::new(), arguments: vec!["a b".into()] };
        let command = |interpreter| String::from_utf8(shebang.command(interpreter)).unwrap();
        assert_eq!(command("python3 -u"), "exec python3 -u '/s' 'a b'");
        assert_eq!(command("perl"), "exec -a PERL perl '/s' 'a b'");
        assert_eq!(command("ruby"), "exec ruby -e 'load(ARGV.shift)' -- '/s' 'a b'");
    }
}
