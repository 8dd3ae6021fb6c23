//! Derivations: the lazy wrapper `derivation`, `derivationStrict`, derivations read back by `import`.
//!
//! `derivationStrict` walks in stages: [`attributes`] evaluates the attributes in byte order of their names and collects
//! them; [`context`] turns the context of all their strings into inputs; [`outputs`] decides the kind of the outputs;
//! [`finish`] computes paths, hands the `.drv` to the world, remembers its hash, and makes the resulting set.
//!
//! Absent on purpose: formats and hashing (`store-model`), writing (`World`).

mod attributes;
mod context;
pub(crate) mod dynamic;
mod finish;
mod outputs;
pub(crate) mod places;

use super::builtins;
use crate::error::EvalError;
use crate::eval::{Eval, Outcome, Shared};
use crate::program::Symbol;
use crate::value::{AttrSet, AttrSetBuilder, ContextElement, List, ListBuilder, Partial, Pos, Str, Thunk, Value, sym};
use store_model::StorePath;
use store_model::derivation::HashModulo;
use store_model::derivation::hash_modulo::hash_modulo;

builtins! {
    /// The derivation of a set of attributes (`name`, `system`, `builder`, `args`, `outputs`, …), made lazily: the set with
    /// `type`, `drvPath`, `outPath`, `outputName`, `all`, `drvAttrs` and one attribute per output.
    "derivation" / 1 => derivation, (traced: false, shown_as_lambda: true);
    /// The paths of a derivation at once: `drvPath` and one attribute per output. Use `derivation`.
    "derivationStrict" / 1 => strict;
    /// An attribute of what `derivationStrict` gave; made by `derivation` only.
    "__derivationPath" / 2 => derivation_path, (traced: false, hidden: true);
    /// `derivationStrict`, called where `derivation` calls it.
    "__derivationResult" / 1 => |eval, args| {
        strict(eval, args).map_err(|error| error.trace(places::STRICT, "while calling the 'derivationStrict' builtin"))
    }, (traced: false, hidden: true);
    /// A part of what `derivation` gives, which is known but shows as not yet evaluated, as in C++ Nix.
    "__derivationPart" / 1 => |eval, args| eval.force(args[0]), (traced: false, hidden: true);
}

impl Eval {
    /// The hash that stands for a derivation in those that use it.
    fn hash_of_derivation<'a>(&mut self, shared: &'a Shared, path: &StorePath) -> Result<&'a HashModulo, EvalError> {
        if let Some(hash) = shared.contexts.hash_of(path) {
            return Ok(hash);
        }
        self.deeper(|eval| {
            let drv = shared.world.read_derivation(path)?;
            let mut failure = None;
            let hash = hash_modulo(shared.world.store_dir(), &drv, false, &mut |input| {
                let hash = eval.hash_of_derivation(shared, input).cloned();
                hash.map_err(|error| Stopped::keep(&mut failure, error))
            });
            let hash = hash.map_err(|error| error.into_error(failure))?;
            shared.contexts.single_of(ContextElement::Whole(path.clone()), &hash);
            Ok(shared.contexts.hash_of(path).expect("it was put there"))
        })
    }
}

/// Why hashing stopped: its own error, or one of the lookup's that the caller holds.
enum Stopped {
    Model(store_model::Error),
    Kept,
}

impl From<store_model::Error> for Stopped {
    fn from(error: store_model::Error) -> Stopped {
        Stopped::Model(error)
    }
}

impl Stopped {
    fn keep(place: &mut Option<EvalError>, error: EvalError) -> Stopped {
        *place = Some(error);
        Stopped::Kept
    }

    fn into_error(self, kept: Option<EvalError>) -> EvalError {
        match (self, kept) {
            (Stopped::Kept, Some(error)) => error,
            (Stopped::Model(error), _) => EvalError::eval(error.to_string()),
            (Stopped::Kept, None) => EvalError::eval("cannot hash a derivation"),
        }
    }
}

fn strict(eval: &mut Eval, args: &[Value]) -> Outcome {
    let set = eval.expect_attrs(args[0], "while evaluating the argument passed to builtins.derivationStrict")?;
    let text = "in the attrset passed as argument to builtins.derivationStrict";
    let Some(name_attr) = set.get(sym::NAME) else {
        return eval.required(set, sym::NAME, text);
    };
    let text = "while evaluating the `name` attribute passed to builtins.derivationStrict";
    let name = eval
        .expect_plain_string(name_attr.value.get(), text)
        .map_err(|error| error.trace(name_attr.pos, "while evaluating the derivation attribute 'name'"))?;
    let name = String::from_utf8_lossy(name.bytes()).into_owned();
    make(eval, &name, set).map_err(|error| {
        let place = eval.describe_pos(name_attr.pos);
        let text = format!("while evaluating derivation '{name}'\n  whose name attribute is located at {place}");
        error.trace(Pos::NONE, text)
    })
}

fn make(eval: &mut Eval, name: &str, set: AttrSet) -> Outcome {
    let collected = attributes::collect(eval, name, set)?;
    let shared = eval.shared.clone();
    let elements = shared.contexts.elements_of_all(collected.strings.contexts());
    let closures = context::closures(eval, &elements)?;
    let outputs = outputs::decide(eval, &collected)?;
    let inputs = context::inputs(&elements, &closures);
    if inputs.dynamic.is_empty() {
        finish::finish(eval, &collected, &inputs, outputs)
    } else {
        dynamic::finish_dynamic(eval, &collected, &inputs, outputs)
    }
}

/// The lazy wrapper. What C++ Nix's own does in the language is done here: `outputs` and its names are evaluated, every
/// other attribute only when asked for.
fn derivation(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the value passed for the lambda argument";
    let set = eval.expect_attrs_at(args[0], places::FUNCTION, text)?;
    let names = output_names(eval, set).map_err(|error| {
        if eval.shared.options.show_trace {
            error.trace(places::FUNCTION, "while calling anonymous lambda")
        } else {
            error
        }
    })?;
    let strict =
        Thunk::call(&mut eval.arena, Value::builtin(const { super::number_of("__derivationResult") }), set.into());
    Ok(OutputSets { strict: strict.into(), names, drv_attrs: Some(set) }.make(eval, set))
}

fn output_names(eval: &mut Eval, set: AttrSet) -> Result<Vec<Symbol>, EvalError> {
    let calling_head = "while calling the 'head' builtin";
    let outputs = match set.value(sym::OUTPUTS) {
        Some(outputs) => {
            let list = eval.expect_list(outputs, "while evaluating the second argument passed to builtins.map");
            list.map_err(|error| {
                let error = error.trace(places::MAP_OUTPUTS, "while calling the 'map' builtin");
                error.trace(places::FIRST_OUTPUT, calling_head)
            })?
        }
        None => {
            let out = eval.shared.symbols.value(sym::OUT);
            List::new(&mut eval.arena, &[out])
        }
    };
    if outputs.is_empty() {
        let error = EvalError::eval("'builtins.head' called on an empty list");
        return Err(error.trace(places::FIRST_OUTPUT, calling_head));
    }
    let mut names: Vec<Symbol> = Vec::with_capacity(outputs.len());
    for output in outputs.iter() {
        let text = "while evaluating the `name` attribute of an element of the list passed to builtins.listToAttrs";
        let output = eval.expect_plain_string_at(output, places::OUTPUT, text).map_err(|error| {
            let left = "in the left operand of the update (//) operator";
            let error = error.trace(places::OUTPUT_SETS, "while calling the 'listToAttrs' builtin");
            error.trace(places::OUTPUT_SETS, left).trace(places::COMMON, left)
        })?;
        names.push(eval.symbol_of(output));
    }
    Ok(names)
}

/// The sets of a derivation's outputs, which refer to each other.
struct OutputSets {
    strict: Value,
    names: Vec<Symbol>,
    /// What `derivation` was given.
    drv_attrs: Option<AttrSet>,
}

impl OutputSets {
    fn make(&self, eval: &mut Eval, base: AttrSet) -> Value {
        // The parts that all outputs share; the values of output attributes are put in once they exist.
        let mut shared = AttrSetBuilder::new(&mut eval.arena, self.names.len() + 2);
        shared.push(sym::ALL, places::ALL, Value::NULL);
        if let Some(attrs) = self.drv_attrs {
            shared.push(sym::DRV_ATTRS, places::DRV_ATTRS, attrs.into());
        }
        for name in &self.names {
            shared.push(*name, places::OUTPUT_SET, Value::NULL);
        }
        let shared = shared.finish(&mut eval.arena);
        let drv_path = self.path(eval, sym::DRV_PATH);
        let kind = eval.shared.symbols.value(sym::DERIVATION);
        let common = base.update(&mut eval.arena, shared);
        let all = List::filled(&mut eval.arena, self.names.len(), Value::NULL);
        for (name, place) in self.names.iter().zip(all.cells()) {
            let out_path = self.path(eval, *name);
            let text = eval.shared.symbols.value(*name);
            let mut own = AttrSetBuilder::new(&mut eval.arena, 4);
            own.push(sym::OUT_PATH, places::OUT_PATH, out_path);
            own.push(sym::DRV_PATH, places::DRV_PATH, drv_path);
            own.push(sym::TYPE, places::TYPE, kind);
            own.push(sym::OUTPUT_NAME, places::OUTPUT_NAME, text);
            let own = own.finish(&mut eval.arena);
            place.set(common.update(&mut eval.arena, own).into());
        }
        // The first output is what is being made; the rest shows as not yet evaluated.
        let part = Value::builtin(const { super::number_of("__derivationPart") });
        let mut outputs = ListBuilder::new(&mut eval.arena, self.names.len());
        outputs.push(all.get(0));
        for set in all.iter().skip(1) {
            outputs.push(Thunk::call(&mut eval.arena, part, set).into());
        }
        let outputs = outputs.finish();
        let all_later: Value = Thunk::call(&mut eval.arena, part, all.into()).into();
        let holders = all.iter().filter_map(Value::as_attrs).chain(std::iter::once(common));
        for holder in holders {
            // An attribute of the caller's may be hidden by one of these or hide none; only ours are filled in.
            if let Some(place) = holder.get(sym::ALL).filter(|attr| attr.value.get() == Value::NULL) {
                place.value.set(all_later);
            }
            for (name, output) in self.names.iter().zip(outputs.iter()) {
                if let Some(place) = holder.get(*name).filter(|attr| attr.value.get() == Value::NULL) {
                    place.value.set(output);
                }
            }
        }
        all.get(0)
    }

    /// An attribute of the strict result, later.
    fn path(&self, eval: &mut Eval, name: Symbol) -> Value {
        let text = eval.shared.symbols.value(name);
        let select = Partial::new(&mut eval.arena, const { super::number_of("__derivationPath") }, &[], &[text]);
        Thunk::call(&mut eval.arena, select.into(), self.strict).into()
    }
}

fn derivation_path(eval: &mut Eval, args: &[Value]) -> Outcome {
    let name = eval.expect_string(args[0], "")?;
    let name = eval.symbol_of(name);
    let set = eval.force(args[1]).map_err(|error| match name {
        sym::DRV_PATH => error,
        _ => error.trace(places::GET_OUT_PATH, "while calling the 'getAttr' builtin"),
    })?;
    match set.as_attrs().and_then(|set| set.value(name)) {
        Some(value) => Ok(value),
        None => Err(EvalError::eval(format!("attribute '{}' missing", eval.text(name)))),
    }
}

/// The value of a `.drv` in the store: its path, name and outputs, as `derivation` would give them.
pub(crate) fn import_derivation(eval: &mut Eval, path: &StorePath) -> Outcome {
    let world = eval.shared.world.clone();
    let drv = world.read_derivation(path)?;
    let printed = world.store_dir().print(path);
    let context = eval.shared.contexts.single(ContextElement::Whole(path.clone()));
    let drv_path: Value = Str::new(&mut eval.arena, printed.as_bytes(), context).into();
    let name = drv.env_var("name").map_or_else(|| drv.name.clone().into_bytes(), <[u8]>::to_vec);
    let name = eval.string(&name);
    let paths = drv.output_paths(world.store_dir()).map_err(|error| EvalError::eval(error.to_string()))?;
    if paths.is_empty() {
        return Err(EvalError::eval(format!("derivation '{printed}' has no outputs")));
    }
    let mut names = Vec::with_capacity(paths.len());
    let mut strict = AttrSetBuilder::new(&mut eval.arena, paths.len() + 1);
    strict.push(sym::DRV_PATH, Pos::NONE, drv_path);
    for (output, known) in &paths {
        let symbol = eval.intern(output.as_bytes());
        let value = finish::output_string(eval, path, output, known.as_ref(), None);
        strict.push(symbol, Pos::NONE, value);
        names.push(symbol);
    }
    let strict = strict.finish(&mut eval.arena);
    let kind = eval.shared.symbols.value(sym::DERIVATION);
    let base = eval.make_attrs(&[(sym::DRV_PATH, drv_path), (sym::NAME, name), (sym::TYPE, kind)]);
    Ok(OutputSets { strict: strict.into(), names, drv_attrs: None }.make(eval, base))
}
