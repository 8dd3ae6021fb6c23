//! `nix edit`: the file that a package is described in, in the user's editor.

use std::ffi::OsString;

use clap::Parser;
use evaluator::{Rooted, with_large_stack};
use session::Session;

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, Words, open, parse};
use crate::input::evaluation::Evaluation;
use crate::input::installable::InstallableArgs;
use crate::output::build::Opened;

/// Open the file that a package is described in with $EDITOR
///
/// The place is what the package says as `meta.position`, else that of its attribute `name`.
#[derive(Parser, Debug)]
#[command(name = "nix edit")]
struct Args {
    #[command(flatten)]
    installables: InstallableArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// The attribute path
    attribute: Option<String>,
}

/// Editors that go to a line when they are told `+LINE`.
const WITH_LINES: &[&str] = &["emacs", "nano", "vim", "kak", "vi", "nvim", "hx", "micro", "joe", "mg"];

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let opened = Opened { surface, session: open(surface, &words.given, &words.args.common)? };
    let (file, line) = with_large_stack(|| place(&opened, &words))?;
    let command = editor(&opened.session, &file, line);
    // Where the store is shown at another place it must be there.
    opened.source()?;
    surface.progress.close();
    let variables = std::env::vars_os().collect();
    Err(opened.session.become_program(&command[0], &command[1..], &variables).into())
}

/// The user's editor on a line of a file; on the file alone if the line is 0.
pub fn editor(session: &Session, file: &str, line: u64) -> Vec<OsString> {
    let editor = session.settings.around.text("EDITOR").filter(|text| !text.trim().is_empty()).unwrap_or("cat");
    let mut command: Vec<OsString> = editor.split_ascii_whitespace().map(OsString::from).collect();
    let name = editor.split_ascii_whitespace().next().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
    if line > 0 && WITH_LINES.iter().any(|known| name.contains(known)) {
        command.push(format!("+{line}").into());
    }
    command.push(file.into());
    command
}

fn place(opened: &Opened<'_>, words: &Words<Args>) -> Result<(String, u64), CommandError> {
    let args = &words.args;
    let how = args.installables.evaluation(&opened.session.settings)?;
    let mut evaluation = Evaluation::open(opened.surface, &opened.session, &how)?;
    let root = args.installables.root(&mut evaluation)?;
    let path = args.attribute.as_deref().unwrap_or_default();
    let package = evaluation.select(&root, path)?;
    let package = evaluation.auto_call(&package)?;
    place_of(&mut evaluation, &package, path)
}

/// File and line of a package; 0 if the line is not known. `what` names it in errors.
pub fn place_of(evaluation: &mut Evaluation, package: &Rooted, what: &str) -> Result<(String, u64), CommandError> {
    if let Some(meta) = evaluation.run(|evaluator| evaluator.attr(package, "meta"))?
        && let Some(position) = evaluation.run(|evaluator| evaluator.attr(&meta, "position"))?
    {
        let (text, _) = evaluation.run(|evaluator| evaluator.string(&position, true))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let parsed = text.rsplit_once(':').and_then(|(file, line)| Some((file.to_owned(), line.parse().ok()?)));
        let malformed = || CommandError::failed(format!("cannot parse 'meta.position' attribute '{text}'"));
        return parsed.ok_or_else(malformed);
    }
    // Where there is no such place, asking for it is an error of evaluation.
    let found = place_of_name(evaluation, package).ok().flatten();
    found.ok_or_else(|| CommandError::failed(format!("cannot find position information for '{what}'")))
}

/// Where the attribute `name` was written.
fn place_of_name(evaluation: &mut Evaluation, package: &Rooted) -> Result<Option<(String, u64)>, CommandError> {
    let function = evaluation.text("package: builtins.unsafeGetAttrPos \"name\" package")?;
    let found = evaluation.run(|evaluator| evaluator.call(&function, &[package]))?;
    let file = evaluation.run(|evaluator| evaluator.attr(&found, "file"))?;
    let line = evaluation.run(|evaluator| evaluator.attr(&found, "line"))?;
    let (Some(file), Some(line)) = (file, line) else { return Ok(None) };
    let file = evaluation.run(|evaluator| evaluator.string(&file, false))?.0;
    let line = evaluation.run(|evaluator| evaluator.print_plain(&line))?;
    let line = String::from_utf8_lossy(&line).parse().unwrap_or(0);
    Ok(Some((String::from_utf8_lossy(&file).into_owned(), line)))
}
