//! `nix-env` on what is installed: installing, upgrading, removing, saying things of packages.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use evaluator::{Evaluator, Origin, compare_versions, split_name};
use session::user_environment::{Element, EnvironmentError, Selector, Selectors, compare_priorities, default_set};
use store::{BuildMode, Profile, Store as _};
use store_model::OutputName;

use super::Args;
use super::environment::Environments;
use crate::command::{CommandError, CommandResult};
use crate::output::build::{Opened, store_error};

fn environments<'a>(opened: &'a Opened<'a>, args: &Args, profile: Profile) -> Result<Environments<'a>, CommandError> {
    let mode = if args.repair { BuildMode::Repair } else { BuildMode::Normal };
    Ok(Environments { mode, ..Environments::open(opened, &args.evaluation, profile)? })
}

fn keeps_derivations(opened: &Opened<'_>) -> bool {
    opened.session.settings.flag("keep-env-derivations")
}

/// Packages that the arguments name, by what was said of their kind.
fn sources(environments: &mut Environments<'_>, args: &Args, newest: bool) -> Result<Vec<Element>, CommandError> {
    let words = &args.arguments;
    let opened = environments.opened;
    if let Some(profile) = &args.from_profile {
        let all = environments.installed_in(&std::path::absolute(profile)?)?;
        return choose(environments, words, &all, newest);
    }
    let by_kind = args.from_expression || args.attr;
    if !by_kind && words.first().is_some_and(|word| word.contains('/')) {
        return words.iter().map(|word| of_store(opened, word)).collect();
    }
    let root = expression(environments, args)?;
    if !by_kind {
        let all = available(environments, args, &root, "")?;
        return choose(environments, words, &all, newest);
    }
    let here = crate::input::evaluation::here()?;
    let mut elements = Vec::new();
    for word in words {
        let found = if args.attr {
            environments.evaluation.select(&root, word)?
        } else {
            environments.evaluation.run(|evaluator| {
                let function = evaluator.eval_text(word.as_bytes(), &here, Origin::String)?;
                evaluator.call(&function, &[&root])
            })?
        };
        let found = environments
            .evaluation
            .with_arguments(|evaluator, arguments| evaluator.list_packages(&found, "", arguments, true))?;
        elements.extend(found.into_iter().map(Element::of_expression));
    }
    Ok(elements)
}

/// The value that packages come from.
pub fn expression(environments: &mut Environments<'_>, args: &Args) -> Result<evaluator::Rooted, CommandError> {
    let opened = environments.opened;
    let path = match &args.file {
        Some(file) if file == "-" => return environments.evaluation.file(file),
        Some(file) => {
            let path = environments.evaluation.locate(file)?;
            std::os::unix::ffi::OsStringExt::from_vec(path)
        }
        None => opened.session.default_expression().into_os_string(),
    };
    environments.ask(|evaluator| default_set(&opened.session, opened.activity(), evaluator, path.as_ref()))
}

/// All packages below an attribute path of that value, for the systems wanted.
pub fn available(
    environments: &mut Environments<'_>,
    args: &Args,
    root: &evaluator::Rooted,
    below: &str,
) -> Result<Vec<Element>, CommandError> {
    let value = environments.evaluation.select(root, below)?;
    let found = environments
        .evaluation
        .with_arguments(|evaluator, arguments| evaluator.list_packages(&value, below, arguments, true))?;
    let mut elements: Vec<Element> = found.into_iter().map(Element::of_expression).collect();
    if args.system_filter != "*" {
        let mut kept = Vec::new();
        for element in elements {
            if environments.ask(|evaluator| element.system(evaluator))? == args.system_filter {
                kept.push(element);
            }
        }
        elements = kept;
    }
    Ok(elements)
}

/// The packages that words choose among others.
pub fn choose(
    environments: &mut Environments<'_>,
    words: &[String],
    all: &[Element],
    newest: bool,
) -> Result<Vec<Element>, CommandError> {
    let opened = environments.opened;
    let system = opened.session.settings.system();
    environments.ask(|evaluator| Selectors::new(words)?.choose(opened.activity(), evaluator, &system, all, newest))
}

/// A store path, or the result of a derivation.
fn of_store(opened: &Opened<'_>, word: &str) -> Result<Element, CommandError> {
    let path = opened.session.store_path(word)?;
    if !path.is_derivation() {
        return Ok(Element::of_store(path, None));
    }
    let outputs = opened.store()?.derivation_outputs(opened.activity(), &path).map_err(store_error)?;
    let out = outputs.get(&OutputName::from("out")).cloned().flatten();
    let out = out.ok_or_else(|| {
        CommandError::failed(format!("derivation '{}' does not have an output named 'out'", opened.show(&path)))
    })?;
    Ok(Element::of_store(out, Some(path)))
}

/// Whether a package needs no building.
fn is_prebuilt(environments: &mut Environments<'_>, element: &Element) -> Result<bool, CommandError> {
    let path = environments.ask(|evaluator| element.path(evaluator))?;
    let opened = environments.opened;
    let valid = opened.store()?.valid_paths(opened.activity(), std::slice::from_ref(&path)).map_err(store_error)?;
    Ok(!valid.is_empty())
}

/// `-i`.
pub fn install(opened: &Opened<'_>, args: &Args, profile: Profile) -> CommandResult {
    let priority = match &args.priority {
        None => None,
        Some(text) => match text.parse::<i32>() {
            Ok(number) => Some(number),
            Err(_) => return Err(CommandError::usage("'--priority' requires an integer argument")),
        },
    };
    let mut environments = environments(opened, args, profile)?;
    let mut new = sources(&mut environments, args, true)?;
    if args.prebuilt_only {
        let mut kept = Vec::new();
        for element in new {
            if is_prebuilt(&mut environments, &element)? {
                kept.push(element);
            }
        }
        new = kept;
    }
    for element in &mut new {
        if let Some(name) = &args.force_name {
            element.set_name(name);
        }
        if let Some(priority) = priority {
            element.set_flag(&mut environments.evaluation.evaluator, "priority", &priority.to_string());
        }
    }
    loop {
        let seen = environments.profile.target();
        let mut all = new.clone();
        if !args.remove_all {
            all.extend(kept_beside(&mut environments, &new, args.preserve_installed)?);
            for element in &new {
                environments.say(&format!("installing '{}'", element.name()));
            }
        }
        environments.plan(&new)?;
        if args.dry_run || environments.create(&all, keeps_derivations(opened), &seen)? {
            return Ok(0);
        }
    }
}

/// What is installed and stays when new packages come: names that they have too are replaced.
fn kept_beside(
    environments: &mut Environments<'_>,
    new: &[Element],
    preserve: bool,
) -> Result<Vec<Element>, CommandError> {
    let names: BTreeSet<&str> = new.iter().map(|element| split_name(element.name()).0).collect();
    let mut kept = Vec::new();
    for element in environments.installed()? {
        let same = !preserve && names.contains(split_name(element.name()).0);
        if same && !environments.ask(|evaluator| element.is_kept(evaluator))? {
            environments.say(&format!("replacing old '{}'", element.name()));
        } else {
            kept.push(element);
        }
    }
    Ok(kept)
}

/// `-e`.
pub fn uninstall(opened: &Opened<'_>, args: &Args, profile: Profile) -> CommandResult {
    let mut environments = environments(opened, args, profile)?;
    remove(&mut environments, &args.arguments, args.dry_run)?;
    Ok(0)
}

/// Removes what the words mean: patterns of names, or store paths.
pub fn remove(environments: &mut Environments<'_>, words: &[String], dry_run: bool) -> Result<(), CommandError> {
    let opened = environments.opened;
    loop {
        let seen = environments.profile.target();
        let mut left = environments.installed()?;
        for word in words {
            let gone = if word.contains('/') {
                let path = opened.session.store_path(word)?;
                environments.ask(|evaluator| partition(&mut left, |element| Ok(element.path(evaluator)? == path)))?
            } else {
                environments.ask(|_| {
                    let selector = Selector::new(word)?;
                    partition(&mut left, |element| selector.matches(element.name()))
                })?
            };
            if gone.is_empty() {
                opened.surface.warn(&format!("selector '{word}' matched no installed derivations"));
            }
            for element in gone {
                environments.say(&format!("uninstalling '{}'", element.name()));
            }
        }
        if dry_run || environments.create(&left, keeps_derivations(opened), &seen)? {
            return Ok(());
        }
    }
}

/// Takes out what `goes`. What stays may change its order, as in C++ Nix, so that both make the same environment: the first
/// one that goes changes places with the last one that stays, and so on inwards.
fn partition(
    elements: &mut Vec<Element>,
    goes: impl FnMut(&Element) -> Result<bool, EnvironmentError>,
) -> Result<Vec<Element>, EnvironmentError> {
    let mut gone = elements.iter().map(goes).collect::<Result<Vec<_>, _>>()?;
    let (mut first, mut last) = (0, elements.len());
    loop {
        while first < last && !gone[first] {
            first += 1;
        }
        while first < last && gone[last - 1] {
            last -= 1;
        }
        if first >= last {
            return Ok(elements.split_off(first));
        }
        elements.swap(first, last - 1);
        gone.swap(first, last - 1);
    }
}

/// `-u`.
pub fn upgrade(opened: &Opened<'_>, args: &Args, profile: Profile) -> CommandResult {
    let mut environments = environments(opened, args, profile)?;
    loop {
        let seen = environments.profile.target();
        let installed = environments.installed()?;
        let available = sources(&mut environments, args, false)?;
        let mut new = Vec::new();
        for element in installed {
            let doing = format!("while trying to find an upgrade for '{}'", element.name());
            let mut better =
                environments.ask_about(|| doing, |evaluator| candidates(evaluator, args, &element, &available))?;
            if args.prebuilt_only {
                let mut kept = Vec::new();
                for candidate in better {
                    if is_prebuilt(&mut environments, candidate)? {
                        kept.push(candidate);
                    }
                }
                better = kept;
            }
            let best = environments.ask(|evaluator| best(evaluator, &better))?;
            new.push(match best {
                Some(best) if !same_path(&mut environments, &element, best)? => {
                    let (before, after) = (split_name(element.name()).1, split_name(best.name()).1);
                    let action = match compare_versions(before, after) {
                        Ordering::Greater => "downgrading",
                        _ => "upgrading",
                    };
                    environments.say(&format!("{action} '{}' to '{}'", element.name(), best.name()));
                    best.clone()
                }
                _ => element,
            });
        }
        environments.plan(&new)?;
        if args.dry_run || environments.create(&new, keeps_derivations(opened), &seen)? {
            return Ok(0);
        }
    }
}

fn same_path(environments: &mut Environments<'_>, one: &Element, other: &Element) -> Result<bool, CommandError> {
    environments.ask(|evaluator| Ok(one.path(evaluator)? == other.path(evaluator)?))
}

/// The available packages that may take an installed one's place: of the same name, of a version that is wanted, and not
/// of less priority.
fn candidates<'e>(
    evaluator: &mut Evaluator,
    args: &Args,
    element: &Element,
    available: &'e [Element],
) -> Result<Vec<&'e Element>, EnvironmentError> {
    let mut found = Vec::new();
    if element.is_kept(evaluator)? {
        return Ok(found);
    }
    let (name, version) = split_name(element.name());
    for candidate in available {
        if compare_priorities(evaluator, element, candidate)?.is_gt() {
            continue;
        }
        let (other, newer) = split_name(candidate.name());
        let order = compare_versions(version, newer);
        let wanted = match args {
            Args { always: true, .. } => true,
            Args { eq: true, .. } => order.is_eq(),
            Args { leq: true, .. } => order.is_le(),
            _ => order.is_lt(),
        };
        if other == name && wanted {
            found.push(candidate);
        }
    }
    Ok(found)
}

/// The first of those that no other goes before, by priority, then version.
fn best<'e>(evaluator: &mut Evaluator, candidates: &[&'e Element]) -> Result<Option<&'e Element>, EnvironmentError> {
    let mut best: Option<&Element> = None;
    for candidate in candidates {
        let better = match best {
            None => true,
            Some(best) => {
                let order = compare_priorities(evaluator, best, candidate)?;
                let versions = || compare_versions(split_name(best.name()).1, split_name(candidate.name()).1);
                order.then_with(versions).is_lt()
            }
        };
        if better {
            best = Some(candidate);
        }
    }
    Ok(best)
}

/// `--set`.
pub fn set(opened: &Opened<'_>, args: &Args, profile: Profile) -> CommandResult {
    let mut environments = environments(opened, args, profile)?;
    let elements = sources(&mut environments, args, true)?;
    let [element] = elements.as_slice() else {
        return Err(CommandError::failed("--set requires exactly one derivation"));
    };
    environments.plan(&elements)?;
    if args.dry_run {
        return Ok(0);
    }
    environments.build(&elements)?;
    let path = environments.ask(|evaluator| element.path(evaluator))?;
    let store = opened.store()?;
    environments.profile.set(opened.activity(), &store, &path, None).map_err(store_error)?;
    Ok(0)
}

/// `--set-flag`.
pub fn set_flag(opened: &Opened<'_>, args: &Args, profile: Profile) -> CommandResult {
    let [name, value, words @ ..] = args.arguments.as_slice() else {
        return Err(CommandError::usage("not enough arguments to '--set-flag'"));
    };
    let mut environments = environments(opened, args, profile)?;
    loop {
        let seen = environments.profile.target();
        let mut elements = environments.installed()?;
        environments.ask(|evaluator| {
            let mut selectors = Selectors::new(words)?;
            for element in &mut elements {
                if selectors.any_matches(element.name())? {
                    let text = format!("setting flag on '{}'", element.name());
                    opened.activity().message(activity::Verbosity::Info, &text);
                    element.set_flag(evaluator, name, value);
                }
            }
            selectors.check_use()
        })?;
        if environments.create(&elements, keeps_derivations(opened), &seen)? {
            return Ok(0);
        }
    }
}
