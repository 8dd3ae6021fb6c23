//! What `nix-shell` asks of evaluation: the derivation whose environment is wanted, and bash. Both are remembered.

use std::path::Path;
use std::sync::Arc;

use activity::Verbosity;
use evaluator::{Evaluator, Origin, Rooted, ValueKind};
use session::Session;
use session::remembered::{Answer, Found, Start, Step, Work};

use crate::command::{CommandError, Surface};
use crate::input::evaluation::{Evaluation, EvaluationArgs};

/// Where the derivation comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A text, with the folder that relative paths in it start from.
    Text(String, String),
    /// A file, as users name it.
    File(String),
}

/// The question.
pub struct Shells<'a> {
    /// Where the command prints.
    pub surface: &'a Surface,
    /// The opened Nix.
    pub session: &'a Arc<Session>,
    /// What evaluation is told.
    pub args: &'a EvaluationArgs,
    /// Files and expressions.
    pub sources: &'a [Source],
    /// Attribute paths in each; at least the empty one.
    pub attributes: &'a [String],
    /// Whether bash is to be found too.
    pub bash: bool,
    /// Derivations found, those of bash apart.
    pub found: Vec<Found>,
    /// The derivation of bash.
    pub found_bash: Option<Found>,
    /// The evaluation, once begun.
    pub evaluation: Option<Evaluation>,
    /// The values of the sources.
    pub roots: Vec<Option<Rooted>>,
}

const BASH: &[u8] = b"(import <nixpkgs> {}).bashInteractive";

/// Whether a function asks to be told that it is called for a shell.
const TAKES_IN_NIX_SHELL: &[u8] =
    b"value: builtins.isFunction value && builtins.hasAttr \"inNixShell\" (builtins.functionArgs value)";

impl Shells<'_> {
    fn parts(&self) -> usize {
        self.sources.len() * self.attributes.len()
    }

    fn evaluation(&mut self) -> Result<&mut Evaluation, CommandError> {
        self.evaluation.as_mut().ok_or_else(|| CommandError::failed("evaluation has not begun"))
    }

    fn root(&mut self, at: usize) -> Result<Rooted, CommandError> {
        if let Some(root) = &self.roots[at] {
            return Ok(root.clone());
        }
        let always = self.session.settings.flag("nix-shell-always-looks-for-shell-nix");
        let (source, surface) = (self.sources[at].clone(), self.surface);
        let evaluation = self.evaluation()?;
        let root = match &source {
            Source::Text(text, folder) => {
                evaluation.run(|evaluator| evaluator.eval_text(text.as_bytes(), folder.as_bytes(), Origin::String))?
            }
            Source::File(file) if file == "-" => evaluation.file(file)?,
            Source::File(file) => {
                let file = shell_file(surface, evaluation, file, always)?;
                evaluation.file(&file)?
            }
        };
        self.roots[at] = Some(root.clone());
        Ok(root)
    }

    /// The arguments for a value: `inNixShell` among them if it is a function that takes it.
    fn arguments(&mut self, value: &Rooted) -> Result<Vec<(String, Rooted)>, CommandError> {
        let evaluation = self.evaluation()?;
        let mut arguments = evaluation.arguments.clone();
        let told = evaluation.run(|evaluator| {
            let function = evaluator.eval_text(TAKES_IN_NIX_SHELL, b"/", Origin::String)?;
            let answer = evaluator.call(&function, &[value])?;
            if evaluator.kind(&answer)? != ValueKind::Bool(true) {
                return Ok(None);
            }
            evaluator.eval_text(b"true", b"/", Origin::String).map(Some)
        })?;
        if let Some(told) = told
            && !arguments.iter().any(|(name, _)| name == "inNixShell")
        {
            arguments.push(("inNixShell".to_owned(), told));
        }
        Ok(arguments)
    }

    fn derivations(&mut self, part: usize) -> Result<Vec<Found>, CommandError> {
        let root = self.root(part / self.attributes.len())?;
        let attribute = self.attributes[part % self.attributes.len()].clone();
        let arguments = self.arguments(&root)?;
        let evaluation = self.evaluation()?;
        let value = evaluation.run(|evaluator| {
            let value = evaluator.select_path(&root, &attribute, &arguments)?;
            evaluator.force(&value)
        })?;
        let arguments = self.arguments(&value)?;
        let packages = self.evaluation()?.run(|evaluator| evaluator.walk_derivations(&value, &arguments))?;
        let found = packages.into_iter().map(|package| Found {
            drv_path: package.drv_path,
            output_name: package.output_name,
            outputs: Vec::new(),
            main_program: None,
        });
        Ok(found.collect())
    }

    /// Bash of the package set; nothing, after its error was told, if there is none.
    fn bash(&mut self) -> Result<Vec<Found>, CommandError> {
        let surface = self.surface;
        let evaluation = self.evaluation()?;
        let package = evaluation.run(|evaluator| {
            let value = evaluator.eval_text(BASH, b"/", Origin::String)?;
            evaluator.derivation_of(&value)
        });
        let text = match package {
            Ok(Some(package)) => {
                let (drv_path, outputs) = (package.drv_path, vec!["out".to_owned()]);
                return Ok(vec![Found { drv_path, output_name: package.output_name, outputs, main_program: None }]);
            }
            Ok(None) => {
                "error: the 'bashInteractive' attribute in <nixpkgs> did not evaluate to a derivation".to_owned()
            }
            Err(CommandError::Evaluation { text, .. } | CommandError::EvaluationUsage(text)) => text,
            Err(error) => return Err(error),
        };
        surface.activity.message(Verbosity::Error, text.trim_end_matches('\n'));
        Ok(Vec::new())
    }
}

/// The file that a name means: in a folder `shell.nix`, else `default.nix`.
fn shell_file(
    surface: &Surface,
    evaluation: &mut Evaluation,
    name: &str,
    always: bool,
) -> Result<String, CommandError> {
    let path = evaluation.locate(name)?;
    let path = String::from_utf8(path)
        .map_err(|error| CommandError::failed(format!("'{}' is no text", String::from_utf8_lossy(error.as_bytes()))))?;
    if path.ends_with(".nix") {
        return Ok(path);
    }
    // Asked of the evaluator, which remembers what the answer depends on.
    let mut exists = |file: &str| {
        let text = format!("builtins.pathExists (/. + {})", nix_string(&format!("{path}/{file}")));
        evaluation.run(|evaluator| {
            let value = evaluator.eval_text(text.as_bytes(), b"/", Origin::String)?;
            Ok(evaluator.kind(&value)? == ValueKind::Bool(true))
        })
    };
    if exists("shell.nix")? {
        if always {
            return Ok(format!("{path}/shell.nix"));
        }
        let setting = "nix-shell-always-looks-for-shell-nix";
        surface.warn(&format!(
            "Skipping '{path}/shell.nix', because the setting '{setting}' is disabled. This is a deprecated behavior. Consider enabling '{setting}'."
        ));
    }
    if exists("default.nix")? {
        return Ok(format!("{path}/default.nix"));
    }
    if Path::new(&path).is_dir() {
        return Err(CommandError::failed(format!("neither 'shell.nix' nor 'default.nix' found in '{path}'")));
    }
    Ok(path)
}

/// A string literal of the language.
fn nix_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "\\${"))
}

impl Work for Shells<'_> {
    type Error = CommandError;

    fn begin(&mut self, start: Start) -> Result<Vec<String>, CommandError> {
        self.evaluation = Some(Evaluation::start(start, self.session, self.args, true)?);
        let mut names: Vec<String> = (0..self.parts()).map(|part| part.to_string()).collect();
        if self.bash {
            names.push("bash".to_owned());
        }
        Ok(names)
    }

    fn step(&mut self, _: usize, part: usize) -> Result<Step, CommandError> {
        let found = if part == self.parts() { self.bash()? } else { self.derivations(part)? };
        Ok(Step { answer: Some(Answer::Derivations(found)), identities: Vec::new() })
    }

    fn evaluator(&mut self) -> Option<&mut Evaluator> {
        self.evaluation.as_mut().map(|evaluation| &mut evaluation.evaluator)
    }

    fn show(&mut self, part: usize, answer: Answer) -> Result<(), CommandError> {
        let Answer::Derivations(found) = answer else { return Ok(()) };
        if part < self.parts() {
            self.found.extend(found);
            return Ok(());
        }
        self.found_bash = found.into_iter().next();
        if self.found_bash.is_none() {
            self.surface.activity.message(Verbosity::Notice, "uses bash from your environment");
        }
        Ok(())
    }
}
