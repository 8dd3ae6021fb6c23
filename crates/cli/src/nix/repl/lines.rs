//! Lines as they are typed: edited, completed and remembered on a terminal, read as they are otherwise.

use std::cell::RefCell;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use std::rc::Rc;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Editor, Helper};

use super::scope::Scope;
use crate::command::CommandError;

/// What stands before a line, and before one that goes on.
const PROMPTS: [&str; 2] = ["nix-repl> ", "          "];
/// More completions than this help nobody.
const MOST_COMPLETIONS: usize = 2000;

/// A line.
pub(super) struct Line {
    /// What was typed.
    pub(super) text: String,
    /// The user wants to begin anew.
    pub(super) interrupted: bool,
}

/// Where lines come from.
pub(super) enum Lines {
    /// A terminal.
    Edited(Box<Editor<Names, FileHistory>>, PathBuf),
    /// Something else.
    Plain,
}

impl Lines {
    /// Opens standard input; `history` is where lines are kept.
    pub(super) fn open(scope: Rc<RefCell<Scope>>, history: PathBuf) -> Result<Lines, CommandError> {
        if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            return Ok(Lines::Plain);
        }
        let mut editor = Editor::new().map_err(|error| CommandError::failed(error.to_string()))?;
        editor.set_helper(Some(Names(scope)));
        // There is none the first time.
        let _ = editor.load_history(&history);
        Ok(Lines::Edited(Box::new(editor), history))
    }

    /// The next line; `None` at the end.
    pub(super) fn read(&mut self, goes_on: bool) -> Result<Option<Line>, CommandError> {
        match self {
            Lines::Plain => {
                let mut text = String::new();
                let read = std::io::stdin().lock().read_line(&mut text)?;
                let text = text.trim_end_matches('\n').to_owned();
                Ok((read > 0).then_some(Line { text, interrupted: false }))
            }
            Lines::Edited(editor, history) => match editor.readline(PROMPTS[usize::from(goes_on)]) {
                Ok(text) => {
                    // Who cannot keep a history goes without.
                    let _ = editor.add_history_entry(text.as_str());
                    let _ = history.parent().map(std::fs::create_dir_all);
                    let _ = editor.append_history(history);
                    Ok(Some(Line { text, interrupted: false }))
                }
                Err(ReadlineError::Interrupted) => Ok(Some(Line { text: String::new(), interrupted: true })),
                Err(ReadlineError::Eof) => Ok(None),
                Err(error) => Err(CommandError::failed(error.to_string())),
            },
        }
    }
}

/// Completes variables, attributes and paths.
pub(super) struct Names(Rc<RefCell<Scope>>);

impl Completer for Names {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let start = line[..at].rfind([' ', '\t', '(', ')', '{', '}', '[', ']']).map_or(0, |before| before + 1);
        let mut found = self.0.borrow_mut().complete(&line[start..at]);
        found.truncate(MOST_COMPLETIONS);
        Ok((start, found))
    }
}

impl Hinter for Names {
    type Hint = String;
}

impl Highlighter for Names {}
impl Validator for Names {}
impl Helper for Names {}
