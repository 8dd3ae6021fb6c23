//! What `nix-build` and `nix-instantiate` do to attributes of files and expressions: find derivations, or print values.
//!
//! Each attribute asked for is a part of the question, to be answered on its own; where none is, each attribute of the
//! set that the only file gives.

use std::sync::Arc;

use evaluator::{Evaluator, Met, Package, Rooted};
use session::Session;
use session::remembered::{Answer, Found, Start, Step, Work};

use super::evaluation::{Evaluation, EvaluationArgs};
use crate::command::CommandError;
use crate::output::value::{Form, value_text};

/// What is wanted of the attributes.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// The derivations in them.
    Derivations,
    /// Their texts.
    Values {
        /// How they look.
        form: Form,
        /// Everything inside is evaluated first.
        strict: bool,
    },
}

/// Takes an answer: the number of the source it belongs to, and the answer.
pub type Show<'a> = dyn FnMut(usize, Answer) -> Result<(), CommandError> + 'a;

/// Attributes of files or expressions.
pub struct Attributes<'a> {
    session: &'a Arc<Session>,
    args: &'a EvaluationArgs,
    /// Files, or expressions; `-` is standard input in both cases.
    sources: &'a [String],
    expr: bool,
    attributes: &'a [String],
    wanted: Wanted,
    show: &'a mut Show<'a>,
    /// What an answer names is written before it is shown.
    pub flushing: bool,
    evaluation: Option<Evaluation>,
    roots: Vec<Option<Rooted>>,
    walk: Option<Walk>,
}

/// The attributes of one set, each in two passes: first all derivations are met, then looked at.
struct Walk {
    set: Rooted,
    names: Vec<String>,
    met: Vec<Vec<Met>>,
}

impl<'a> Attributes<'a> {
    /// These attributes of these sources.
    pub fn new(
        session: &'a Arc<Session>,
        args: &'a EvaluationArgs,
        (sources, expr): (&'a [String], bool),
        attributes: &'a [String],
        wanted: Wanted,
        show: &'a mut Show<'a>,
    ) -> Self {
        let roots = vec![None; sources.len()];
        Self {
            session,
            args,
            sources,
            expr,
            attributes,
            wanted,
            show,
            flushing: true,
            evaluation: None,
            roots,
            walk: None,
        }
    }

    /// Writes what evaluation left pending.
    pub fn flush(&self) -> Result<(), CommandError> {
        self.evaluation.as_ref().map_or(Ok(()), Evaluation::flush)
    }

    /// Whether each part's answer is the same when it is evaluated without the others.
    pub fn is_separable(&self) -> bool {
        // The values of later sources are kept between parts.
        let whole = match self.wanted {
            Wanted::Derivations => true,
            Wanted::Values { form, strict } => form.is_whole(strict),
        };
        whole && self.sources.len() == 1
    }

    fn evaluation(&mut self) -> Result<&mut Evaluation, CommandError> {
        self.evaluation.as_mut().ok_or_else(|| CommandError::failed("evaluation has not begun"))
    }

    fn root(&mut self, at: usize) -> Result<Rooted, CommandError> {
        if let Some(root) = &self.roots[at] {
            return Ok(root.clone());
        }
        let (source, expr) = (&self.sources[at], self.expr);
        let evaluation = self.evaluation()?;
        let root = if expr && source != "-" { evaluation.text(source)? } else { evaluation.file(source)? };
        self.roots[at] = Some(root.clone());
        Ok(root)
    }

    fn attribute(&self, at: usize) -> &str {
        self.attributes.get(at).map_or("", String::as_str)
    }

    fn walk(&mut self, pass: usize, part: usize) -> Result<Step, CommandError> {
        let Some(walk) = &mut self.walk else { return Ok(Step::default()) };
        let Some(evaluation) = &mut self.evaluation else { return Ok(Step::default()) };
        if pass == 0 {
            walk.met[part] = evaluation.with_arguments(|evaluator, arguments| {
                evaluator.walk_attribute(&walk.set, &walk.names[part], arguments)
            })?;
            return Ok(Step::default());
        }
        let met = &walk.met[part];
        let packages: Result<Vec<Package>, CommandError> =
            met.iter().map(|one| evaluation.run(|evaluator| evaluator.package(one))).collect();
        let identities = met.iter().map(|one| one.identity).collect();
        Ok(Step { answer: Some(derivations(packages?)), identities })
    }
}

fn derivations(packages: Vec<Package>) -> Answer {
    let found = packages.into_iter().map(|package| Found {
        drv_path: package.drv_path,
        output_name: package.output_name,
        outputs: Vec::new(),
        main_program: None,
    });
    Answer::Derivations(found.collect())
}

impl Work for Attributes<'_> {
    type Error = CommandError;

    fn begin(&mut self, start: Start) -> Result<Vec<String>, CommandError> {
        self.evaluation = Some(Evaluation::start(start, self.session, self.args, true)?);
        if self.sources.is_empty() {
            return Ok(Vec::new());
        }
        let root = self.root(0)?;
        if let (Wanted::Derivations, [_], []) = (self.wanted, self.sources, self.attributes) {
            let names =
                self.evaluation()?.with_arguments(|evaluator, arguments| evaluator.walk_names(&root, arguments))?;
            if let Some((set, names)) = names {
                let met = names.iter().map(|_| Vec::new()).collect();
                self.walk = Some(Walk { set, names: names.clone(), met });
                return Ok(names);
            }
        }
        let attributes = self.attributes.len().max(1);
        let parts = 0..self.sources.len() * attributes;
        Ok(parts.map(|part| format!("{} {}", part / attributes, self.attribute(part % attributes))).collect())
    }

    fn passes(&self) -> usize {
        if self.walk.is_some() { 2 } else { 1 }
    }

    fn step(&mut self, pass: usize, part: usize) -> Result<Step, CommandError> {
        if self.walk.is_some() {
            return self.walk(pass, part);
        }
        let attributes = self.attributes.len().max(1);
        let root = self.root(part / attributes)?;
        let attribute = self.attribute(part % attributes).to_owned();
        let wanted = self.wanted;
        let evaluation = self.evaluation()?;
        let value = evaluation.select(&root, &attribute)?;
        let value = evaluation.run(|evaluator| evaluator.force(&value))?;
        let answer = match wanted {
            Wanted::Derivations => derivations(
                evaluation.with_arguments(|evaluator, arguments| evaluator.walk_derivations(&value, arguments))?,
            ),
            Wanted::Values { form, strict } => {
                let value = if evaluation.arguments.is_empty() { value } else { evaluation.auto_call(&value)? };
                Answer::Text(value_text(evaluation, &value, form, strict)?)
            }
        };
        Ok(Step { answer: Some(answer), identities: Vec::new() })
    }

    fn evaluator(&mut self) -> Option<&mut Evaluator> {
        self.evaluation.as_mut().map(|evaluation| &mut evaluation.evaluator)
    }

    fn show(&mut self, part: usize, answer: Answer) -> Result<(), CommandError> {
        if self.flushing {
            self.flush()?;
        }
        let source = if self.sources.len() > 1 { part / self.attributes.len().max(1) } else { 0 };
        (self.show)(source, answer)
    }
}
