//! ATerm bytes to a derivation.
//!
//! A cursor over the bytes; strings without escapes are borrowed until they are stored. As lenient about commas as C++
//! Nix is, and like it this ignores what follows the closing parenthesis. Nothing is allocated beyond what was read,
//! and nesting has a limit.

use super::super::structured_attrs::JSON_VARIABLE;
use super::super::{Derivation, DerivationOutput, InputOutputs, StructuredAttrs};
use super::print::is_escaped;
use crate::content_address::{ContentAddress, ContentAddressMethod};
use crate::error::DerivationSyntax;
use crate::hash::Hash;
use crate::outputs::compact;
use crate::store_dir::StoreDir;
use crate::{Error, OutputMap, OutputNames};
use std::borrow::Cow;

/// Outputs of outputs of outputs: more than anyone builds, less than a stack holds.
const MAX_NESTING: usize = 64;

/// Reads the bytes of a `.drv` file; `name` is the derivation's name, which the bytes do not tell.
pub fn parse(store_dir: &StoreDir, bytes: &[u8], name: &str) -> Result<Derivation, Error> {
    let mut cursor = Cursor { bytes, at: 0, store_dir };
    cursor.derivation(name).map_err(|message| Error::DerivationSyntax {
        name: name.to_owned(),
        message,
        offset: cursor.at,
    })
}

/// Reads the outputs alone, which stand first; what follows them is not looked at.
pub fn parse_outputs(store_dir: &StoreDir, bytes: &[u8], name: &str) -> Result<OutputMap<DerivationOutput>, Error> {
    let mut cursor = Cursor { bytes, at: 0, store_dir };
    cursor.start().and_then(|_| cursor.all_outputs()).map_err(|message| Error::DerivationSyntax {
        name: name.to_owned(),
        message,
        offset: cursor.at,
    })
}

type Outcome<T> = Result<T, DerivationSyntax>;

impl From<Error> for DerivationSyntax {
    fn from(error: Error) -> DerivationSyntax {
        DerivationSyntax::Inner(Box::new(error))
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    store_dir: &'a StoreDir,
}

impl<'a> Cursor<'a> {
    fn derivation(&mut self, name: &str) -> Outcome<Derivation> {
        let dynamic = self.start()?;
        let outputs = self.all_outputs()?;
        let mut drv = Derivation { name: name.to_owned(), outputs, ..Derivation::default() };
        self.expect(",[")?;
        let mut inputs = Vec::new();
        while !self.end_of_list() {
            self.expect("(")?;
            let path = self.path()?;
            let path = self.store_dir.parse_bytes(&path)?;
            self.expect(",")?;
            inputs.push((path, self.input(dynamic, 0)?));
            self.expect(")")?;
        }
        drv.input_drvs = compact(inputs);
        self.expect(",[")?;
        while !self.end_of_list() {
            let path = self.path()?;
            drv.input_srcs.insert(self.store_dir.parse_bytes(&path)?);
        }
        self.expect(",")?;
        drv.platform = self.platform()?;
        self.expect(",")?;
        drv.builder = self.string()?.into_owned();
        self.expect(",[")?;
        while !self.end_of_list() {
            drv.args.push(self.string()?.into_owned());
        }
        self.expect(",[")?;
        let mut variables = Vec::new();
        while !self.end_of_list() {
            variables.extend(self.variable(&mut drv)?);
        }
        drv.env = compact(variables);
        self.expect(")")?;
        Ok(drv)
    }

    fn all_outputs(&mut self) -> Outcome<OutputMap<DerivationOutput>> {
        let mut outputs = Vec::new();
        self.expect("[")?;
        while !self.end_of_list() {
            self.expect("(")?;
            let output = self.output_name()?;
            let value = self.output()?;
            outputs.push((output, value));
        }
        // Of two with one name the first stays.
        outputs.reverse();
        Ok(compact(outputs))
    }

    /// The head; tells whether it is the form with nested outputs.
    fn start(&mut self) -> Outcome<bool> {
        if self.skip("Derive(") {
            return Ok(false);
        }
        if !self.skip("DrvWithVersion(") {
            return Err(DerivationSyntax::Start);
        }
        let version = self.string()?;
        if version.as_ref() != b"xp-dyn-drv" {
            return Err(DerivationSyntax::Version(String::from_utf8_lossy(&version).into_owned()));
        }
        self.expect(",")?;
        Ok(true)
    }

    fn output(&mut self) -> Outcome<DerivationOutput> {
        self.expect(",")?;
        let path = self.string()?;
        self.expect(",")?;
        let method = self.text("the hash algorithm of an output")?;
        self.expect(",")?;
        let digits = self.text("the hash of an output")?;
        self.expect(")")?;
        output_of(self.store_dir, &path, &method, &digits)
    }

    fn input(&mut self, dynamic: bool, depth: usize) -> Outcome<InputOutputs> {
        let mut node = InputOutputs::default();
        match self.bytes.get(self.at) {
            _ if depth > MAX_NESTING => return Err(DerivationSyntax::TooDeep),
            Some(b'(') if dynamic => {
                self.expect("(")?;
                node.outputs = self.outputs()?;
                self.expect(",[")?;
                while !self.end_of_list() {
                    self.expect("(")?;
                    let output = self.output_name()?;
                    self.expect(",")?;
                    let child = self.input(dynamic, depth + 1)?;
                    node.dynamic.insert(output, child);
                    self.expect(")")?;
                }
                self.expect(")")?;
            }
            Some(b'[') => node.outputs = self.outputs()?,
            _ if dynamic => return Err(DerivationSyntax::InputEntry),
            _ => return Err(DerivationSyntax::Expected("[")),
        }
        Ok(node)
    }

    fn outputs(&mut self) -> Outcome<OutputNames> {
        let mut names = Vec::new();
        self.expect("[")?;
        while !self.end_of_list() {
            names.push(self.output_name()?);
        }
        Ok(names.into_iter().collect())
    }

    /// A variable, unless it is the structured attributes.
    fn variable(&mut self, drv: &mut Derivation) -> Outcome<Option<(Vec<u8>, Vec<u8>)>> {
        self.expect("(")?;
        let name = self.string()?;
        self.expect(",")?;
        let value = self.string()?;
        if name.as_ref() == JSON_VARIABLE.as_bytes() {
            drv.structured_attrs = Some(StructuredAttrs::parse(&value).map_err(DerivationSyntax::StructuredAttrs)?);
            self.expect(")")?;
            return Ok(None);
        }
        self.expect(")")?;
        Ok(Some((name.into_owned(), value.into_owned())))
    }

    fn skip(&mut self, text: &str) -> bool {
        let found = self.bytes[self.at..].starts_with(text.as_bytes());
        if found {
            self.at += text.len();
        }
        found
    }

    fn expect(&mut self, text: &'static str) -> Outcome<()> {
        if self.skip(text) { Ok(()) } else { Err(DerivationSyntax::Expected(text)) }
    }

    fn end_of_list(&mut self) -> bool {
        !self.skip(",") && self.skip("]")
    }

    fn path(&mut self) -> Outcome<Cow<'a, [u8]>> {
        let path = self.string()?;
        validate_path(&path)?;
        Ok(path)
    }

    /// The system: printed without escapes too.
    fn platform(&mut self) -> Outcome<Vec<u8>> {
        let platform = self.string()?;
        if !platform.iter().any(|byte| is_escaped(*byte)) {
            return Ok(platform.into_owned());
        }
        Err(DerivationSyntax::Platform(String::from_utf8_lossy(&platform).into_owned()))
    }

    /// The name of an output: printed without escapes, so it has none.
    fn output_name(&mut self) -> Outcome<String> {
        let name = self.text("the name of an output")?;
        if name.bytes().any(is_escaped) { Err(DerivationSyntax::OutputName(name)) } else { Ok(name) }
    }

    fn text(&mut self, noun: &'static str) -> Outcome<String> {
        String::from_utf8(self.string()?.into_owned()).map_err(|_| DerivationSyntax::NotUtf8(noun))
    }

    fn string(&mut self) -> Outcome<Cow<'a, [u8]>> {
        self.expect("\"")?;
        let rest = &self.bytes[self.at..];
        let plain = rest.iter().position(|b| matches!(b, b'"' | b'\\')).ok_or(DerivationSyntax::Unterminated)?;
        if rest[plain] == b'"' {
            self.at += plain + 1;
            return Ok(Cow::Borrowed(&rest[..plain]));
        }
        let mut value = rest[..plain].to_vec();
        let mut at = plain;
        loop {
            match rest.get(at).ok_or(DerivationSyntax::Unterminated)? {
                b'"' => break,
                b'\\' => {
                    value.push(match rest.get(at + 1).ok_or(DerivationSyntax::Unterminated)? {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        other => *other,
                    });
                    at += 2;
                }
                _ => {
                    let run = rest[at..].iter().position(|b| matches!(b, b'"' | b'\\'));
                    let run = run.ok_or(DerivationSyntax::Unterminated)?;
                    value.extend_from_slice(&rest[at..at + run]);
                    at += run;
                }
            }
        }
        self.at += at + 1;
        Ok(Cow::Owned(value))
    }
}

/// An output by the three texts that stand for it, here and on the wire: path, method with algorithm, digits or `impure`.
pub(in crate::derivation) fn output_of(
    store_dir: &StoreDir,
    path: &[u8],
    method: &str,
    digits: &str,
) -> Outcome<DerivationOutput> {
    if method.is_empty() {
        if path.is_empty() {
            return Ok(DerivationOutput::Deferred);
        }
        validate_path(path)?;
        return Ok(DerivationOutput::InputAddressed(store_dir.parse_bytes(path)?));
    }
    let (method, algorithm) = ContentAddressMethod::parse_with_algorithm(method)?;
    match digits {
        "impure" if !path.is_empty() => Err(DerivationSyntax::PathNotAllowed("impure")),
        "impure" => Ok(DerivationOutput::Impure { method, algorithm }),
        "" if !path.is_empty() => Err(DerivationSyntax::PathNotAllowed("content-addressing")),
        "" => Ok(DerivationOutput::CAFloating { method, algorithm }),
        digits => {
            validate_path(path)?;
            let hash = Hash::parse_unprefixed(digits, algorithm)?;
            Ok(DerivationOutput::CAFixed(ContentAddress { method, hash }))
        }
    }
}

fn validate_path(path: &[u8]) -> Outcome<()> {
    if path.starts_with(b"/") {
        Ok(())
    } else {
        Err(DerivationSyntax::BadPath(String::from_utf8_lossy(path).into_owned()))
    }
}
