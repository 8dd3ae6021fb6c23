//! What can be wrong with the text of a store noun. The wording is C++ Nix 2.34's where its tools print it.
//!
//! Absent: anything about files or networks; this crate has none.

use crate::hash::HashAlgorithm;

/// A malformed hash, name, path, derivation or other noun. Nothing was read from or written to anywhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The algorithm's name is none of Nix's.
    #[error("unknown hash algorithm '{0}', expect 'blake3', 'md5', 'sha1', 'sha256', or 'sha512'")]
    UnknownHashAlgorithm(String),
    /// blake3 is experimental and not switched on.
    #[error(
        "experimental Nix feature 'blake3-hashes' is disabled; add '--extra-experimental-features blake3-hashes' to enable it"
    )]
    Blake3Disabled,
    /// The name of a hash encoding is none of Nix's.
    #[error("unknown hash format '{0}', expect 'base16', 'base32', 'base64', or 'sri'")]
    UnknownHashFormat(String),
    /// A hash that must carry its algorithm does not.
    #[error("hash '{0}' does not include a type")]
    HashWithoutType(String),
    /// Neither the hash nor the caller names an algorithm.
    #[error("hash '{0}' does not include a type, nor is the type otherwise known from context")]
    HashTypeUnknown(String),
    /// The hash names another algorithm than the caller expects.
    #[error("hash '{text}' should have type '{expected}'")]
    HashTypeMismatch {
        /// The hash as given, without the algorithm before it.
        text: String,
        /// The algorithm that the caller wants.
        expected: HashAlgorithm,
    },
    /// No encoding of this algorithm's digest has that many characters.
    #[error("hash '{text}' has wrong length for hash algorithm '{algorithm}'")]
    HashWrongLength {
        /// The digits.
        text: String,
        /// Its algorithm.
        algorithm: HashAlgorithm,
    },
    /// Not of the form `<algorithm>-<base64>`.
    #[error("hash '{0}' is not SRI")]
    HashNotSri(String),
    /// The digits decode to the wrong number of bytes (0 when they do not decode at all).
    #[error("invalid {encoding} hash '{text}', length {got} != expected length {expected}")]
    HashDigits {
        /// base16, nix32, Base64 or SRI.
        encoding: &'static str,
        /// The digits.
        text: String,
        /// Bytes decoded.
        got: usize,
        /// Bytes of the algorithm's digest.
        expected: usize,
    },
    /// A digest of the wrong number of bytes was given for an algorithm.
    #[error("a {algorithm} digest has {} bytes, not {got}", algorithm.size())]
    DigestLength {
        /// The algorithm.
        algorithm: HashAlgorithm,
        /// The number of bytes given.
        got: usize,
    },
    /// A digit that the encoding does not have.
    #[error("invalid character in {encoding} string: '{character}'")]
    InvalidCharacter {
        /// Base16, Nix32 (Nix's Base32 variation) or Base64.
        encoding: &'static str,
        /// The character.
        character: char,
    },
    /// Base16 with an odd number of digits.
    #[error("base16 string '{0}' has an odd number of digits")]
    OddBase16(String),

    /// The name part of a store path is empty.
    #[error("name must not be empty")]
    NameEmpty,
    /// The name part of a store path is too long.
    #[error("name '{0}' must be no longer than 211 characters")]
    NameTooLong(String),
    /// `.` or `..`.
    #[error("name '{0}' is not valid")]
    NameInvalid(String),
    /// `.-x` or `..-x`.
    #[error("name '{name}' is not valid: first dash-separated component must not be '{component}'")]
    NameFirstComponent {
        /// The name.
        name: String,
        /// `.` or `..`.
        component: &'static str,
    },
    /// A character that names of store objects may not have.
    #[error("name '{name}' contains illegal character '{character}'")]
    NameIllegalCharacter {
        /// The name.
        name: String,
        /// The character.
        character: char,
    },
    /// The name part of this path is not valid.
    #[error("path '{path}' is not a valid store path: {source}")]
    PathName {
        /// The last component of the path.
        path: String,
        /// What is wrong with the name in it.
        source: Box<Error>,
    },
    /// Shorter than a hash and a dash.
    #[error("'{0}' is too short to be a valid store path")]
    PathTooShort(String),
    /// The hash part has a character outside the nix32 alphabet.
    #[error("store path '{path}' contains illegal base-32 character '{character}'")]
    PathHashCharacter {
        /// The last component of the path.
        path: String,
        /// The character.
        character: char,
    },
    /// Not a path directly inside the store folder.
    #[error("path \"{0}\" is not in the Nix store")]
    NotInStore(String),
    /// A path that should be absolute.
    #[error("not an absolute path: '{0}'")]
    NotAbsolute(String),
    /// A store path that should name a derivation.
    #[error("store path '{0}' is not a valid derivation path")]
    NotDerivation(String),

    /// Not `<prefix>:<rest>`.
    #[error("not a content address because it is not in the form '<prefix>:<rest>': {0}")]
    ContentAddressForm(String),
    /// No algorithm before the digits.
    #[error("content address hash must be in form '<algo>:<hash>', but found: {0}")]
    ContentAddressHash(String),
    /// The prefix is neither `text` nor `fixed`.
    #[error("content address prefix '{0}' is unrecognized. Recogonized prefixes are 'text' or 'fixed'")]
    ContentAddressPrefix(String),
    /// Not `flat`, `nar`, `text` or `git`.
    #[error("Unknown file ingestion method '{0}', expect `flat`, `nar`, or `git`")]
    UnknownMethod(String),
    /// Git trees are hashed by sha1 or sha256 only.
    #[error("Git file ingestion must use SHA-1 or SHA-256 hash, but instead using: {0}")]
    GitAlgorithm(HashAlgorithm),
    /// Only recursive sha256 and text objects may refer to others.
    #[error(
        "fixed output derivation '{0}' is not allowed to refer to other store paths.\nYou may need to use the 'unsafeDiscardReferences' derivation attribute, see the manual for more details."
    )]
    FixedWithReferences(String),
    /// Text objects may not refer to themselves.
    #[error("self-reference not allowed with text hashing")]
    TextSelfReference,

    /// The ATerm form of a derivation is broken.
    #[error("error parsing derivation '{name}': {message} at byte {offset}")]
    DerivationSyntax {
        /// The derivation's name.
        name: String,
        /// What was expected.
        message: DerivationSyntax,
        /// Where.
        offset: usize,
    },
    /// A derivation that came in parts has one that no derivation may have.
    #[error("error in derivation '{name}': {message}")]
    DerivationPart {
        /// The derivation's name.
        name: String,
        /// Which, and why not.
        message: DerivationSyntax,
    },
    /// The JSON form of a derivation, path or realisation is broken.
    #[error("invalid JSON of {noun}: {message}")]
    Json {
        /// What the JSON should be.
        noun: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The version of a derivation's JSON is not 4.
    #[error("Unsupported derivation JSON format version {0}, only format version 4 is currently supported.")]
    DerivationJsonVersion(u64),
    /// `__json` is reserved.
    #[error("Cannot have an environment variable named '__json'. This key is reserved for encoding structured attrs")]
    ReservedJsonVariable,
    /// The outputs are of several kinds.
    #[error("can't mix derivation output types")]
    MixedOutputs,
    /// More than one fixed output.
    #[error("only one fixed output is allowed for now")]
    SeveralFixedOutputs,
    /// A fixed output that is not `out`.
    #[error("single fixed output must be named \"out\"")]
    FixedOutputName,
    /// Floating outputs with several algorithms.
    #[error("all floating outputs must use the same hash algorithm")]
    MixedFloatingAlgorithms,
    /// No output at all.
    #[error("must have at least one output")]
    NoOutputs,
    /// A wanted output does not exist.
    #[error("no hash for output '{output}' of derivation '{derivation}'")]
    NoHashForOutput {
        /// The output.
        output: String,
        /// The derivation that wants it.
        derivation: String,
    },
    /// The path of an output is not the one its derivation gives.
    #[error("derivation has incorrect output '{got}', should be '{expected}'")]
    WrongOutputPath {
        /// The path in the derivation.
        got: String,
        /// The path it should have, or `deferred`.
        expected: String,
    },
    /// The variable of an output is not its path.
    #[error("derivation has incorrect environment variable '{name}', should be '{expected}' but is actually '{got}'")]
    WrongOutputVariable {
        /// The output.
        name: String,
        /// Its path.
        expected: String,
        /// The variable's value.
        got: String,
    },
    /// The variable of an output is absent.
    #[error("derivation has missing environment variable '{name}', should be '{expected}' but is not present")]
    MissingOutputVariable {
        /// The output.
        name: String,
        /// Its path.
        expected: String,
    },
    /// The name inside and the name of the path differ.
    #[error("derivation '{path}' has name '{name}' which does not match its path")]
    DerivationNameMismatch {
        /// The path of the derivation.
        path: String,
        /// The derivation's own name.
        name: String,
    },
    /// An attribute that the builder reads has the wrong type or form.
    #[error("attribute '{name}' of the derivation: {message}")]
    DerivationAttribute {
        /// The attribute.
        name: String,
        /// What is wrong.
        message: String,
    },

    /// Not `<derivation hash>!<output>`.
    #[error("Invalid derivation output id {0}")]
    DrvOutputId(String),
    /// An output specification with an empty or illegal name.
    #[error("invalid extended outputs specifier '{0}'")]
    OutputsSpec(String),
    /// A signature or key that is not `<name>:<base64>`.
    #[error("{0} is corrupt")]
    SignatureForm(&'static str),
    /// A key or signature of the wrong number of bytes, or no point of the curve.
    #[error("{0} is not valid")]
    KeyInvalid(&'static str),
    /// A path without its size cannot be signed.
    #[error("cannot calculate fingerprint of path '{0}' because its size is not known")]
    FingerprintWithoutSize(String),
    /// A `.narinfo` is broken.
    #[error("NAR info file '{whence}' is corrupt: {reason}")]
    NarInfo {
        /// Where it came from.
        whence: String,
        /// What is wrong, with the line.
        reason: String,
    },
    /// A number for a build's end that the protocol does not have.
    #[error("Invalid BuildResult status {0} from remote")]
    BuildStatus(u64),
}

/// What the parser of the ATerm form expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DerivationSyntax {
    /// This literal text.
    #[error("expected string '{0}'")]
    Expected(&'static str),
    /// The closing quote.
    #[error("unterminated string in derivation")]
    Unterminated,
    /// A store path or an absolute one.
    #[error("bad path '{0}' in derivation")]
    BadPath(String),
    /// `Derive` or `DrvWithVersion`.
    #[error("derivation does not start with 'Derive' or 'DrvWithVersion'")]
    Start,
    /// The only version is `xp-dyn-drv`.
    #[error("Unknown derivation ATerm format version '{0}'")]
    Version(String),
    /// A list or a parenthesis.
    #[error("invalid inputDrvs entry in derivation")]
    InputEntry,
    /// An output that has a path and may not.
    #[error("{0} derivation output should not specify output path")]
    PathNotAllowed(&'static str),
    /// A name that would be written with escapes.
    #[error("bad output name '{0}' in derivation")]
    OutputName(String),
    /// A system that would be written with escapes.
    #[error("bad system type '{0}' in derivation")]
    Platform(String),
    /// Text that must be UTF-8 and is not.
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    /// Outputs of outputs of outputs, beyond any use.
    #[error("dynamic outputs are nested too deeply")]
    TooDeep,
    /// Something of another noun inside the derivation.
    #[error("{0}")]
    Inner(Box<Error>),
    /// Structured attributes that are not a JSON object.
    #[error("cannot process __json attribute: {0}")]
    StructuredAttrs(String),
}
