//! A derivation with its inputs told by path: what is built once everything that it uses is known.
//!
//! Where outputs of inputs are not known beforehand, a derivation names them by placeholders. When they are known it is
//! written anew: paths in place of placeholders, sources in place of input derivations, and where only the inputs kept
//! its own outputs from being told, with these. Derivations that differ in how their inputs came about, not in what these
//! are, become the same one, so that it is built once. Rule: the Nix manual, "store/derivation/resolution".
//!
//! Absent: finding out what an output became, which the caller's lookup does.

use super::hash_modulo::{HashModulo, hash_modulo};
use super::{Derivation, DerivationKind, DerivationOutput, InputOutputs, StructuredAttrs};
use crate::derived_path::{DownstreamPlaceholder, SingleDerivedPath};
use crate::store_dir::StoreDir;
use crate::store_path::StorePath;
use crate::{Error, OutputName};

/// Answers which path an output has by now.
pub type Became<'a> = dyn FnMut(&SingleDerivedPath, &OutputName) -> Option<StorePath> + 'a;

/// Texts and what stands in their place.
type Rewrites = Vec<(String, String)>;

impl Derivation {
    /// Whether outputs of outputs are among the inputs.
    pub fn has_dynamic_inputs(&self) -> bool {
        self.input_drvs.values().any(|used| !used.dynamic.is_empty())
    }

    /// Whether it cannot be built as it is: what it uses, or what it makes, follows from what its inputs became. With
    /// `fixed` outputs whose hashes are given count too, which spares a build where only the way to the inputs changed.
    ///
    /// # Errors
    /// Outputs that do not go together.
    pub fn should_resolve(&self, fixed: bool) -> Result<bool, Error> {
        if self.input_drvs.is_empty() {
            return Ok(false);
        }
        let by_kind = match self.kind()? {
            DerivationKind::InputAddressed => false,
            DerivationKind::Fixed => fixed,
            DerivationKind::Deferred | DerivationKind::Floating | DerivationKind::Impure => true,
        };
        Ok(by_kind || self.has_dynamic_inputs())
    }

    /// The derivation with paths in place of its inputs' outputs; `None` while one of them is not known.
    ///
    /// # Errors
    /// Outputs that do not go together, an input that is no derivation.
    pub fn resolve(&self, store_dir: &StoreDir, became: &mut Became<'_>) -> Result<Option<Derivation>, Error> {
        let mut resolved = Derivation { input_drvs: Default::default(), ..self.clone() };
        let mut rewrites = Rewrites::new();
        for (path, used) in &self.input_drvs {
            let input = SingleDerivedPath::Opaque(path.clone());
            if !resolve_input(store_dir, &mut resolved, &mut rewrites, &input, used, became)? {
                return Ok(None);
            }
        }
        resolved.rewrite(&rewrites);
        resolved.tell_deferred_outputs(store_dir)?;
        Ok(Some(resolved))
    }

    /// Replaces texts wherever the builder may see them.
    fn rewrite(&mut self, rewrites: &Rewrites) {
        if rewrites.is_empty() {
            return;
        }
        self.builder = rewritten(&self.builder, rewrites);
        self.args.iter_mut().for_each(|arg| *arg = rewritten(arg, rewrites));
        let mut env = std::collections::BTreeMap::new();
        for (name, value) in std::mem::take(&mut self.env) {
            env.entry(rewritten(&name, rewrites)).or_insert_with(|| rewritten(&value, rewrites));
        }
        self.env = env.into_iter().collect();
        if let Some(attrs) = &self.structured_attrs {
            // Placeholders and paths are plain words of JSON, so it stays JSON; its keys may need another order.
            let text = rewritten(attrs.as_str().as_bytes(), rewrites);
            if let Ok(attrs) = StructuredAttrs::parse(&text) {
                self.structured_attrs = Some(attrs);
            }
        }
    }

    /// Without inputs, outputs that waited for them have their paths.
    fn tell_deferred_outputs(&mut self, store_dir: &StoreDir) -> Result<(), Error> {
        if self.kind()? != DerivationKind::Deferred {
            return Ok(());
        }
        let nothing = &mut |path: &StorePath| -> Result<HashModulo, Error> {
            Err(Error::NoHashForOutput { output: String::new(), derivation: path.to_string() })
        };
        let hash = hash_modulo(store_dir, self, true, nothing)?.hash();
        for (name, output) in &mut self.outputs {
            let path = store_dir.output_path(name, &hash, &self.name)?;
            self.env.insert(name.clone().into_bytes(), store_dir.print(&path).into_bytes());
            *output = DerivationOutput::InputAddressed(path);
        }
        Ok(())
    }
}

/// Takes over one input with what is used of its outputs. They nest no deeper than what was read.
fn resolve_input(
    store_dir: &StoreDir,
    resolved: &mut Derivation,
    rewrites: &mut Rewrites,
    input: &SingleDerivedPath,
    used: &InputOutputs,
    became: &mut Became<'_>,
) -> Result<bool, Error> {
    for output in &used.outputs {
        let Some(path) = became(input, output) else { return Ok(false) };
        let placeholder = DownstreamPlaceholder::of_chain(input, output)?.render();
        rewrites.push((placeholder, store_dir.print(&path)));
        resolved.input_srcs.insert(path);
    }
    for (output, below) in &used.dynamic {
        let inner = SingleDerivedPath::Built { drv: Box::new(input.clone()), output: output.clone() };
        if !resolve_input(store_dir, resolved, rewrites, &inner, below, became)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The text with all placeholders replaced. They begin with a slash and have one length, so one walk serves for all.
fn rewritten(text: &[u8], rewrites: &Rewrites) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'/') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        match rewrites.iter().find(|(from, _)| rest.starts_with(from.as_bytes())) {
            Some((from, to)) => {
                out.extend_from_slice(to.as_bytes());
                rest = &rest[from.len()..];
            }
            None => {
                out.push(b'/');
                rest = &rest[1..];
            }
        }
    }
    out.extend_from_slice(rest);
    out
}
