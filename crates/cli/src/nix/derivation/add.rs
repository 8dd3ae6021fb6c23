//! `nix derivation add`: a derivation out of JSON.

use std::ffi::OsString;
use std::io::Read as _;

use clap::Parser;
use session::SessionError;
use store::{WritableStore as _, WriteOptions};
use store_model::{ContentAddressMethod, Derivation, DerivationKind, DerivationOutput};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::nix::hash::wrong;
use crate::output::build::{Opened, store_error};

/// Add the derivation that standard input describes in JSON
///
/// The form is that of one derivation of `nix derivation show`. Outputs without a path get theirs.
#[derive(Parser, Debug)]
#[command(name = "nix derivation add")]
struct Args {
    /// Only print the path that it would get
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &[])?;
    let opened = Opened { surface, session: open(surface, &words.given, &words.args.common)? };
    let mut text = Vec::new();
    std::io::stdin().lock().read_to_end(&mut text)?;
    let mut derivation = store_model::derivation::json::parse(&text).map_err(wrong)?;
    check_features(&opened, &derivation)?;
    let (store, dir) = (opened.store()?, opened.session.store_dir());
    let mut lookup = |input: &_| store.hash_modulo(opened.activity(), input);
    derivation.fill_in_output_paths(dir, &mut lookup).map_err(store_error)?;
    let object = derivation.to_text_object(dir).map_err(wrong)?;
    if !words.args.dry_run && !opened.session.read_only() {
        store.add_text(opened.activity(), &object, &WriteOptions::default()).map_err(store_error)?;
    }
    surface.line(&opened.show(&object.path));
    Ok(0)
}

/// Kinds of derivations that are only taken where their experimental feature is on.
fn check_features(opened: &Opened<'_>, derivation: &Derivation) -> Result<(), CommandError> {
    let text = |output: &DerivationOutput| {
        matches!(output, DerivationOutput::CAFloating { method: ContentAddressMethod::Text, .. })
    };
    let needed = match derivation.kind().map_err(wrong)? {
        _ if derivation.has_dynamic_inputs() || derivation.outputs.values().any(text) => "dynamic-derivations",
        DerivationKind::Floating => "ca-derivations",
        DerivationKind::Impure => "impure-derivations",
        _ => return Ok(()),
    };
    match opened.session.settings.feature(needed) {
        true => Ok(()),
        false => Err(SessionError::FeatureDisabled { feature: needed.to_owned() }.into()),
    }
}
