//! A derivation on its way from an expression to its `.drv`: paths, text and hash in one pass.
//!
//! The same text is needed three times, in three dressings: with outputs left empty and inputs by hash (that hash gives
//! the output paths), with both filled in and inputs by hash (that is what dependents hash), and as it is written. All
//! that follows the inputs is escaped once, with the places of the output paths left open. The parts are borrowed, sorted
//! slices; for derivations that were read there is [`Derivation`](super::Derivation), and a property test holds the two
//! to the same results.
//!
//! Absent on purpose: outputs of outputs. A derivation that depends on such is put together whole.

use super::aterm::{escaped, names, plain, print_hashes, print_output};
use super::hash_modulo::{HashModulo, fixed_digest_of, sha256_of, sort_by_hash};
use super::structured_attrs::JSON_VARIABLE;
use super::{DerivationOutput, StorePath};
use crate::hash::{Hash, HashAlgorithm, Hasher};
use crate::store_dir::StoreDir;
use crate::store_path::DRV_EXTENSION;
use crate::{Error, OutputName};

/// One output.
#[derive(Debug, Clone)]
pub struct DraftOutput<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its kind; `Deferred` where the path is to be computed.
    pub output: DerivationOutput,
    /// The value of its variable, where that does not follow from the path: a placeholder.
    pub placeholder: Option<String>,
}

/// The parts of a derivation.
#[derive(Debug, Clone, Default)]
pub struct DerivationDraft<'a> {
    /// Its name, without `.drv`.
    pub name: &'a str,
    /// At least one, sorted by name, all of one kind.
    pub outputs: &'a [DraftOutput<'a>],
    /// Derivations, each once for each output that is used of it, sorted by path and output.
    pub inputs: Vec<(&'a StorePath, &'a str)>,
    /// Sources, sorted, each once.
    pub input_srcs: &'a [&'a StorePath],
    /// The system.
    pub platform: &'a [u8],
    /// The builder.
    pub builder: &'a [u8],
    /// Its arguments.
    pub args: &'a [&'a [u8]],
    /// Variables, sorted by name, each once. One with the name of an output gives way to it.
    pub env: &'a [(&'a [u8], &'a [u8])],
    /// Structured attributes in canonical text.
    pub structured_attrs: Option<&'a str>,
}

/// What a draft became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instantiated<'a> {
    /// The derivation's path.
    pub path: StorePath,
    /// Its text.
    pub text: &'a [u8],
    /// What it refers to, sorted.
    pub references: Vec<&'a StorePath>,
    /// Its hash for those that use it.
    pub hash: HashModulo,
    /// The paths of the outputs, in order, where they are known.
    pub outputs: Vec<Option<StorePath>>,
}

/// Memory that one draft after the other is printed in.
#[derive(Debug, Default)]
pub struct DraftBuffers {
    tail: Tail,
    text: Vec<u8>,
    by_hash: Vec<u8>,
}

/// Text after the inputs, with the outputs' paths left out.
#[derive(Debug, Default)]
struct Tail {
    text: Vec<u8>,
    /// Where the path of which output belongs.
    open: Vec<(usize, usize)>,
}

impl<'d> DerivationDraft<'d> {
    /// Computes everything. `lookup` gives the hash of the derivation at an index of `inputs`, and is asked once for each.
    ///
    /// # Errors
    /// Those of `lookup`; a name that cannot be a store path's; a use of an output that an input does not have; the
    /// variable `__json`.
    pub fn instantiate<'a, 'h, E: From<Error>>(
        &self,
        store_dir: &StoreDir,
        buffers: &'a mut DraftBuffers,
        lookup: &mut dyn FnMut(usize) -> Result<&'h HashModulo, E>,
    ) -> Result<Instantiated<'a>, E>
    where
        'd: 'a,
    {
        if self.env.iter().any(|(name, _)| *name == JSON_VARIABLE.as_bytes()) {
            return Err(Error::ReservedJsonVariable.into());
        }
        let DraftBuffers { tail, text, by_hash } = buffers;
        self.tail(store_dir, tail);
        let names: std::sync::Arc<[OutputName]> = self.outputs.iter().map(|output| output.name.to_owned()).collect();
        let fixed = match self.outputs.first().map(|output| &output.output) {
            Some(DerivationOutput::CAFixed(address)) => Some(address),
            Some(_) => None,
            None => return Err(Error::NoOutputs.into()),
        };
        let mut outputs = self
            .outputs
            .iter()
            .map(|output| output.output.path(store_dir, self.name, output.name))
            .collect::<Result<Vec<_>, _>>()?;
        let hash = match fixed {
            Some(address) => HashModulo::new(fixed_digest_of(store_dir, address, outputs[0].as_ref()), false, names),
            None => {
                let mut inputs = Vec::with_capacity(self.inputs.len());
                let mut deferred = self.outputs[0].output != DerivationOutput::Deferred;
                let mut first = 0;
                for group in self.groups() {
                    let input = lookup(first)?;
                    deferred |= input.is_deferred();
                    input.use_outputs(group.iter().map(|(_, output)| *output), self.name, &mut inputs)?;
                    first += group.len();
                }
                sort_by_hash(&mut inputs);
                by_hash.clear();
                print_hashes(by_hash, &inputs);
                if !deferred {
                    let masked = self.digest(store_dir, by_hash, tail, &[]);
                    for (output, path) in self.outputs.iter().zip(&mut outputs) {
                        *path = Some(store_dir.output_path(output.name, &Hash::sha256(masked), self.name)?);
                    }
                }
                HashModulo::new(self.digest(store_dir, by_hash, tail, &outputs), deferred, names)
            }
        };
        self.text(store_dir, tail, &outputs, text);
        let references = self.references();
        let text_hash = Hash::of(HashAlgorithm::Sha256, text);
        let name = [self.name, DRV_EXTENSION].concat();
        let path = store_dir.text_path_of(&name, &text_hash, &references)?;
        Ok(Instantiated { path, text, references, hash, outputs })
    }

    /// The inputs by derivation.
    fn groups(&self) -> impl Iterator<Item = &[(&'d StorePath, &'d str)]> {
        self.inputs.chunk_by(|a, b| a.0 == b.0)
    }

    /// Inputs and sources as one sorted list.
    fn references(&self) -> Vec<&'d StorePath> {
        let mut all = Vec::with_capacity(self.inputs.len() + self.input_srcs.len());
        all.extend(self.groups().map(|group| group[0].0));
        all.extend_from_slice(self.input_srcs);
        // Two sorted runs, which the sort joins.
        all.sort();
        all.dedup();
        all
    }

    fn head(&self, store_dir: &StoreDir, outputs: &[Option<StorePath>], out: &mut Vec<u8>) {
        out.extend_from_slice(b"Derive([");
        for (index, DraftOutput { name, output, .. }) in self.outputs.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            print_output(out, store_dir, name, output, outputs.get(index).and_then(Option::as_ref));
        }
        out.extend_from_slice(b"],[");
    }

    /// The hash of the text with inputs by hash. Without `outputs` their paths are left empty.
    fn digest(&self, store_dir: &StoreDir, inputs: &[u8], tail: &Tail, outputs: &[Option<StorePath>]) -> [u8; 32] {
        let mut head = Vec::with_capacity(128 * self.outputs.len());
        self.head(store_dir, outputs, &mut head);
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        hasher.update(&head);
        hasher.update(inputs);
        tail.pieces(store_dir, outputs, &mut |piece| hasher.update(piece));
        sha256_of(hasher)
    }

    fn text(&self, store_dir: &StoreDir, tail: &Tail, outputs: &[Option<StorePath>], out: &mut Vec<u8>) {
        out.clear();
        self.head(store_dir, outputs, out);
        for (index, group) in self.groups().enumerate() {
            out.extend_from_slice(if index > 0 { b",(\"" } else { b"(\"" });
            store_dir.print_into(group[0].0, out);
            out.extend_from_slice(b"\",");
            names(out, group.iter().map(|(_, output)| *output));
            out.push(b')');
        }
        tail.pieces(store_dir, outputs, &mut |piece| out.extend_from_slice(piece));
    }

    fn tail(&self, store_dir: &StoreDir, tail: &mut Tail) {
        tail.text.clear();
        tail.open.clear();
        let out = &mut tail.text;
        out.extend_from_slice(b"],[");
        for (index, path) in self.input_srcs.iter().enumerate() {
            out.extend_from_slice(if index > 0 { b",\"" } else { b"\"" });
            store_dir.print_into(path, out);
            out.push(b'"');
        }
        out.extend_from_slice(b"],");
        plain(out, self.platform);
        out.push(b',');
        escaped(out, self.builder);
        out.extend_from_slice(b",[");
        for (index, arg) in self.args.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            escaped(out, arg);
        }
        out.extend_from_slice(b"],[");
        self.variables(tail);
        tail.text.extend_from_slice(b"])");
    }

    /// Merges variables, outputs and structured attributes in the order of their names.
    fn variables(&self, tail: &mut Tail) {
        let mut outputs = self.outputs.iter().enumerate().peekable();
        let mut json = self.structured_attrs;
        let mut env = self.env.iter().peekable();
        let first = tail.text.len();
        loop {
            let next = env.peek().map(|(name, _)| *name);
            let output = outputs.peek().map(|(_, output)| output.name.as_bytes());
            let least = [next, output, json.map(|_| JSON_VARIABLE.as_bytes())].into_iter().flatten().min();
            let Some(name) = least else { return };
            tail.text.extend_from_slice(if tail.text.len() > first { b",(" } else { b"(" });
            escaped(&mut tail.text, name);
            tail.text.push(b',');
            if output == Some(name) {
                let Some((index, output)) = outputs.next() else { return };
                env.next_if(|_| next == Some(name));
                tail.text.push(b'"');
                match &output.placeholder {
                    Some(text) => tail.text.extend_from_slice(text.as_bytes()),
                    None => tail.open.push((tail.text.len(), index)),
                }
                tail.text.push(b'"');
            } else if next == Some(name) {
                escaped(&mut tail.text, env.next().map_or(b"", |(_, value)| value));
            } else {
                escaped(&mut tail.text, json.take().unwrap_or_default().as_bytes());
            }
            tail.text.push(b')');
        }
    }
}

impl Tail {
    /// Gives the text with the paths in it, piece by piece.
    fn pieces(&self, store_dir: &StoreDir, outputs: &[Option<StorePath>], take: &mut dyn FnMut(&[u8])) {
        let mut from = 0;
        for (at, output) in &self.open {
            take(&self.text[from..*at]);
            if let Some(path) = outputs.get(*output).and_then(Option::as_ref) {
                take(store_dir.as_str().as_bytes());
                take(b"/");
                take(path.as_str().as_bytes());
            }
            from = *at;
        }
        take(&self.text[from..]);
    }
}
