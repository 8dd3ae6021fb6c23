//! What can be typed: expressions, definitions, and commands that begin with a colon.

use std::cell::{RefCell, RefMut};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use activity::Verbosity;
use evaluator::{PrintOptions, Rooted, ValueKind, push_name};
use store::BuildMode;
use store_model::{DerivedPath, OutputsSpec, SingleDerivedPath, StorePath};

use super::scope::{Loaded, Scope, Typed};
use crate::command::CommandError;
use crate::input::evaluation::EvaluationArgs;
use crate::input::installable::InstallableArgs;
use crate::nix::edit::{editor, place_of};
use crate::output::build::Opened;

const HELP: &str = "\
The following commands are available:

  <expr>                       Evaluate and print expression
  <x> = <expr>                 Bind expression to variable
  :a, :add <expr>              Add attributes from resulting set to scope
  :b <expr>                    Build a derivation
  :bl <expr>                   The same, with links in the working directory that
                               keep the results
  :doc <expr>                  Show what a builtin does
  :e, :edit <expr>             Open a package, or the file of a path, in $EDITOR
  :i <expr>                    Build a derivation and install it
  :l, :load <path>             Load a file and add its attributes to scope
  :ll, :last-loaded            Show the names that were added last
  :log <expr>                  Show the log of a derivation's build
  :p, :print <expr>            Evaluate and print with everything inside; a string
                               as it is
  :q, :quit                    Exit
  :r, :reload                  Load all files anew
  :sh <expr>                   A shell with what a derivation is built with
  :t <expr>                    Say what kind of value an expression has
  :te, :trace-enable [bool]    Show traces of errors, or do not
  :u <expr>                    A shell with a package
  :?, :help                    Show this
";

/// How many names are shown of what was loaded.
const MOST_NAMES: usize = 20;

/// A value as it is shown: one level of it.
const SHOWN: PrintOptions = PrintOptions { max_depth: 1, indent: 2, fail: false, ..PrintOptions::EVAL };
/// A value with all that is in it.
const WHOLE: PrintOptions = PrintOptions { indent: 2, fail: false, ..PrintOptions::EVAL };

/// What comes after a line.
pub(super) enum Next {
    /// Another one.
    Done,
    /// The rest of it.
    More,
    /// The end.
    Quit,
}

/// A conversation.
pub(super) struct Repl<'a> {
    opened: &'a Opened<'a>,
    installables: &'a InstallableArgs,
    how: EvaluationArgs,
    loaded: Vec<Loaded>,
    scope: Rc<RefCell<Scope>>,
}

impl<'a> Repl<'a> {
    /// Loads what is to be loaded first.
    pub(super) fn open(
        opened: &'a Opened<'a>,
        installables: &'a InstallableArgs,
        how: EvaluationArgs,
        loaded: Vec<Loaded>,
    ) -> Result<Repl<'a>, CommandError> {
        let scope = Rc::new(RefCell::new(Scope::open(opened, &how)?));
        let mut repl = Repl { opened, installables, how, loaded: Vec::new(), scope };
        for what in loaded {
            repl.load(what, true)?;
        }
        Ok(repl)
    }

    /// The variables, for who completes their names.
    pub(super) fn scope(&self) -> Rc<RefCell<Scope>> {
        Rc::clone(&self.scope)
    }

    fn own(&self) -> RefMut<'_, Scope> {
        self.scope.borrow_mut()
    }

    fn notice(&self, text: &str) {
        self.opened.activity().message(Verbosity::Notice, text);
    }

    /// Does what a line says.
    pub(super) fn take(&mut self, line: &str) -> Result<Next, CommandError> {
        let line = line.trim();
        if line.is_empty() {
            return Ok(Next::Done);
        }
        if line.starts_with(':') {
            let (command, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            return self.command(command, argument.trim());
        }
        let typed = self.own().understand(line)?;
        match typed {
            Typed::Unfinished => return Ok(Next::More),
            Typed::Bindings(set) => self.own().add(&set)?,
            Typed::Expression(value) => self.print(&value, SHOWN)?,
        }
        Ok(Next::Done)
    }

    fn print(&self, value: &Rooted, options: PrintOptions) -> Result<(), CommandError> {
        let text = {
            let evaluation = &mut self.own().evaluation;
            let value = evaluation.run(|evaluator| evaluator.force(value))?;
            let text = evaluation.run(|evaluator| evaluator.print(&value, options))?;
            // A path that is shown is there.
            evaluation.flush()?;
            text
        };
        self.opened.surface.print(&[text.as_slice(), b"\n"].concat());
        Ok(())
    }

    fn command(&mut self, command: &str, argument: &str) -> Result<Next, CommandError> {
        let surface = self.opened.surface;
        match command {
            ":?" | ":help" => surface.print(HELP.as_bytes()),
            ":q" | ":quit" => return Ok(Next::Quit),
            ":a" | ":add" => {
                let set = self.own().value(argument)?;
                self.add_loaded(&set)?;
            }
            ":l" | ":load" => {
                let what = Loaded::File(argument.to_owned());
                self.own().evaluation.evaluator.forget_files();
                self.load(what, false)?;
            }
            ":r" | ":reload" => self.reload()?,
            ":ll" | ":last-loaded" => {
                let names = self.own().last_loaded()?;
                names.iter().for_each(|name| surface.line(name));
            }
            ":p" | ":print" => {
                let value = self.own().value(argument)?;
                let is_string = self.own().evaluation.run(|evaluator| evaluator.kind(&value))? == ValueKind::String;
                if is_string {
                    let text = self.own().evaluation.run(|evaluator| evaluator.string(&value, false))?.0;
                    surface.print(&[text.as_slice(), b"\n"].concat());
                } else {
                    self.print(&value, WHOLE)?;
                }
            }
            ":t" => {
                let value = self.own().value(argument)?;
                let text = self.own().evaluation.run(|evaluator| evaluator.describe(&value))?;
                surface.line(&text);
            }
            ":doc" => self.describe(argument)?,
            ":te" | ":trace-enable" => self.trace(command, argument)?,
            ":e" | ":edit" => self.edit(argument)?,
            ":b" | ":bl" => self.build(argument, command == ":bl")?,
            ":log" => {
                let drv = self.derivation(argument)?;
                let shown = self.opened.show(&drv);
                let log = self.opened.build_log(&drv)?;
                let log =
                    log.ok_or_else(|| CommandError::failed(format!("build log of '{shown}' is not available")))?;
                surface.print(&log);
            }
            ":i" => self.run_program("nix-env", &["-i"], argument)?,
            ":sh" => self.run_program("nix-shell", &[], argument)?,
            ":u" => {
                let shell = format!(
                    "(drv: (import <nixpkgs> {{ }}).runCommand \"shell\" {{ buildInputs = [ drv ]; }} \"\") ({argument})"
                );
                self.run_program("nix-shell", &[], &shell)?;
            }
            _ => return Err(CommandError::failed(format!("unknown command '{command}'")).hint("`:?` lists them.")),
        }
        Ok(Next::Done)
    }

    /// Loads something, and remembers it for the next time.
    fn load(&mut self, what: Loaded, says: bool) -> Result<(), CommandError> {
        if says {
            self.notice(&match &what {
                Loaded::File(file) => format!("Loading '{file}'..."),
                Loaded::Installable(path) => format!("Loading installable '{path}'..."),
            });
        }
        let installables = self.installables;
        let set = self.own().load(&what, installables)?;
        self.loaded.retain(|other| *other != what);
        self.loaded.push(what);
        self.add_loaded(&set)
    }

    fn add_loaded(&mut self, set: &Rooted) -> Result<(), CommandError> {
        let names = self.own().add_loaded(set)?;
        self.notice(&format!("Added {} variables.", names.len()));
        let shown = names.iter().take(MOST_NAMES).map(|name| {
            let mut text = Vec::new();
            push_name(&mut text, name.as_bytes());
            String::from_utf8_lossy(&text).into_owned()
        });
        self.notice(&shown.collect::<Vec<_>>().join(", "));
        if names.len() > MOST_NAMES {
            self.notice(&format!("... and {} more; view with :ll", names.len() - MOST_NAMES));
        }
        Ok(())
    }

    fn reload(&mut self) -> Result<(), CommandError> {
        let fresh = Scope::open(self.opened, &self.how)?;
        *self.own() = fresh;
        for what in std::mem::take(&mut self.loaded) {
            self.load(what, true)?;
        }
        Ok(())
    }

    fn describe(&mut self, argument: &str) -> Result<(), CommandError> {
        let value = self.own().value(argument)?;
        let found = self.own().evaluation.run(|evaluator| evaluator.builtin(&value))?;
        let (name, arity, text) = found.ok_or_else(|| CommandError::failed("value does not have documentation"))?;
        let arguments = if arity == 1 { "1 argument".to_owned() } else { format!("{arity} arguments") };
        self.opened.surface.line(&format!("builtins.{name} ({arguments})\n\n{}", text.trim()));
        Ok(())
    }

    fn trace(&mut self, command: &str, argument: &str) -> Result<(), CommandError> {
        let shows = match argument {
            "true" => true,
            "false" => false,
            "" => !self.own().evaluation.shows_trace(),
            other => return Err(CommandError::failed(format!("unexpected argument '{other}' to {command}"))),
        };
        self.own().evaluation.show_trace(shows);
        self.opened.surface.line(if shows { "showing error traces" } else { "not showing error traces" });
        Ok(())
    }

    fn edit(&mut self, argument: &str) -> Result<(), CommandError> {
        let (file, line) = {
            let mut scope = self.own();
            let value = scope.value(argument)?;
            let evaluation = &mut scope.evaluation;
            match evaluation.run(|evaluator| evaluator.kind(&value))? {
                ValueKind::Path(path) => (String::from_utf8_lossy(&path).into_owned(), 0),
                ValueKind::String => {
                    let text = evaluation.run(|evaluator| evaluator.string(&value, false))?.0;
                    (String::from_utf8_lossy(&text).into_owned(), 0)
                }
                _ => place_of(evaluation, &value, argument)?,
            }
        };
        let command = editor(&self.opened.session, &file, line);
        run(&command[0], &command[1..])?;
        self.reload()
    }

    /// The derivation that an expression means, in the store.
    fn derivation(&mut self, argument: &str) -> Result<StorePath, CommandError> {
        let mut scope = self.own();
        let value = scope.value(argument)?;
        let package = scope.evaluation.run(|evaluator| evaluator.derivation_of(&value))?;
        let none = || CommandError::failed("expression does not evaluate to a derivation, so I can't build it");
        let package = package.ok_or_else(none)?;
        scope.evaluation.flush()?;
        Ok(package.drv_path)
    }

    fn build(&mut self, argument: &str, keep: bool) -> Result<(), CommandError> {
        let drv = self.derivation(argument)?;
        let wanted = DerivedPath::Built { drv: SingleDerivedPath::Opaque(drv), outputs: OutputsSpec::All };
        self.opened.build(std::slice::from_ref(&wanted), BuildMode::Normal)?;
        let surface = self.opened.surface;
        surface.line("\nThis derivation produced the following outputs:");
        for (name, path) in self.opened.outputs(&wanted)? {
            let shown = self.opened.show(&path);
            if keep {
                let link = format!("repl-result-{name}");
                self.opened.link(&path, Path::new(&link))?;
                surface.line(&format!("  ./{link} -> {shown}"));
            } else {
                surface.line(&format!("  {name} -> {shown}"));
            }
        }
        Ok(())
    }

    /// One of our programs on a derivation.
    fn run_program(&mut self, program: &str, options: &[&str], argument: &str) -> Result<(), CommandError> {
        let drv = self.derivation(argument)?;
        let mut words: Vec<OsString> = vec![program.into()];
        words.extend(options.iter().map(OsString::from));
        words.extend(["--store".into(), self.opened.session.settings.text("store").into()]);
        words.push(self.opened.show(&drv).into());
        run("/proc/self/exe".as_ref(), &words)
    }
}

/// Runs a program on the terminal, to its end.
fn run(program: &std::ffi::OsStr, words: &[OsString]) -> Result<(), CommandError> {
    let shown = program.display();
    let ended = Command::new(program).args(words).status();
    let ended = ended.map_err(|error| CommandError::failed(format!("unable to execute '{shown}': {error}")))?;
    match ended.success() {
        true => Ok(()),
        false => Err(CommandError::failed(format!("program '{shown}' failed with {ended}"))),
    }
}
