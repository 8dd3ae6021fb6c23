//! A derivation to its ATerm bytes.
//!
//! Everything is appended to one vector; strings are copied in runs between the bytes that need an escape, which a table
//! finds. Names, paths and the system are written without escapes, as C++ Nix does. The same printer serves hash
//! modulo: with outputs masked, and with inputs replaced by hashes.

use super::super::structured_attrs::JSON_VARIABLE;
use super::super::{Derivation, DerivationOutput, InputOutputs};
use crate::Error;
use crate::hash::encoding::base16_digits;
use crate::store_dir::StoreDir;
use crate::store_path::StorePath;
use litemap::LiteMap;

/// What stands in the list of inputs.
pub(in crate::derivation) enum Inputs<'a> {
    /// The derivations themselves.
    Derivations(&'a LiteMap<StorePath, InputOutputs>),
    /// Hashes modulo with the outputs used, sorted by hash and then output.
    Hashes(&'a [([u8; 32], &'a str)]),
}

/// Prints; `mask_outputs` leaves the outputs' paths and variables empty.
pub(in crate::derivation) fn print_with(
    store_dir: &StoreDir,
    drv: &Derivation,
    mask_outputs: bool,
    inputs: Inputs<'_>,
) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(estimate(store_dir, drv));
    if drv.input_drvs.values().any(|node| !node.dynamic.is_empty()) {
        out.extend_from_slice(b"DrvWithVersion(\"xp-dyn-drv\",[");
    } else {
        out.extend_from_slice(b"Derive([");
    }
    print_outputs(&mut out, store_dir, drv, mask_outputs)?;
    out.extend_from_slice(b"],[");
    match inputs {
        Inputs::Derivations(inputs) => print_inputs(&mut out, store_dir, inputs),
        Inputs::Hashes(inputs) => print_hashes(&mut out, inputs),
    }
    out.extend_from_slice(b"],[");
    let mut list = Separator::default();
    for path in &drv.input_srcs {
        list.comma(&mut out);
        out.push(b'"');
        store_dir.print_into(path, &mut out);
        out.push(b'"');
    }
    out.extend_from_slice(b"],");
    plain(&mut out, &drv.platform);
    out.push(b',');
    escaped(&mut out, &drv.builder);
    out.extend_from_slice(b",[");
    let mut list = Separator::default();
    for arg in &drv.args {
        list.comma(&mut out);
        escaped(&mut out, arg);
    }
    out.extend_from_slice(b"],[");
    print_env(&mut out, drv, mask_outputs)?;
    out.extend_from_slice(b"])");
    Ok(out)
}

fn print_outputs(out: &mut Vec<u8>, store_dir: &StoreDir, drv: &Derivation, mask_outputs: bool) -> Result<(), Error> {
    let mut list = Separator::default();
    for (name, output) in &drv.outputs {
        list.comma(out);
        let path = if mask_outputs { None } else { output.path(store_dir, &drv.name, name)? };
        print_output(out, store_dir, name, output, path.as_ref());
    }
    Ok(())
}

/// One output; without a path its place is left empty.
pub(in crate::derivation) fn print_output(
    out: &mut Vec<u8>,
    store_dir: &StoreDir,
    name: &str,
    output: &DerivationOutput,
    path: Option<&StorePath>,
) {
    out.push(b'(');
    plain(out, name.as_bytes());
    out.extend_from_slice(b",\"");
    if let Some(path) = path {
        store_dir.print_into(path, out);
    }
    out.extend_from_slice(b"\",");
    let (method, digits) = match output {
        DerivationOutput::InputAddressed(_) | DerivationOutput::Deferred => (String::new(), String::new()),
        DerivationOutput::CAFixed(ca) => (ca.method.with_algorithm(ca.hash.algorithm()), ca.hash.to_base16()),
        DerivationOutput::CAFloating { method, algorithm } => (method.with_algorithm(*algorithm), String::new()),
        DerivationOutput::Impure { method, algorithm } => (method.with_algorithm(*algorithm), "impure".to_owned()),
    };
    plain(out, method.as_bytes());
    out.push(b',');
    plain(out, digits.as_bytes());
    out.push(b')');
}

fn print_inputs(out: &mut Vec<u8>, store_dir: &StoreDir, inputs: &LiteMap<StorePath, InputOutputs>) {
    let mut list = Separator::default();
    for (path, node) in inputs {
        list.comma(out);
        out.extend_from_slice(b"(\"");
        store_dir.print_into(path, out);
        out.push(b'"');
        print_node(out, node);
        out.push(b')');
    }
}

fn print_node(out: &mut Vec<u8>, node: &InputOutputs) {
    out.push(b',');
    if node.dynamic.is_empty() {
        names(out, node.outputs.iter().map(String::as_str));
        return;
    }
    out.push(b'(');
    names(out, node.outputs.iter().map(String::as_str));
    out.extend_from_slice(b",[");
    let mut list = Separator::default();
    for (output, child) in &node.dynamic {
        list.comma(out);
        out.push(b'(');
        plain(out, output.as_bytes());
        print_node(out, child);
        out.push(b')');
    }
    out.extend_from_slice(b"])");
}

/// The list of inputs by hash, sorted.
pub(in crate::derivation) fn print_hashes(out: &mut Vec<u8>, inputs: &[([u8; 32], &str)]) {
    let mut list = Separator::default();
    for group in inputs.chunk_by(|a, b| a.0 == b.0) {
        list.comma(out);
        out.extend_from_slice(b"(\"");
        out.extend(base16_digits(&group[0].0));
        out.extend_from_slice(b"\",");
        names(out, group.iter().map(|(_, output)| *output));
        out.push(b')');
    }
}

fn print_env(out: &mut Vec<u8>, drv: &Derivation, mask_outputs: bool) -> Result<(), Error> {
    if drv.env.contains_key(JSON_VARIABLE.as_bytes()) {
        return Err(Error::ReservedJsonVariable);
    }
    let mut list = Separator::default();
    let mut json = drv.structured_attrs.as_ref();
    let mut variable = |out: &mut Vec<u8>, name: &[u8], value: &[u8]| {
        list.comma(out);
        out.push(b'(');
        escaped(out, name);
        out.push(b',');
        escaped(out, value);
        out.push(b')');
    };
    for (name, value) in &drv.env {
        if name.as_slice() > JSON_VARIABLE.as_bytes()
            && let Some(attrs) = json.take()
        {
            variable(out, JSON_VARIABLE.as_bytes(), attrs.as_str().as_bytes());
        }
        let masked = mask_outputs && std::str::from_utf8(name).is_ok_and(|name| drv.outputs.contains_key(name));
        variable(out, name, if masked { b"" } else { value });
    }
    if let Some(attrs) = json {
        variable(out, JSON_VARIABLE.as_bytes(), attrs.as_str().as_bytes());
    }
    Ok(())
}

/// Puts a comma before every item but the first.
#[derive(Default)]
struct Separator(bool);

impl Separator {
    fn comma(&mut self, out: &mut Vec<u8>) {
        if self.0 {
            out.push(b',');
        }
        self.0 = true;
    }
}

/// A list of names.
pub(in crate::derivation) fn names<'a>(out: &mut Vec<u8>, names: impl Iterator<Item = &'a str>) {
    out.push(b'[');
    let mut list = Separator::default();
    for name in names {
        list.comma(out);
        plain(out, name.as_bytes());
    }
    out.push(b']');
}

/// A string that needs no escapes.
pub(in crate::derivation) fn plain(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

/// A string with its escapes.
pub(in crate::derivation) fn escaped(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = first_escape(rest) {
        let letter = match rest[at] {
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            itself => itself,
        };
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', letter]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Where the first byte is that needs an escape, eight bytes at a time.
fn first_escape(text: &[u8]) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let found = escapes_in(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|byte| is_escaped(*byte)).map(|at| words.len() * 8 + at)
}

/// The high bit of each byte that needs an escape.
fn escapes_in(word: u64) -> u64 {
    const LOW: u64 = u64::MAX / 0xff;
    const REST: u64 = LOW * 0x7f;
    // A byte that is zero is the only one that neither has its high bit set nor gets it by adding to its other bits.
    let zeros = |word: u64| !(((word & REST) + REST) | word | REST);
    let equal = |byte: u8| zeros(word ^ (LOW * u64::from(byte)));
    equal(b'"') | equal(b'\\') | equal(b'\n') | equal(b'\r') | equal(b'\t')
}

/// Whether a byte is written with a backslash.
pub(in crate::derivation) fn is_escaped(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte == b'\n') | (byte == b'\r') | (byte == b'\t')
}

/// Bytes that the result will need, roughly; one too small costs a copy.
fn estimate(store_dir: &StoreDir, drv: &Derivation) -> usize {
    let path = store_dir.as_str().len() + 80;
    let env: usize = drv.env.iter().map(|(k, v)| k.len() + v.len() + 8).sum();
    let args: usize = drv.args.iter().map(|a| a.len() + 8).sum();
    let attrs = drv.structured_attrs.as_ref().map_or(0, |attrs| attrs.as_str().len() * 5 / 4);
    128 + (env + args) * 17 / 16 + attrs + path * (drv.outputs.len() + drv.input_drvs.len() + drv.input_srcs.len())
}
