//! `nix-store --query`.

use std::collections::BTreeSet;

use store::{BuildMode, GarbageCollector as _, Store as _};
use store_model::{DerivedPath, StorePath};

use super::{Args, draw};
use crate::command::{CommandError, CommandResult};
use crate::output::build::{Opened, store_error};

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    Outputs,
    Requisites,
    References,
    Referrers,
    ReferrersClosure,
    Deriver,
    ValidDerivers,
    Binding,
    Hash,
    Size,
    Tree,
    Graph,
    GraphMl,
    Resolve,
    Roots,
}

fn question(args: &Args) -> Result<Question, CommandError> {
    let asked = [
        (args.outputs, Question::Outputs),
        (args.requisites, Question::Requisites),
        (args.references, Question::References),
        (args.referrers, Question::Referrers),
        (args.referrers_closure, Question::ReferrersClosure),
        (args.deriver, Question::Deriver),
        (args.valid_derivers, Question::ValidDerivers),
        (args.binding.is_some(), Question::Binding),
        (args.hash, Question::Hash),
        (args.size, Question::Size),
        (args.tree, Question::Tree),
        (args.graph, Question::Graph),
        (args.graphml, Question::GraphMl),
        (args.resolve, Question::Resolve),
        (args.roots, Question::Roots),
    ];
    let mut chosen = asked.into_iter().filter(|(given, _)| *given).map(|(_, question)| question);
    let first = chosen.next().unwrap_or(Question::Outputs);
    match chosen.next() {
        Some(_) => Err(CommandError::usage("only one kind of query may be given")),
        None => Ok(first),
    }
}

/// Answers the query.
pub fn run(opened: &Opened<'_>, args: &Args) -> CommandResult {
    let question = question(args)?;
    let paths =
        args.arguments.iter().map(|text| opened.session.store_path(text)).collect::<Result<Vec<StorePath>, _>>()?;
    let used = |use_output: bool| -> Result<Vec<StorePath>, CommandError> {
        let mut used = Vec::new();
        for path in &paths {
            used.extend(outputs_or_self(opened, args, path, use_output)?);
        }
        Ok(used)
    };
    match question {
        Question::Outputs => print(opened, used(true)?),
        Question::Resolve => print(opened, paths),
        Question::Requisites | Question::References | Question::Referrers | Question::ReferrersClosure => {
            let found = related(opened, args, question, &used(args.use_output)?)?;
            print(opened, opened.references_first(&found)?);
        }
        Question::Deriver => {
            for path in &paths {
                let deriver = opened.info(path)?.deriver;
                let text = deriver.map_or_else(|| "unknown-deriver".to_owned(), |drv| opened.show(&drv));
                opened.surface.line(&text);
            }
        }
        Question::ValidDerivers => {
            let store = opened.store()?;
            let mut found = BTreeSet::new();
            for path in &paths {
                found.extend(store.valid_derivers(opened.activity(), path).map_err(store_error)?);
            }
            print(opened, opened.references_first(&found)?);
        }
        Question::Binding => bindings(opened, args.binding.as_deref().unwrap_or_default(), &paths)?,
        Question::Hash | Question::Size => {
            for path in used(args.use_output)? {
                let info = opened.info(&path)?;
                let text = match question {
                    Question::Hash => format!("sha256:{}", info.nar_hash.to_nix32()),
                    _ => info.nar_size.to_string(),
                };
                opened.surface.line(&text);
            }
        }
        Question::Tree => draw::tree(opened, &paths)?,
        Question::Graph => draw::graph(opened, used(args.use_output)?)?,
        Question::GraphMl => draw::graph_ml(opened, used(args.use_output)?)?,
        Question::Roots => {
            let store = opened.store()?;
            let targets = store.referrers_closure(opened.activity(), &used(args.use_output)?).map_err(store_error)?;
            for (target, links) in store.find_roots(opened.activity(), false).map_err(store_error)? {
                if targets.contains(&target) {
                    for link in links {
                        opened.surface.line(&format!("{} -> {}", link.display(), opened.show(&target)));
                    }
                }
            }
        }
    }
    Ok(0)
}

fn print(opened: &Opened<'_>, paths: impl IntoIterator<Item = StorePath>) {
    let mut text = String::new();
    for path in paths {
        text.push_str(&opened.show(&path));
        text.push('\n');
    }
    opened.surface.print(text.as_bytes());
}

fn outputs_or_self(
    opened: &Opened<'_>,
    args: &Args,
    path: &StorePath,
    use_output: bool,
) -> Result<BTreeSet<StorePath>, CommandError> {
    if args.force_realise {
        let wanted = match path.is_derivation() {
            true => DerivedPath::all_outputs(path.clone()),
            false => DerivedPath::Opaque(path.clone()),
        };
        opened.build(&[wanted], BuildMode::Normal)?;
    }
    if !(use_output && path.is_derivation()) {
        return Ok(BTreeSet::from([path.clone()]));
    }
    let store = opened.store()?;
    let outputs = store.derivation_outputs(opened.activity(), path).map_err(store_error)?;
    let known = outputs.into_iter().map(|(_, output)| {
        output.ok_or_else(|| {
            CommandError::usage(
                "Cannot use output path of floating content-addressing derivation until we know what it is (e.g. by building it)",
            )
        })
    });
    known.collect()
}

fn related(
    opened: &Opened<'_>,
    args: &Args,
    question: Question,
    paths: &[StorePath],
) -> Result<BTreeSet<StorePath>, CommandError> {
    let store = opened.store()?;
    let activity = opened.activity();
    let mut found = BTreeSet::new();
    match question {
        Question::Requisites => {
            found = store.closure(activity, paths).map_err(store_error)?;
            if args.include_outputs {
                let mut outputs = Vec::new();
                for drv in found.iter().filter(|path| path.is_derivation()) {
                    outputs.extend(
                        store
                            .derivation_outputs(activity, drv)
                            .map_err(store_error)?
                            .into_iter()
                            .filter_map(|(_, path)| path),
                    );
                }
                let valid: Vec<StorePath> =
                    store.valid_paths(activity, &outputs).map_err(store_error)?.into_iter().collect();
                found.extend(store.closure(activity, &valid).map_err(store_error)?);
            }
        }
        Question::ReferrersClosure => found = store.referrers_closure(activity, paths).map_err(store_error)?,
        Question::Referrers => {
            for path in paths {
                found.extend(store.referrers(activity, path).map_err(store_error)?);
            }
        }
        _ => {
            for path in paths {
                found.extend(opened.info(path)?.references);
            }
        }
    }
    Ok(found)
}

fn bindings(opened: &Opened<'_>, name: &str, paths: &[StorePath]) -> Result<(), CommandError> {
    let store = opened.store()?;
    for path in paths {
        let drv = if path.is_derivation() { Some(path.clone()) } else { opened.info(path)?.deriver };
        let drv =
            drv.ok_or_else(|| CommandError::failed(format!("deriver of path '{}' is not known", opened.show(path))))?;
        let derivation = store.read_derivation(opened.activity(), &drv).map_err(store_error)?;
        let value = derivation.env_var(name).ok_or_else(|| {
            let shown = opened.show(&drv);
            CommandError::failed(format!("derivation '{shown}' has no environment binding named '{name}'"))
        })?;
        opened.surface.print(&[value, b"\n"].concat());
    }
    Ok(())
}
