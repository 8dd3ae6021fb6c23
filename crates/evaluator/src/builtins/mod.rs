//! The builtin functions: one file per subject, one table.
//!
//! # How a builtin is written
//!
//! A subject file ends its head with one [`builtins!`] list; each entry is `/// manual entry`, `"name" / arity =>
//! function;` and the function has the type [`BuiltinFn`]. The name is that of the base scope: `map` is visible as `map`
//! and `builtins.map`, `__add` as `__add` and `builtins.add`. Extra fields follow in parentheses: `"fetchTree" / 1 =>
//! fetch_tree (feature: Some("fetch-tree"));`. The file's list is named in [`GROUPS`] below.
//!
//! * Arguments come unevaluated, exactly `arity` of them. Evaluate with `eval.force` or `eval.expect_…(value, text)`; the
//!   text is C++ Nix's trace phrase (`"while evaluating the first argument passed to builtins.map"`).
//! * The result may be a thunk (`head`); the caller forces it. "while calling the 'x' builtin" is added by the caller.
//! * No `Value` in `Vec` or `HashMap`: push scratch values on `eval.stack` (note its height first; the caller of the
//!   builtin truncates it), or fill a `ListBuilder`/`AttrSetBuilder` of known capacity. References to attributes
//!   (`Attr`) may be kept in a `Vec` while the set itself is held in a variable.
//! * Strings: `eval.string(bytes)`, `Str::new(&mut eval.arena, bytes, context)`; text is bytes, never assumed UTF-8.
//!   Contexts are joined with `eval.shared.contexts.union`. `eval.coerce(value, Coercion::…, text)` gives a string.
//! * Names: `eval.symbol_of(str)`, `eval.intern(bytes)`, fixed ones in `value::sym`. Whatever shows names sorts them:
//!   [`in_name_order`].
//! * Functions are called with `eval.call(function, &[a, b])`. Long loops without calls poll `eval.poll()?` every 4096
//!   steps or 64 KB.
//! * Errors: `EvalError::eval(words)`, `EvalError::type_error(words)`, `EvalError::new(kind, words)`.
//! * State that must outlive a call (compiled patterns) is a field of [`Caches`].

pub(crate) mod attrs;
pub(crate) mod context;
pub(crate) mod control;
pub(crate) mod derivation;
pub(crate) mod fetch;
pub(crate) mod fetch_tree;
pub(crate) mod hash;
pub(crate) mod json;
pub(crate) mod lists;
pub(crate) mod numbers;
pub(crate) mod paths;
pub(crate) mod regex;
pub(crate) mod sort;
pub(crate) mod store;
pub(crate) mod strings;
pub(crate) mod toml;
pub(crate) mod types;
pub(crate) mod versions;
pub(crate) mod xml;

use crate::error::EvalError;
use crate::eval::{Eval, Outcome};
use crate::options::EvalOptions;
use crate::value::{Attr, AttrSet, AttrSetBuilder, List, ListBuilder, Pos, Start, Value, sym};
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// The most arguments a builtin takes.
pub(crate) const MAX_ARITY: usize = 4;

/// A builtin's code.
pub(crate) type BuiltinFn = fn(&mut Eval, &[Value]) -> Outcome;

/// A builtin function.
#[derive(Clone, Copy)]
pub(crate) struct Builtin {
    /// Its name in the base scope.
    pub(crate) name: &'static str,
    /// How many arguments it takes, at least one.
    pub(crate) arity: u8,
    /// Its code.
    pub(crate) function: BuiltinFn,
    /// Its manual entry.
    pub(crate) doc: &'static str,
    /// The experimental feature it needs.
    pub(crate) feature: Option<&'static str>,
    /// Errors say "while calling the '…' builtin".
    pub(crate) traced: bool,
    /// It passes for a function written in the language (`derivation`).
    pub(crate) shown_as_lambda: bool,
    /// Not in the base scope nor in `builtins`: made by other builtins only.
    pub(crate) hidden: bool,
}

impl Builtin {
    /// What most builtins are; the name, arity, code and entry are replaced.
    pub(crate) const PLAIN: Builtin = Builtin {
        name: "",
        arity: 1,
        function: |_, _| Ok(Value::NULL),
        doc: "",
        feature: None,
        traced: true,
        shown_as_lambda: false,
        hidden: false,
    };

    /// Its name in the set `builtins`.
    pub(crate) fn plain_name(&self) -> &'static str {
        self.name.strip_prefix("__").unwrap_or(self.name)
    }

    fn is_enabled(&self, options: &EvalOptions) -> bool {
        !self.hidden && self.feature.is_none_or(|feature| options.has_feature(feature))
    }
}

/// Lists the builtins of a file; see the module head.
macro_rules! builtins {
    ($($(#[doc = $doc:literal])+ $name:literal / $arity:literal => $function:expr $(, ($($field:ident: $value:expr),*))?;)*) => {
        /// The builtins of this file.
        pub(crate) const BUILTINS: &[$crate::builtins::Builtin] = &[$($crate::builtins::Builtin {
            name: $name,
            arity: $arity,
            function: $function,
            doc: concat!($($doc, "\n"),+),
            $($($field: $value,)*)?
            ..$crate::builtins::Builtin::PLAIN
        }),*];
    };
}
pub(crate) use builtins;

/// The lists of all files.
const GROUPS: &[&[Builtin]] = &[
    attrs::BUILTINS,
    context::BUILTINS,
    control::BUILTINS,
    derivation::BUILTINS,
    derivation::dynamic::BUILTINS,
    fetch::BUILTINS,
    fetch_tree::BUILTINS,
    hash::BUILTINS,
    json::BUILTINS,
    lists::BUILTINS,
    numbers::BUILTINS,
    paths::BUILTINS,
    regex::BUILTINS,
    sort::BUILTINS,
    store::BUILTINS,
    strings::BUILTINS,
    toml::BUILTINS,
    types::BUILTINS,
    versions::BUILTINS,
    xml::BUILTINS,
];

const COUNT: usize = {
    let mut count = 0;
    let mut group = 0;
    while group < GROUPS.len() {
        count += GROUPS[group].len();
        group += 1;
    }
    count
};

/// All builtins by number.
pub(crate) static TABLE: [Builtin; COUNT] = {
    let mut table = [Builtin::PLAIN; COUNT];
    let (mut group, mut at) = (0, 0);
    while group < GROUPS.len() {
        let mut index = 0;
        while index < GROUPS[group].len() {
            table[at] = GROUPS[group][index];
            at += 1;
            index += 1;
        }
        group += 1;
    }
    table
};

/// State of builtins that keep some, one per evaluator.
#[derive(Default)]
pub(crate) struct Caches {
    /// Compiled regular expressions.
    pub(crate) patterns: regex::Patterns,
    /// Entries of the search path that were warned of because nothing is there.
    pub(crate) missing_entries: std::sync::Mutex<std::collections::BTreeSet<Vec<u8>>>,
}

/// Values of the base scope that are no functions; their numbers follow those of [`TABLE`].
const CONSTANTS: &[&str] = &[
    "builtins",
    "true",
    "false",
    "null",
    "__currentSystem",
    "__currentTime",
    "__langVersion",
    "__nixPath",
    "__nixVersion",
    "__storeDir",
];

/// The numbers of all names, enabled or not.
static NUMBERS: LazyLock<FxHashMap<&'static [u8], u32>> = LazyLock::new(|| {
    let functions = TABLE.iter().map(|builtin| if builtin.hidden { "" } else { builtin.name });
    let names = functions.chain(CONSTANTS.iter().copied());
    names
        .enumerate()
        .filter(|(_, name)| !name.is_empty())
        .map(|(number, name)| (name.as_bytes(), number as u32))
        .collect()
});

/// The number of a name of the base scope.
pub(crate) fn global_number(name: &[u8], options: &EvalOptions) -> Option<u32> {
    let number = *NUMBERS.get(name)?;
    match TABLE.get(number as usize) {
        Some(builtin) => builtin.is_enabled(options).then_some(number),
        None => (!options.pure || !is_impure(CONSTANTS[number as usize - COUNT])).then_some(number),
    }
}

/// How many numbers there are.
pub(crate) fn global_count() -> u32 {
    (COUNT + CONSTANTS.len()) as u32
}

/// The number of a builtin function in [`TABLE`], hidden ones included.
pub(crate) const fn number_of(name: &str) -> u16 {
    let mut number = 0;
    while number < COUNT {
        if same(TABLE_NAMES[number], name) {
            return number as u16;
        }
        number += 1;
    }
    panic!("no such builtin")
}

const TABLE_NAMES: [&str; COUNT] = {
    let mut names = [""; COUNT];
    let (mut group, mut at) = (0, 0);
    while group < GROUPS.len() {
        let mut index = 0;
        while index < GROUPS[group].len() {
            names[at] = GROUPS[group][index].name;
            at += 1;
            index += 1;
        }
        group += 1;
    }
    names
};

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

fn is_impure(constant: &str) -> bool {
    matches!(constant, "__currentSystem" | "__currentTime")
}

fn constant(eval: &mut Eval, name: &str) -> Option<Value> {
    let shared = eval.shared.clone();
    if shared.options.pure && is_impure(name) {
        return None;
    }
    Some(match name {
        "true" => Value::TRUE,
        "false" => Value::FALSE,
        "null" => Value::NULL,
        "__currentSystem" => eval.string(shared.options.system.as_bytes()),
        // What looks at the time is never remembered: the value is told from others when it is met.
        "__currentTime" => {
            let now = Value::int(&mut eval.arena, shared.world.current_time());
            crate::value::Thunk::witnessed(&mut eval.arena, now, crate::record::ReadSet::TIME).into()
        }
        "__langVersion" => Value::int(&mut eval.arena, 6),
        "__nixPath" => search_path_value(eval),
        "__nixVersion" => eval.string(shared.options.nix_version.as_bytes()),
        "__storeDir" => eval.string(shared.world.store_dir().as_str().as_bytes()),
        _ => return None,
    })
}

fn search_path_value(eval: &mut Eval) -> Value {
    let shared = eval.shared.clone();
    let mut list = ListBuilder::new(&mut eval.arena, shared.options.search_path.len());
    for entry in &shared.options.search_path {
        let prefix = eval.string(&entry.prefix);
        let path = eval.string(&entry.value);
        let set = eval.make_attrs(&[(sym::PREFIX, prefix), (sym::PATH, path)]);
        list.push(set.into());
    }
    list.finish().into()
}

/// Makes the base scope: every builtin and constant at its number.
pub(crate) fn base_scope(eval: &mut Eval) -> List {
    let shared = eval.shared.clone();
    let mut globals = ListBuilder::new(&mut eval.arena, COUNT + CONSTANTS.len());
    let mut set = AttrSetBuilder::new(&mut eval.arena, COUNT + CONSTANTS.len());
    for (number, builtin) in TABLE.iter().enumerate() {
        let value = Value::builtin(number as u16);
        globals.push(value);
        if builtin.is_enabled(&shared.options) {
            let name = eval.intern(builtin.plain_name().as_bytes());
            set.push(name, Pos::NONE, value);
        }
    }
    for name in CONSTANTS {
        let value = constant(eval, name);
        globals.push(value.unwrap_or(Value::NULL));
        // `builtins` holds itself; the place is filled once the set is made.
        if let Some(value) = value.or((*name == "builtins").then_some(Value::NULL)) {
            let name = eval.intern(name.strip_prefix("__").unwrap_or(name).as_bytes());
            set.push(name, Pos::NONE, value);
        }
    }
    let set = set.finish(&mut eval.arena);
    if let Some(own) = set.get(sym::BUILTINS) {
        own.value.set(set.into());
    }
    let globals = globals.finish();
    globals.cells()[COUNT].set(set.into());
    globals
}

/// The attributes of a set by the bytes of their names. The set is kept on the value stack, so that the attributes stay
/// as long as the builtin that asks runs.
pub(crate) fn in_name_order(eval: &mut Eval, set: AttrSet) -> Vec<Attr> {
    eval.stack.push(set.into());
    let symbols = &eval.shared.symbols;
    let mut attrs: Vec<(Start, Attr)> = set.iter().map(|attr| (symbols.start(attr.name), attr)).collect();
    // The first bytes decide most comparisons without following a pointer.
    let name = |attr: &Attr| symbols.bytes(attr.name);
    attrs.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| name(&a.1).cmp(name(&b.1))));
    attrs.into_iter().map(|(_, attr)| attr).collect()
}

/// Evaluates to a Boolean what a predicate gave.
pub(crate) fn truth(eval: &mut Eval, value: Value, text: &'static str) -> Result<bool, EvalError> {
    match value {
        Value::TRUE => Ok(true),
        Value::FALSE => Ok(false),
        other => eval.expect_bool(other, text),
    }
}

/// The manual entries of all enabled builtins: (name, arity, text), in byte order of names.
pub(crate) fn manual(options: &EvalOptions) -> Vec<(&'static str, u8, &'static str)> {
    let enabled = TABLE.iter().filter(|builtin| builtin.is_enabled(options));
    let mut entries: Vec<_> = enabled.map(|builtin| (builtin.plain_name(), builtin.arity, builtin.doc)).collect();
    entries.sort_unstable();
    entries
}

/// The name, arity and description of a builtin.
pub(crate) fn describe(number: u16) -> (&'static str, u8, &'static str) {
    let builtin = &TABLE[number as usize];
    (builtin.plain_name(), builtin.arity, builtin.doc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_arities_in_range() {
        let mut names: Vec<&str> = TABLE.iter().map(|builtin| builtin.plain_name()).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(TABLE.iter().all(|builtin| (1..=MAX_ARITY).contains(&(builtin.arity as usize))));
        assert!(TABLE.iter().all(|builtin| !builtin.doc.trim().is_empty()));
    }

    #[test]
    fn the_manual_holds_what_is_enabled_in_order() {
        let mut options = EvalOptions::default();
        let entries = manual(&options);
        assert!(entries.is_sorted() && entries.len() > 90);
        let find = |entries: &[(&str, u8, &'static str)], name: &str| {
            entries.iter().find(|entry| entry.0 == name).map(|(_, arity, text)| (*arity, text.trim()))
        };
        assert_eq!(find(&entries, "length"), Some((1, "The number of elements.")));
        assert_eq!(find(&entries, "elemAt"), Some((2, "The element at an index, counted from 0.")));
        assert_eq!(find(&entries, "fetchTree"), None);
        assert_eq!(find(&entries, "derivationPath"), None);
        options.experimental_features.insert("fetch-tree".to_owned());
        assert!(find(&manual(&options), "fetchTree").is_some_and(|(arity, _)| arity == 1));
    }
}
