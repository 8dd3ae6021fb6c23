//! Hashes.

use super::builtins;
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Eval, Outcome};
use crate::value::Value;
use store_model::{Hash, HashAlgorithm, HashFormat};

builtins! {
    /// The hash of a string in base 16, by `md5`, `sha1`, `sha256`, `sha512` or `blake3`.
    "__hashString" / 2 => hash_string;
    /// The hash of a file's contents in base 16, by `md5`, `sha1`, `sha256`, `sha512` or `blake3`.
    "__hashFile" / 2 => hash_file;
    /// A hash in another form: of `{ hash, toHashFormat, hashAlgo }`, where the format is `base16`, `nix32`, `base64` or
    /// `sri`, and the algorithm may be left out if the hash says it.
    "__convertHash" / 1 => convert_hash;
}

/// An algorithm by its name. Unknown ones are refused in the words of the caller's builtin.
fn algorithm(eval: &mut Eval, value: Value, text: &'static str) -> Result<HashAlgorithm, EvalError> {
    let name = eval.expect_plain_string(value, text)?;
    let name = crate::text::bytes_as_text(name.bytes());
    let algorithm = HashAlgorithm::parse(&name).map_err(|error| EvalError::new(ErrorKind::Usage, error.to_string()))?;
    permitted(eval, algorithm)
}

/// Fails where an algorithm is experimental and not switched on.
pub(crate) fn permitted(eval: &Eval, algorithm: HashAlgorithm) -> Result<HashAlgorithm, EvalError> {
    let enabled = |feature: &str| eval.shared.options.has_feature(feature);
    algorithm.permitted(enabled).map_err(|error| EvalError::eval(error.to_string()))
}

/// A hash that users wrote.
pub(crate) fn parse_any(eval: &Eval, text: &str, expected: Option<HashAlgorithm>) -> Result<Hash, EvalError> {
    if let Some(algorithm) = HashAlgorithm::of_prefix(text).or(expected) {
        permitted(eval, algorithm)?;
    }
    Hash::parse_any(text, expected).map_err(|error| EvalError::eval(error.to_string()))
}

fn hash_string(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the first argument passed to builtins.hashString";
    let algorithm = algorithm(eval, args[0], text)?;
    let text = "while evaluating the second argument passed to builtins.hashString";
    let string = eval.expect_string(args[1], text)?;
    let hash = Hash::of(algorithm, string.bytes()).to_base16();
    Ok(eval.string(hash.as_bytes()))
}

fn hash_file(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the first argument passed to builtins.hashFile";
    let algorithm = algorithm(eval, args[0], text)?;
    let path = eval.realise_path(args[1])?;
    let (_, contents) = eval.read(&path, |path| eval.shared.world.read_file(path))?;
    let hash = Hash::of(algorithm, &contents).to_base16();
    Ok(eval.string(hash.as_bytes()))
}

fn convert_hash(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the first argument passed to builtins.convertHash";
    let set = eval.expect_attrs(args[0], text)?;
    let [hash, hash_algo, to_format] = [&b"hash"[..], b"hashAlgo", b"toHashFormat"].map(|name| eval.intern(name));
    let value = eval.required(set, hash, "while locating the attribute 'hash'")?;
    let hash = eval.expect_plain_string(value, "while evaluating the attribute 'hash'")?;
    let algorithm = match set.value(hash_algo) {
        Some(value) => Some(algorithm(eval, value, "while evaluating the attribute 'hashAlgo'")?),
        None => None,
    };
    let value = eval.required(set, to_format, "while locating the attribute 'toHashFormat'")?;
    let format = eval.expect_plain_string(value, "while evaluating the attribute 'toHashFormat'")?;
    if format.bytes() == b"base32" {
        eval.effect()?;
        eval.activity.warn("\"base32\" is a deprecated alias for hash format \"nix32\".");
    }
    let format = HashFormat::parse(&String::from_utf8_lossy(format.bytes()));
    let format = format.map_err(|error| EvalError::new(ErrorKind::Usage, error.to_string()))?;
    let hash = parse_any(eval, &String::from_utf8_lossy(hash.bytes()), algorithm)?;
    let text = hash.format(format, format == HashFormat::Sri);
    Ok(eval.string(text.as_bytes()))
}
