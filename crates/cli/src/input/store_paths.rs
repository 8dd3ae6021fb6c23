//! What commands on store paths share: closures, the whole store, derivations instead of outputs, paths on standard input.

use std::collections::BTreeSet;
use std::io::BufRead as _;

use clap::Args;
use store_model::{DerivedPath, StorePath};

use super::installable::InstallableArgs;
use crate::command::CommandError;
use crate::output::build::{Opened, store_error};

/// Which store paths a command works on, beside what its words name.
#[derive(Args, Debug, Default)]
pub struct StorePathsArgs {
    /// Take every path of the store
    #[arg(long)]
    pub all: bool,
    /// Take the derivations, not their results
    #[arg(long)]
    pub derivation: bool,
    /// Read more paths from standard input, one a line
    #[arg(long)]
    pub stdin: bool,
    #[command(flatten)]
    pub installables: InstallableArgs,
}

/// What is done about paths that are not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realise {
    /// Nothing.
    Nothing,
    /// They are built or fetched.
    Outputs,
}

/// The words, and where that is wanted the lines of standard input.
pub fn with_lines_of_input(words: &[String], wanted: bool) -> Result<Vec<String>, CommandError> {
    let mut words = words.to_vec();
    if wanted {
        for line in std::io::stdin().lock().lines() {
            words.extend(Some(line?).filter(|line| !line.is_empty()));
        }
    }
    Ok(words)
}

impl StorePathsArgs {
    /// The paths that words and options name, without their closures.
    pub fn named(
        &self,
        opened: &Opened<'_>,
        words: &[String],
        realise: Realise,
    ) -> Result<Vec<StorePath>, CommandError> {
        if self.all {
            if !words.is_empty() {
                return Err(CommandError::usage("'--all' does not expect arguments"));
            }
            let all = opened.source()?.all_valid_paths(opened.activity()).map_err(store_error)?;
            return Ok(all.into_iter().collect());
        }
        let mut found = Vec::new();
        for path in self.wanted(opened, words, realise)? {
            match path {
                DerivedPath::Built { drv, .. } if self.derivation => found.push(opened.derivation_path(&drv)?),
                DerivedPath::Opaque(path) if self.derivation && !path.is_derivation() => {
                    found.push(opened.deriver(&path)?);
                }
                path => found.extend(opened.outputs(&path)?.into_iter().map(|(_, output)| output)),
            }
        }
        Ok(found)
    }

    /// What words and options name, before anything is known of the paths; built or fetched where that is asked for.
    pub fn wanted(
        &self,
        opened: &Opened<'_>,
        words: &[String],
        realise: Realise,
    ) -> Result<Vec<DerivedPath>, CommandError> {
        let words = with_lines_of_input(words, self.stdin)?;
        if self.stdin && words.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<DerivedPath> =
            self.installables.resolve(opened, &words)?.into_iter().map(|one| one.path).collect();
        if realise == Realise::Outputs && !self.derivation {
            let wanted = opened.plan(wanted.clone(), false)?;
            opened.build(&wanted, store::BuildMode::Normal)?;
        }
        Ok(wanted)
    }

    /// The paths, with their closures if `recursive`, each after what it refers to.
    pub fn paths(
        &self,
        opened: &Opened<'_>,
        words: &[String],
        recursive: bool,
        realise: Realise,
    ) -> Result<Vec<StorePath>, CommandError> {
        self.with_closures(opened, self.named(opened, words, realise)?, recursive)
    }

    /// Named paths, with their closures in a store if `recursive`, each after what it refers to.
    pub fn with_closures(
        &self,
        opened: &Opened<'_>,
        named: Vec<StorePath>,
        recursive: bool,
    ) -> Result<Vec<StorePath>, CommandError> {
        let mut found: BTreeSet<StorePath> = named.into_iter().collect();
        let store = opened.source()?;
        if recursive && !self.all {
            let starts: Vec<StorePath> = found.into_iter().collect();
            found = store::closure::closure(&*store, opened.activity(), &starts).map_err(store_error)?;
        }
        store::closure::references_first(&*store, opened.activity(), &found).map_err(store_error)
    }
}
