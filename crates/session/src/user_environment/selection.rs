//! Which packages a user's words mean: patterns of names, each perhaps with a version.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use activity::Activity;
use evaluator::{Evaluator, NamePattern, compare_versions, split_name};

use super::{Element, EnvironmentError};

type Result<T> = std::result::Result<T, EnvironmentError>;

/// The most names that are suggested.
const MOST_SUGGESTIONS: usize = 3;

/// A word: a pattern for names, with the version where it has one.
#[derive(Debug)]
pub struct Selector {
    text: String,
    name: String,
    version: String,
    /// `None` for every name.
    pattern: Option<NamePattern>,
}

impl Selector {
    /// Takes a word apart: an extended regular expression for the whole name, or `*`; the version after a dash.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn new(text: &str) -> Result<Self> {
        let (name, version) = split_name(text);
        let pattern = match name {
            "*" => None,
            _ => Some(NamePattern::new(name).map_err(EnvironmentError::Words)?),
        };
        Ok(Self { text: text.to_owned(), name: name.to_owned(), version: version.to_owned(), pattern })
    }

    /// Whether it means a package of that name.
    ///
    /// # Errors
    /// A pattern that takes too much memory.
    pub fn matches(&self, full_name: &str) -> Result<bool> {
        let (name, version) = split_name(full_name);
        if let Some(pattern) = &self.pattern
            && !pattern.matches(name).map_err(EnvironmentError::Words)?
        {
            return Ok(false);
        }
        Ok(self.version.is_empty() || self.version == version)
    }

    fn no_match(&self, among: &[Element]) -> EnvironmentError {
        let mut near = BTreeSet::new();
        for element in among {
            let name = split_name(element.name()).0;
            if name.starts_with(&self.name) {
                near.insert(name);
                if near.len() == MOST_SUGGESTIONS {
                    break;
                }
            }
        }
        let mut message = format!("selector '{}' matches no derivations", self.text);
        if !near.is_empty() {
            message.push_str(", maybe you meant:");
            for name in near {
                message.push('\n');
                message.push_str(name);
            }
        }
        EnvironmentError::Words(message)
    }
}

/// Several selectors, each of which should mean something.
#[derive(Debug)]
pub struct Selectors(Vec<(Selector, bool)>);

impl Selectors {
    /// The words' selectors.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn new(words: &[String]) -> Result<Self> {
        Ok(Self(words.iter().map(|word| Ok((Selector::new(word)?, false))).collect::<Result<_>>()?))
    }

    /// Whether one of them means a package of that name.
    ///
    /// # Errors
    /// A pattern that takes too much memory.
    pub fn any_matches(&mut self, name: &str) -> Result<bool> {
        for (selector, used) in &mut self.0 {
            if selector.matches(name)? {
                *used = true;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// An error if one of them meant nothing.
    ///
    /// # Errors
    /// That one is named.
    pub fn check_use(&self) -> Result<()> {
        match self.0.iter().find(|(selector, used)| !used && selector.text != "*") {
            Some((selector, _)) => Err(selector.no_match(&[])),
            None => Ok(()),
        }
    }

    /// The packages meant, in the order of the selectors; without any selector all. With `newest` each selector means one
    /// of each name only: for this system if there is one, of the least priority number, the newest.
    ///
    /// # Errors
    /// A selector that means nothing; what evaluating says.
    pub fn choose(
        &self,
        activity: &Activity,
        evaluator: &mut Evaluator,
        system: &str,
        all: &[Element],
        newest: bool,
    ) -> Result<Vec<Element>> {
        if self.0.is_empty() && !newest {
            return Ok(all.to_vec());
        }
        let mut chosen = Vec::new();
        let mut taken = BTreeSet::new();
        let every = [(Selector { text: "*".into(), name: "*".into(), version: String::new(), pattern: None }, false)];
        for (selector, _) in if self.0.is_empty() { &every } else { self.0.as_slice() } {
            let mut found = Vec::new();
            for (index, element) in all.iter().enumerate() {
                if selector.matches(element.name())? {
                    found.push(index);
                }
            }
            if found.is_empty() && selector.text != "*" {
                return Err(selector.no_match(all));
            }
            if newest {
                found = newest_of(activity, evaluator, system, all, &found)?;
            }
            chosen.extend(found.into_iter().filter(|index| taken.insert(*index)).map(|index| all[index].clone()));
        }
        Ok(chosen)
    }
}

fn newest_of(
    activity: &Activity,
    evaluator: &mut Evaluator,
    system: &str,
    all: &[Element],
    found: &[usize],
) -> Result<Vec<usize>> {
    let mut best: BTreeMap<&str, usize> = BTreeMap::new();
    let mut several: BTreeSet<&str> = BTreeSet::new();
    for &index in found {
        let (name, version) = split_name(all[index].name());
        let Some(&other) = best.get(name) else {
            best.insert(name, index);
            continue;
        };
        let (one, other) = (&all[index], &all[other]);
        let (here, there) = (one.system(evaluator)?, other.system(evaluator)?);
        let mut order = match (here == there, here == system, there == system) {
            (false, true, _) => Ordering::Greater,
            (false, _, true) => Ordering::Less,
            _ => Ordering::Equal,
        };
        if order.is_eq() {
            order = compare_priorities(evaluator, one, other)?;
        }
        if order.is_eq() {
            order = compare_versions(version, split_name(other.name()).1);
        }
        match order {
            Ordering::Greater => {
                best.insert(name, index);
                several.remove(one.name());
            }
            Ordering::Equal => {
                several.insert(one.name());
            }
            Ordering::Less => {}
        }
    }
    for name in best.keys() {
        if several.contains(name) {
            activity.warn(&format!("there are multiple derivations named '{name}'; using the first one"));
        }
    }
    Ok(best.into_values().collect())
}

/// Which of two packages goes first, by their priorities: `Greater` if the first one does.
///
/// # Errors
/// What evaluating says.
pub fn compare_priorities(evaluator: &mut Evaluator, one: &Element, other: &Element) -> Result<Ordering> {
    Ok(other.priority(evaluator)?.cmp(&one.priority(evaluator)?))
}
