//! `nix-env -q`: packages as a table, as JSON or as XML.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io::IsTerminal as _;

use activity::Verbosity;
use evaluator::{Evaluator, Rooted, ValueKind, compare_versions, split_name};
use serde_json::{Map, Value, json};
use session::user_environment::{Element, EnvironmentError};
use store::{ErrorClass, Profile, Store as _};
use store_model::StorePath;

use super::Args;
use super::environment::Environments;
use super::install::{available, choose, expression};
use super::xml::Xml;
use crate::command::{CommandError, CommandResult};
use crate::output::build::{Opened, store_error};

/// Lists packages.
pub fn query(opened: &Opened<'_>, args: &Args, profile: Profile) -> CommandResult {
    let mut environments = Environments::open(opened, &args.evaluation, profile)?;
    let from_available = args.available && !args.installed;
    let mut installed = Vec::new();
    if !from_available || args.compare_versions || args.status {
        installed = environments.installed()?;
    }
    let mut offered = Vec::new();
    if from_available || args.compare_versions {
        let root = expression(&mut environments, args)?;
        offered = available(&mut environments, args, &root, args.attr_below.as_deref().unwrap_or_default())?;
    }
    let (source, others) = if from_available { (&offered, &installed) } else { (&installed, &offered) };
    let mut elements = choose(&mut environments, &args.arguments, source, false)?;
    elements.sort_by(|one, other| upper_case(one.name()).cmp(upper_case(other.name())));
    let mut listing =
        Listing { opened, args, environments, others, installed: BTreeSet::new(), valid: BTreeSet::new() };
    if args.status {
        for element in &installed {
            let path = listing.environments.ask(|evaluator| element.path(evaluator))?;
            listing.installed.insert(path);
        }
    }
    if args.status || args.prebuilt_only {
        elements = listing.find_valid(elements)?;
    }
    if args.json {
        listing.json(&elements)?;
    } else if args.xml {
        listing.xml(&elements)?;
    } else {
        listing.table(&elements)?;
    }
    // Nobody needs the heap taken apart.
    std::mem::forget(listing);
    opened.session.close();
    Ok(0)
}

fn upper_case(name: &str) -> impl Iterator<Item = u8> + '_ {
    name.bytes().map(|byte| byte.to_ascii_uppercase())
}

/// What is said of a package: `None` where that cannot be shown.
type Meta = Vec<(String, Option<Rooted>)>;

struct Listing<'a> {
    opened: &'a Opened<'a>,
    args: &'a Args,
    environments: Environments<'a>,
    /// What versions are compared with.
    others: &'a [Element],
    installed: BTreeSet<StorePath>,
    valid: BTreeSet<StorePath>,
}

impl Listing<'_> {
    /// Asks a package for something. What fails by an assertion is passed over.
    fn ask<T>(
        &mut self,
        element: &Element,
        question: impl FnOnce(&mut Evaluator) -> Result<T, EnvironmentError>,
    ) -> Result<Option<T>, CommandError> {
        let doing = || format!("while querying the derivation named '{}'", element.name());
        let answer = self.environments.ask_about(doing, |evaluator| match question(evaluator) {
            Err(EnvironmentError::Evaluation(error)) if error.kind().is_catchable() => Ok(None),
            result => result.map(Some),
        })?;
        if answer.is_none() {
            let name = element.name();
            let text = format!("skipping derivation named '{name}' which gives an assertion failure");
            self.opened.activity().message(Verbosity::Talkative, &text);
        }
        Ok(answer)
    }

    /// Looks up which packages are in the store; gives those that can tell their path.
    fn find_valid(&mut self, elements: Vec<Element>) -> Result<Vec<Element>, CommandError> {
        let mut paths = Vec::new();
        let mut able = Vec::new();
        for element in elements {
            if let Some(path) = self.ask(&element, |evaluator| element.path(evaluator))? {
                paths.push(path);
                able.push(element);
            }
        }
        let valid = self.opened.session.store(self.opened.activity()).map_err(|error| match error {
            session::SessionError::Store(error) => error,
            other => store::Error::Profile(other.to_string()),
        });
        self.valid = match valid.and_then(|store| store.valid_paths(self.opened.activity(), &paths)) {
            Ok(valid) => valid,
            // A store that was never made has nothing.
            Err(error) if error.class() == ErrorClass::NotFound => BTreeSet::new(),
            Err(error) => return Err(store_error(error)),
        };
        if self.args.prebuilt_only {
            let is_valid: Vec<bool> = paths.iter().map(|path| self.valid.contains(path)).collect();
            let mut is_valid = is_valid.into_iter();
            able.retain(|_| is_valid.next().unwrap_or(false));
        }
        Ok(able)
    }

    fn print(&self, path: &StorePath) -> String {
        self.opened.show(path)
    }

    fn table(&mut self, elements: &[Element]) -> Result<(), CommandError> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        for element in elements {
            if let Some(row) = self.row(element)? {
                rows.push(row);
            }
        }
        let columns = rows.first().map_or(0, Vec::len);
        let widths: Vec<usize> =
            (0..columns).map(|at| rows.iter().map(|row| row[at].len()).max().unwrap_or_default()).collect();
        let mut text = String::new();
        for row in &rows {
            for (at, column) in row.iter().enumerate() {
                text.push_str(&column.replace('\n', " "));
                if at + 1 < columns {
                    text.push_str(&" ".repeat(widths[at] - column.len() + 2));
                }
            }
            text.push('\n');
        }
        self.opened.surface.print(text.as_bytes());
        Ok(())
    }

    /// The columns of a package; `None` if it fails by an assertion.
    fn row(&mut self, element: &Element) -> Result<Option<Vec<String>>, CommandError> {
        let args = self.args;
        let mut row = Vec::new();
        if args.status {
            let Some(path) = self.ask(element, |evaluator| element.path(evaluator))? else { return Ok(None) };
            let mark = |truth: bool, mark: &str| if truth { mark.to_owned() } else { "-".to_owned() };
            row.push(mark(self.installed.contains(&path), "I") + &mark(self.valid.contains(&path), "P") + "-");
        }
        if args.attr_path {
            row.push(element.attr_path.clone());
        }
        if !args.no_name {
            row.push(element.name().to_owned());
        }
        if args.compare_versions {
            let (sign, version) = self.compared(element);
            let column = format!("{sign} {version}");
            let stands_out = sign == '<' && std::io::stdout().is_terminal();
            row.push(if stands_out { format!("\x1b[31;1m{column}\x1b[0m") } else { column });
        }
        if args.system {
            let Some(system) = self.ask(element, |evaluator| element.system(evaluator))? else { return Ok(None) };
            row.push(system);
        }
        if args.drv_path {
            let Some(drv) = self.ask(element, |evaluator| element.derivation(evaluator))? else { return Ok(None) };
            row.push(drv.map_or_else(|| "-".to_owned(), |drv| self.print(&drv)));
        }
        if args.out_path {
            let Some(outputs) = self.ask(element, |evaluator| element.outputs(evaluator, true))? else {
                return Ok(None);
            };
            let shown = outputs.into_iter().filter_map(|(name, path)| {
                let path = self.print(&path?);
                Some(if name == "out" { path } else { format!("{name}={path}") })
            });
            row.push(shown.collect::<Vec<_>>().join(";"));
        }
        if args.description {
            let text = self.ask(element, |evaluator| element.meta_string(evaluator, "description"))?;
            let Some(text) = text else { return Ok(None) };
            row.push(text);
        }
        Ok(Some(row))
    }

    /// How a package's version compares with those of its name among the others: `<` if there is a newer one.
    fn compared(&self, element: &Element) -> (char, String) {
        let (name, version) = split_name(element.name());
        let (mut sign, mut best) = ('-', "?");
        for other in self.others {
            let (other, theirs) = split_name(other.name());
            if other != name {
                continue;
            }
            match compare_versions(version, theirs) {
                Ordering::Less => (sign, best) = ('<', theirs),
                Ordering::Equal if sign != '<' => (sign, best) = ('=', theirs),
                Ordering::Greater if sign != '<' && sign != '=' => {
                    sign = '>';
                    // "?" is older than anything.
                    if best.is_empty() || compare_versions(best, theirs).is_lt() {
                        best = theirs;
                    }
                }
                _ => {}
            }
        }
        (sign, best.to_owned())
    }

    fn json(&mut self, elements: &[Element]) -> Result<(), CommandError> {
        let mut all = Map::new();
        for element in elements {
            if let Some(described) = self.described(element)? {
                all.insert(element.attr_path.clone(), described);
            }
        }
        let text = serde_json::to_string_pretty(&Value::Object(all));
        let text = text.map_err(|error| CommandError::failed(error.to_string()))?;
        self.opened.surface.line(&text);
        Ok(())
    }

    fn described(&mut self, element: &Element) -> Result<Option<Value>, CommandError> {
        let args = self.args;
        let (pname, version) = split_name(element.name());
        let about = self.ask(element, |evaluator| {
            let system = element.system(evaluator)?;
            let output = element.output_name(evaluator)?;
            let outputs = element.outputs(evaluator, args.out_path)?;
            let drv = if args.drv_path { element.derivation(evaluator)? } else { None };
            Ok((system, output, outputs, drv))
        })?;
        let Some((system, output, outputs, drv)) = about else { return Ok(None) };
        let outputs: Map<String, Value> = outputs
            .into_iter()
            .map(|(name, path)| (name, path.map_or(Value::Null, |path| Value::String(self.print(&path)))))
            .collect();
        let mut described = json!({
            "name": element.name(),
            "pname": pname,
            "version": version,
            "system": system,
            "outputName": output,
            "outputs": outputs,
        });
        if let Some(drv) = drv {
            described["drvPath"] = Value::String(self.print(&drv));
        }
        if args.meta {
            let Some(meta) = self.meta(element)? else { return Ok(None) };
            let mut all = Map::new();
            for (name, value) in meta {
                let value = match value {
                    None => Value::Null,
                    Some(value) => {
                        let text = self.environments.evaluation.run(|evaluator| evaluator.to_json(&value, true))?;
                        serde_json::from_slice(&text).map_err(|error| CommandError::failed(error.to_string()))?
                    }
                };
                all.insert(name, value);
            }
            described["meta"] = Value::Object(all);
        }
        Ok(Some(described))
    }

    /// Everything said of a package; `None` for what cannot be shown, which is told.
    fn meta(&mut self, element: &Element) -> Result<Option<Meta>, CommandError> {
        let meta = self.ask(element, |evaluator| {
            let names = element.meta_names(evaluator)?;
            names.into_iter().map(|name| element.meta(evaluator, &name).map(|value| (name, value))).collect()
        })?;
        let meta: Option<Meta> = meta;
        for (name, value) in meta.iter().flatten() {
            if value.is_none() {
                let text = format!("derivation '{}' has invalid meta attribute '{name}'", element.name());
                self.opened.activity().message(Verbosity::Error, &text);
            }
        }
        Ok(meta)
    }

    fn xml(&mut self, elements: &[Element]) -> Result<(), CommandError> {
        let mut xml = Xml::new("items");
        for element in elements {
            self.item(element, &mut xml)?;
        }
        self.opened.surface.print(xml.finish().as_bytes());
        Ok(())
    }

    fn item(&mut self, element: &Element, xml: &mut Xml) -> Result<(), CommandError> {
        let args = self.args;
        let (pname, version) = split_name(element.name());
        let about = self.ask(element, |evaluator| {
            let path = if args.status { Some(element.path(evaluator)?) } else { None };
            let drv = if args.drv_path { element.derivation(evaluator)? } else { None };
            let description =
                if args.description { element.meta_string(evaluator, "description")? } else { String::new() };
            let system = element.system(evaluator)?;
            let output = element.output_name(evaluator)?;
            Ok((path, drv, description, system, output, element.outputs(evaluator, args.out_path)?))
        })?;
        let Some((path, drv, description, system, output, outputs)) = about else { return Ok(()) };
        // In byte order of names.
        let mut attributes = vec![("attrPath", element.attr_path.clone())];
        if !description.is_empty() {
            attributes.push(("description", description));
        }
        attributes.extend(drv.map(|drv| ("drvPath", self.print(&drv))));
        let truth = |truth: bool| if truth { "1" } else { "0" }.to_owned();
        if let Some(path) = &path {
            attributes.push(("installed", truth(self.installed.contains(path))));
        }
        let compared = args.compare_versions.then(|| self.compared(element)).filter(|(sign, _)| *sign != '-');
        if let Some((_, version)) = &compared {
            attributes.push(("maxComparedVersion", version.clone()));
        }
        attributes.push(("name", element.name().to_owned()));
        attributes.push(("outputName", output));
        attributes.push(("pname", pname.to_owned()));
        if path.is_some() {
            attributes.push(("substitutable", truth(false)));
        }
        if !system.is_empty() {
            attributes.push(("system", system));
        }
        if let Some(path) = &path {
            attributes.push(("valid", truth(self.valid.contains(path))));
        }
        attributes.push(("version", version.to_owned()));
        if let Some((sign, _)) = compared {
            attributes.push(("versionDiff", sign.to_string()));
        }
        xml.open("item", &attributes);
        for (name, path) in outputs {
            let mut attributes = vec![("name", name)];
            attributes.extend(path.map(|path| ("path", self.print(&path))));
            xml.empty("output", &attributes);
        }
        if args.meta {
            for (name, value) in self.meta(element)?.unwrap_or_default() {
                let Some(value) = value else { continue };
                self.environments.ask(|evaluator| meta_item(evaluator, name, &value, xml))?;
            }
        }
        xml.close();
        Ok(())
    }
}

/// One thing said of a package.
fn meta_item(evaluator: &mut Evaluator, name: String, value: &Rooted, xml: &mut Xml) -> Result<(), EnvironmentError> {
    let text = |evaluator: &mut Evaluator, value: &Rooted| -> Result<Option<String>, EnvironmentError> {
        match evaluator.kind(value)? {
            ValueKind::String => Ok(Some(String::from_utf8_lossy(&evaluator.string(value, false)?.0).into_owned())),
            _ => Ok(None),
        }
    };
    let mut scalar = |kind: &str, value: String| {
        xml.empty("meta", &[("name", name.clone()), ("type", kind.to_owned()), ("value", value)]);
    };
    match evaluator.kind(value)? {
        ValueKind::String => scalar("string", text(evaluator, value)?.unwrap_or_default()),
        ValueKind::Int(number) => scalar("int", number.to_string()),
        ValueKind::Float(_) => scalar("float", String::from_utf8_lossy(&evaluator.print_whole(value)?).into_owned()),
        ValueKind::Bool(truth) => scalar("bool", truth.to_string()),
        ValueKind::List => {
            xml.open("meta", &[("name", name), ("type", "strings".to_owned())]);
            for element in evaluator.elements(value)? {
                if let Some(text) = text(evaluator, &element)? {
                    xml.empty("string", &[("value", text)]);
                }
            }
            xml.close();
        }
        ValueKind::Attrs => {
            xml.open("meta", &[("name", name), ("type", "strings".to_owned())]);
            for key in evaluator.attr_names(value)? {
                let key = String::from_utf8_lossy(&key).into_owned();
                let Some(inner) = evaluator.attr(value, &key)? else { continue };
                if let Some(text) = text(evaluator, &inner)? {
                    xml.empty("string", &[("type", key), ("value", text)]);
                }
            }
            xml.close();
        }
        _ => {}
    }
    Ok(())
}
