//! The interner of names, and the append-only table under it.
//!
//! Numbers are given by first sight; 0.. are the names in [`sym`]. A symbol's text is a string value, made once, so that
//! `attrNames` and the like allocate nothing. Numbers must never show in results: whoever shows names sorts by bytes.

use super::{AtomicU64, ContextId, NonZeroU64, Ordering, Str, Value};
use crate::heap::Arena;
use crate::numbers::{Numbers, hash};
use crate::program::Symbol;
use std::sync::{Mutex, OnceLock, PoisonError};

const FIRST_CHUNK_BITS: u32 = 9;
const CHUNKS: usize = 24;

/// A table that only grows: elements never move, and are read without a lock.
#[derive(Debug)]
pub(crate) struct AppendTable<T> {
    chunks: [OnceLock<Box<[OnceLock<T>]>>; CHUNKS],
    len: Mutex<u32>,
}

impl<T> Default for AppendTable<T> {
    fn default() -> Self {
        AppendTable { chunks: [const { OnceLock::new() }; CHUNKS], len: Mutex::new(0) }
    }
}

/// Chunk and place in it; each chunk is twice as long as the one before.
#[inline(always)]
fn place(index: u32) -> (usize, usize) {
    let shifted = index + (1 << FIRST_CHUNK_BITS);
    let chunk = shifted.ilog2() - FIRST_CHUNK_BITS;
    (chunk as usize, (shifted - (1 << (chunk + FIRST_CHUNK_BITS))) as usize)
}

impl<T> AppendTable<T> {
    /// Adds an element and gives its number.
    pub(crate) fn push(&self, element: T) -> u32 {
        let mut len = self.len.lock().unwrap_or_else(PoisonError::into_inner);
        let index = *len;
        let (chunk, at) = place(index);
        let chunk_len = 1usize << (chunk as u32 + FIRST_CHUNK_BITS);
        let cells = self.chunks[chunk].get_or_init(|| (0..chunk_len).map(|_| OnceLock::new()).collect());
        let fresh = cells[at].set(element).is_ok();
        assert!(fresh, "a place of the table is filled once");
        *len += 1;
        index
    }

    /// The element with this number, if there is one.
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let (chunk, at) = place(index);
        self.chunks[chunk].get()?.get(at)?.get()
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> u32 {
        *self.len.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names by number: as [`AppendTable`], for words that are never zero, so that a place costs no more than its words
/// and fresh places need not be written. Beside each name stands how it starts, which decides nearly all comparisons of
/// names.
#[derive(Debug, Default)]
struct NameTable {
    chunks: [OnceLock<Box<[[AtomicU64; 3]]>>; CHUNKS],
}

/// The first sixteen bytes of a name as numbers that order as they do; what is missing counts as zeros.
pub(crate) type Start = [u64; 2];

impl NameTable {
    /// Sets the name with a number; only its holder, who holds the lock on the numbers.
    fn set(&self, index: u32, name: Str) {
        let (chunk, at) = place(index);
        let cells = self.chunks[chunk].get_or_init(|| zeroed(1 << (chunk as u32 + FIRST_CHUNK_BITS)));
        let [first, second] = start_of(name.bytes());
        cells[at][1].store(first, Ordering::Relaxed);
        cells[at][2].store(second, Ordering::Relaxed);
        cells[at][0].store(Value::from(name).word(), Ordering::Release);
    }

    #[inline(always)]
    fn get(&self, index: u32) -> Option<&[AtomicU64; 3]> {
        let (chunk, at) = place(index);
        self.chunks[chunk].get()?.get(at)
    }

    /// The name with a number.
    #[inline(always)]
    fn name(&self, index: u32) -> Option<Value> {
        NonZeroU64::new(self.get(index)?[0].load(Ordering::Acquire)).map(Value)
    }

    /// How the name with a number starts; it was set before somebody came to know the number.
    #[inline(always)]
    fn start(&self, index: u32) -> Option<Start> {
        let [_, first, second] = self.get(index)?;
        Some([first.load(Ordering::Relaxed), second.load(Ordering::Relaxed)])
    }
}

fn start_of(bytes: &[u8]) -> Start {
    let mut start = [0; 16];
    let len = bytes.len().min(16);
    start[..len].copy_from_slice(&bytes[..len]);
    let start = u128::from_be_bytes(start);
    [(start >> 64) as u64, start as u64]
}

/// So many zero words, which the system need not make present before they are used.
fn zeroed(len: usize) -> Box<[[AtomicU64; 3]]> {
    let mut words = vec![[0u64; 3]; len].into_boxed_slice();
    crate::os::prefer_huge_pages(&mut words);
    let words = Box::into_raw(words);
    // SAFETY: an atomic has the size and alignment of its integer, and every value of one is a value of the other.
    unsafe { Box::from_raw(words as *mut [[AtomicU64; 3]]) }
}

/// Names by number and numbers by name.
#[derive(Debug, Default)]
pub(crate) struct Symbols {
    names: NameTable,
    numbers: Mutex<Numbers>,
}

/// Such a hash as a table wants it, which looks at the highest and the lowest bits.
pub(super) fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Symbols {
    /// An interner that knows the names in [`sym`].
    pub(crate) fn new(arena: &mut Arena) -> Symbols {
        let symbols = Symbols::default();
        for (number, name) in FIXED.iter().enumerate() {
            let symbol = symbols.intern(arena, name.as_bytes());
            debug_assert_eq!(symbol.0 as usize, number, "the list of fixed names has no doubles");
        }
        symbols
    }

    /// The number of a name.
    pub(crate) fn intern(&self, arena: &mut Arena, name: &[u8]) -> Symbol {
        if let Some(symbol) = self.find(name) {
            return symbol;
        }
        // Made without the lock, which others may wait for; another thread may be faster.
        let text = Str::new(arena, name, ContextId::NONE);
        self.intern_text(text)
    }

    /// The number of a name, whose text from now on is this one if it is new.
    fn intern_text(&self, text: Str) -> Symbol {
        let name = text.bytes();
        let (hash, start) = (hash(name), start_of(name));
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        match numbers.find(hash, |symbol| self.is(symbol, name, start)) {
            Ok(symbol) => symbol,
            Err(at) => {
                let symbol = numbers.add(hash, at);
                self.names.set(symbol.0, text);
                text.cache_symbol(symbol);
                symbol
            }
        }
    }

    /// Whether the name with a number is this one. If it is short, how it starts says so: there are no zeros in names.
    #[inline(always)]
    fn is(&self, symbol: Symbol, name: &[u8], start: Start) -> bool {
        if name.len() < size_of::<Start>() { self.start(symbol) == start } else { self.bytes(symbol) == name }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).count()
    }

    /// The number of a string's text.
    #[inline]
    pub(crate) fn of(&self, arena: &mut Arena, string: Str) -> Symbol {
        if let Some(symbol) = string.cached_symbol() {
            return symbol;
        }
        let symbol = match string.context() {
            ContextId::NONE => self.intern_text(string),
            _ => self.intern(arena, string.bytes()),
        };
        string.cache_symbol(symbol);
        symbol
    }

    /// The number of a name, if anybody ever mentioned it.
    pub(crate) fn find(&self, name: &[u8]) -> Option<Symbol> {
        let (hash, start) = (hash(name), start_of(name));
        let numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.find(hash, |symbol| self.is(symbol, name, start)).ok()
    }

    /// Calls `visit` with every name, without a lock that an allocation may happen under.
    pub(crate) fn each_value(&self, visit: &mut dyn FnMut(Value)) {
        (0..).map_while(|number| self.names.name(number)).for_each(visit);
    }

    /// The name as a string value.
    pub(crate) fn value(&self, symbol: Symbol) -> Value {
        self.names.name(symbol.0).expect("symbols come from this interner")
    }

    /// How the name starts.
    #[inline(always)]
    pub(crate) fn start(&self, symbol: Symbol) -> Start {
        self.names.start(symbol.0).expect("symbols come from this interner")
    }

    /// The same, known to be one.
    pub(crate) fn string(&self, symbol: Symbol) -> Str {
        self.value(symbol).as_string().expect("names are strings")
    }

    /// The name.
    pub(crate) fn bytes(&self, symbol: Symbol) -> &'static [u8] {
        self.string(symbol).bytes()
    }

    /// The name as text.
    pub(crate) fn text(&self, symbol: Symbol) -> std::borrow::Cow<'static, str> {
        crate::text::bytes_as_text(self.bytes(symbol))
    }
}

macro_rules! fixed_symbols {
    ($($constant:ident = $name:literal),* $(,)?) => {
        /// Names with fixed numbers, so that code can name them without looking them up.
        pub(crate) mod sym {
            use crate::program::Symbol;

            $(#[doc = concat!("The name `", $name, "`.")] pub(crate) const $constant: Symbol = Symbol(super::fixed($name));)*
        }
    };
}

/// Where a fixed name stands.
const fn fixed(name: &str) -> u32 {
    let name = name.as_bytes();
    let mut number = 0;
    while number < FIXED.len() {
        let other = FIXED[number].as_bytes();
        let mut at = 0;
        while at < other.len() && at < name.len() && other[at] == name[at] {
            at += 1;
        }
        if at == other.len() && at == name.len() {
            return number as u32;
        }
        number += 1;
    }
    panic!("no fixed name")
}

/// The names that have numbers before any text is read. Attributes are evaluated in the order of their names' numbers where
/// all of them are, so the order is that in which C++ Nix comes to know these names: those it names itself, its builtins,
/// those of the file that defines `derivation`. Then come names of ours, which it meets in texts only.
const FIXED: &[&str] = &[
    "<with>",
    "outPath",
    "drvPath",
    "type",
    "meta",
    "name",
    "value",
    "system",
    "__overrides",
    "outputs",
    "outputName",
    "__ignoreNulls",
    "file",
    "line",
    "column",
    "__functor",
    "__toString",
    "right",
    "wrong",
    "__structuredAttrs",
    "__json",
    "allowedReferences",
    "allowedRequisites",
    "disallowedReferences",
    "disallowedRequisites",
    "maxSize",
    "maxClosureSize",
    "builder",
    "args",
    "__contentAddressed",
    "__impure",
    "outputHash",
    "outputHashAlgo",
    "outputHashMode",
    "recurseForDerivations",
    "description",
    "self",
    "startSet",
    "operator",
    "key",
    "path",
    "prefix",
    "outputSpecified",
    "__sub",
    "__lessThan",
    "__mul",
    "__div",
    "__findFile",
    "__nixPath",
    "builtins",
    "true",
    "false",
    "null",
    "__currentTime",
    "currentTime",
    "__currentSystem",
    "currentSystem",
    "__nixVersion",
    "nixVersion",
    "__storeDir",
    "storeDir",
    "__langVersion",
    "langVersion",
    "__traceVerbose",
    "traceVerbose",
    "nixPath",
    "scopedImport",
    "import",
    "__typeOf",
    "typeOf",
    "isNull",
    "__isFunction",
    "isFunction",
    "__isInt",
    "isInt",
    "__isFloat",
    "isFloat",
    "__isString",
    "isString",
    "__isBool",
    "isBool",
    "__isPath",
    "isPath",
    "__genericClosure",
    "genericClosure",
    "break",
    "abort",
    "throw",
    "__addErrorContext",
    "addErrorContext",
    "__ceil",
    "ceil",
    "__floor",
    "floor",
    "__tryEval",
    "tryEval",
    "__getEnv",
    "getEnv",
    "__seq",
    "seq",
    "__deepSeq",
    "deepSeq",
    "__trace",
    "trace",
    "__warn",
    "warn",
    "derivationStrict",
    "placeholder",
    "__toPath",
    "toPath",
    "__storePath",
    "storePath",
    "__pathExists",
    "pathExists",
    "baseNameOf",
    "dirOf",
    "__readFile",
    "readFile",
    "findFile",
    "__hashFile",
    "hashFile",
    "__readFileType",
    "readFileType",
    "__readDir",
    "readDir",
    "outputOf",
    "__toXML",
    "toXML",
    "__toJSON",
    "toJSON",
    "__fromJSON",
    "fromJSON",
    "__toFile",
    "toFile",
    "__filterSource",
    "filterSource",
    "__attrNames",
    "attrNames",
    "__attrValues",
    "attrValues",
    "__getAttr",
    "getAttr",
    "__unsafeGetAttrPos",
    "unsafeGetAttrPos",
    "__hasAttr",
    "hasAttr",
    "__isAttrs",
    "isAttrs",
    "removeAttrs",
    "__listToAttrs",
    "listToAttrs",
    "__intersectAttrs",
    "intersectAttrs",
    "__catAttrs",
    "catAttrs",
    "__functionArgs",
    "functionArgs",
    "__mapAttrs",
    "mapAttrs",
    "__zipAttrsWith",
    "zipAttrsWith",
    "__isList",
    "isList",
    "__elemAt",
    "elemAt",
    "__head",
    "head",
    "__tail",
    "tail",
    "map",
    "__filter",
    "filter",
    "__elem",
    "elem",
    "__concatLists",
    "concatLists",
    "__length",
    "length",
    "__foldl'",
    "foldl'",
    "__any",
    "any",
    "__all",
    "all",
    "__genList",
    "genList",
    "__sort",
    "sort",
    "__partition",
    "partition",
    "__groupBy",
    "groupBy",
    "__concatMap",
    "concatMap",
    "__add",
    "add",
    "sub",
    "mul",
    "div",
    "__bitAnd",
    "bitAnd",
    "__bitOr",
    "bitOr",
    "__bitXor",
    "bitXor",
    "lessThan",
    "toString",
    "__substring",
    "substring",
    "__stringLength",
    "stringLength",
    "__hashString",
    "hashString",
    "__convertHash",
    "convertHash",
    "__match",
    "match",
    "__split",
    "split",
    "__concatStringsSep",
    "concatStringsSep",
    "__replaceStrings",
    "replaceStrings",
    "__parseDrvName",
    "parseDrvName",
    "__compareVersions",
    "compareVersions",
    "__splitVersion",
    "splitVersion",
    "__unsafeDiscardStringContext",
    "unsafeDiscardStringContext",
    "__hasContext",
    "hasContext",
    "__unsafeDiscardOutputDependency",
    "unsafeDiscardOutputDependency",
    "__addDrvOutputDependencies",
    "addDrvOutputDependencies",
    "__getContext",
    "getContext",
    "__appendContext",
    "appendContext",
    "__fetchClosure",
    "fetchClosure",
    "fetchMercurial",
    "fetchTree",
    "__fetchurl",
    "fetchurl",
    "fetchTarball",
    "fetchGit",
    "fromTOML",
    "__getFlake",
    "getFlake",
    "__parseFlakeRef",
    "parseFlakeRef",
    "__flakeRefToString",
    "flakeRefToString",
    "derivation",
    "strict",
    "drvAttrs",
    "commonAttrs",
    "outputsList",
    "x",
    "outputToAttrListElement",
    "success",
    "version",
    "out",
    "mainProgram",
    "pname",
    "url",
    "sha256",
    "recursive",
    "allOutputs",
    "",
];

fixed_symbols! {
    NAME = "name", VALUE = "value", TYPE = "type", OUT_PATH = "outPath", DRV_PATH = "drvPath", FUNCTOR = "__functor",
    TO_STRING = "__toString", OUTPUT_NAME = "outputName", OUTPUTS = "outputs", KEY = "key", START_SET = "startSet",
    OPERATOR = "operator", RIGHT = "right", WRONG = "wrong", FILE = "file", LINE = "line", COLUMN = "column",
    SUCCESS = "success", OVERRIDES = "__overrides", PATH = "path", PREFIX = "prefix", VERSION = "version",
    SYSTEM = "system", BUILDER = "builder", ARGS = "args", OUTPUT_HASH = "outputHash",
    OUTPUT_HASH_ALGO = "outputHashAlgo", OUTPUT_HASH_MODE = "outputHashMode", IGNORE_NULLS = "__ignoreNulls",
    STRUCTURED_ATTRS = "__structuredAttrs", CONTENT_ADDRESSED = "__contentAddressed", IMPURE = "__impure",
    JSON = "__json", DRV_ATTRS = "drvAttrs", ALL = "all", OUT = "out", META = "meta", MAIN_PROGRAM = "mainProgram",
    PNAME = "pname", RECURSE_FOR_DERIVATIONS = "recurseForDerivations", BUILTINS = "builtins", URL = "url",
    SHA256 = "sha256", FILTER = "filter", RECURSIVE = "recursive", ALL_OUTPUTS = "allOutputs",
    DERIVATION = "derivation", EMPTY = "", ALLOWED_REFERENCES = "allowedReferences",
    ALLOWED_REQUISITES = "allowedRequisites", DISALLOWED_REFERENCES = "disallowedReferences",
    DISALLOWED_REQUISITES = "disallowedRequisites", MAX_SIZE = "maxSize", MAX_CLOSURE_SIZE = "maxClosureSize",
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::Region;
    use std::sync::Arc;

    #[test]
    fn names_and_numbers() {
        let mut arena = Arena::new(Arc::new(Region::default()));
        let symbols = Symbols::new(&mut arena);
        assert_eq!(symbols.intern(&mut arena, b"name"), sym::NAME);
        let names: Vec<String> = (0..5000).map(|n| format!("n{n}")).collect();
        let numbers: Vec<Symbol> = names.iter().map(|name| symbols.intern(&mut arena, name.as_bytes())).collect();
        for (name, number) in names.iter().zip(&numbers) {
            assert_eq!(symbols.bytes(*number), name.as_bytes());
            assert_eq!(symbols.find(name.as_bytes()), Some(*number));
        }
        assert_eq!(symbols.find(b"never seen"), None);
    }

    #[test]
    fn table_keeps_its_elements() {
        let table = AppendTable::default();
        for n in 0..10_000u32 {
            assert_eq!(table.push(n * 3), n);
        }
        assert_eq!(table.len(), 10_000);
        assert!((0..10_000).all(|n| table.get(n) == Some(&(n * 3))));
        assert_eq!(table.get(10_000), None);
    }
}
