//! A derivation as stores send it to each other: its parts one by one, with paths in the place of input derivations.
//!
//! Absent: the bytes on the wire, which are the protocols'.

use super::aterm::{is_escaped, output_of};
use super::structured_attrs::JSON_VARIABLE;
use super::{Derivation, StructuredAttrs};
use crate::error::DerivationSyntax;
use crate::outputs::compact;
use crate::store_dir::{StoreDir, output_path_name};
use crate::store_path::{StorePath, check_name};
use crate::{Error, OutputName};
use std::collections::BTreeSet;

/// What was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DerivationParts {
    /// The outputs, each with the three texts of the form on disk: path, method with algorithm, hash.
    pub outputs: Vec<(OutputName, [String; 3])>,
    /// The store objects that it uses.
    pub input_srcs: BTreeSet<StorePath>,
    /// The system.
    pub platform: Vec<u8>,
    /// The program to run.
    pub builder: Vec<u8>,
    /// Its arguments.
    pub args: Vec<Vec<u8>>,
    /// Its environment, structured attributes as `__json` among it.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
}

impl DerivationParts {
    /// The derivation of that name.
    ///
    /// # Errors
    /// Names of outputs that no store path can have, a system that would need escapes, outputs and structured attributes
    /// that are malformed.
    pub fn into_derivation(self, store_dir: &StoreDir, name: &str) -> Result<Derivation, Error> {
        let wrong = |message: DerivationSyntax| Error::DerivationPart { name: name.to_owned(), message };
        let mut drv = Derivation { name: name.to_owned(), input_srcs: self.input_srcs, ..Derivation::default() };
        let mut outputs = Vec::new();
        // Of two with one name the first stays.
        for (output, [path, method, digits]) in self.outputs.into_iter().rev() {
            check_name(&output_path_name(name, &output))
                .map_err(|_| wrong(DerivationSyntax::OutputName(output.clone())))?;
            let value = output_of(store_dir, path.as_bytes(), &method, &digits).map_err(wrong)?;
            outputs.push((output, value));
        }
        drv.outputs = compact(outputs);
        if self.platform.iter().any(|byte| is_escaped(*byte)) {
            return Err(wrong(DerivationSyntax::Platform(String::from_utf8_lossy(&self.platform).into_owned())));
        }
        (drv.platform, drv.builder, drv.args) = (self.platform, self.builder, self.args);
        drv.env.extend(self.env);
        if let Some(text) = drv.env.remove(JSON_VARIABLE.as_bytes()) {
            let attrs = StructuredAttrs::parse(&text);
            drv.structured_attrs = Some(attrs.map_err(|text| wrong(DerivationSyntax::StructuredAttrs(text)))?);
        }
        Ok(drv)
    }
}
