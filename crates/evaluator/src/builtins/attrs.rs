//! Attribute sets.

use super::{builtins, in_name_order};
use crate::error::EvalError;
use crate::eval::{Eval, Outcome};
use crate::parallel::Task;
use crate::program::Symbol;
use crate::value::{AttrSetBuilder, List, ListBuilder, Pos, Thunk, Value, sym};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

builtins! {
    /// The names of a set, in byte order.
    "__attrNames" / 1 => attr_names;
    /// The values of a set, in byte order of their names.
    "__attrValues" / 1 => attr_values;
    /// The attribute of a set with a computed name.
    "__getAttr" / 2 => get_attr;
    /// Whether a set has an attribute with a computed name.
    "__hasAttr" / 2 => |eval, args| {
        let name = eval.expect_plain_string(args[0], "while evaluating the first argument passed to builtins.hasAttr")?;
        let set = eval.expect_attrs(args[1], "while evaluating the second argument passed to builtins.hasAttr")?;
        let name = eval.symbol_of(name);
        Ok(Value::bool(set.get(name).is_some()))
    };
    /// A set without the attributes named in a list.
    "removeAttrs" / 2 => remove_attrs;
    /// The set of a list of `{ name, value }`; of equal names the first counts.
    "__listToAttrs" / 1 => list_to_attrs;
    /// The attributes of the second set whose names the first has too.
    "__intersectAttrs" / 2 => intersect_attrs;
    /// The values of one attribute in a list of sets, where they have it.
    "__catAttrs" / 2 => cat_attrs;
    /// A set with the same names, each value what a function gives for name and value, lazily.
    "__mapAttrs" / 2 => map_attrs;
    /// A set of all names of a list of sets, each value what a function gives for the name and the list of values, lazily.
    "__zipAttrsWith" / 2 => zip_attrs_with;
    /// `{ file, line, column }` of an attribute's definition, or null.
    "__unsafeGetAttrPos" / 2 => unsafe_get_attr_pos;
}

fn attr_names(eval: &mut Eval, args: &[Value]) -> Outcome {
    let set = eval.expect_attrs(args[0], "while evaluating the argument passed to builtins.attrNames")?;
    let attrs = in_name_order(eval, set);
    let mut names = ListBuilder::new(&mut eval.arena, attrs.len());
    attrs.iter().for_each(|attr| names.push(eval.shared.symbols.value(attr.name)));
    Ok(names.finish().into())
}

fn attr_values(eval: &mut Eval, args: &[Value]) -> Outcome {
    let set = eval.expect_attrs(args[0], "while evaluating the argument passed to builtins.attrValues")?;
    let attrs = in_name_order(eval, set);
    let mut values = ListBuilder::new(&mut eval.arena, attrs.len());
    attrs.iter().for_each(|attr| values.push(attr.value.get()));
    Ok(values.finish().into())
}

fn get_attr(eval: &mut Eval, args: &[Value]) -> Outcome {
    let name = eval.expect_plain_string(args[0], "while evaluating the first argument passed to builtins.getAttr")?;
    let set = eval.expect_attrs(args[1], "while evaluating the second argument passed to builtins.getAttr")?;
    let name = eval.symbol_of(name);
    match set.value(name) {
        Some(value) => Ok(value),
        None => {
            let error = EvalError::eval(format!("attribute '{}' missing", eval.text(name)));
            Err(error.trace(Pos::NONE, "in the attribute set under consideration"))
        }
    }
}

fn remove_attrs(eval: &mut Eval, args: &[Value]) -> Outcome {
    let set = eval.expect_attrs(args[0], "while evaluating the first argument passed to builtins.removeAttrs")?;
    let names = eval.expect_list(args[1], "while evaluating the second argument passed to builtins.removeAttrs")?;
    let text = "while evaluating the values of the second argument passed to builtins.removeAttrs";
    let mut removed: SmallVec<[Symbol; 32]> = SmallVec::with_capacity(names.len());
    for name in names.iter() {
        let name = eval.expect_plain_string(name, text)?;
        removed.push(eval.symbol_of(name));
    }
    removed.sort_unstable();
    if !removed.iter().any(|name| set.get(*name).is_some()) {
        return Ok(set.into());
    }
    let mut kept = AttrSetBuilder::new(&mut eval.arena, set.len());
    let mut removed = removed.iter().peekable();
    for attr in set.iter() {
        while removed.next_if(|name| **name < attr.name).is_some() {}
        if removed.peek().is_none_or(|name| **name != attr.name) {
            kept.push(attr.name, attr.pos, attr.value.get());
        }
    }
    Ok(kept.finish_sorted(&mut eval.arena).into())
}

fn list_to_attrs(eval: &mut Eval, args: &[Value]) -> Outcome {
    let list = eval.expect_list(args[0], "while evaluating the argument passed to builtins.listToAttrs")?;
    let mut set = AttrSetBuilder::new(&mut eval.arena, list.len());
    for element in list.iter() {
        let text = "while evaluating an element of the list passed to builtins.listToAttrs";
        let element = eval.expect_attrs(element, text)?;
        let value = eval.required(element, sym::NAME, "in a {name=...; value=...;} pair")?;
        let text = "while evaluating the `name` attribute of an element of the list passed to builtins.listToAttrs";
        let place = element.get(sym::NAME).map_or(Pos::NONE, |attr| attr.pos);
        let name = eval.expect_plain_string_at(value, place, text)?;
        let name = eval.symbol_of(name);
        let Some(value) = element.get(sym::VALUE) else {
            // Only the first of equal names needs a value.
            if set.find(name).is_some() {
                continue;
            }
            return Err(eval
                .required(element, sym::VALUE, "in a {name=...; value=...;} pair")
                .err()
                .unwrap_or_else(|| EvalError::eval("attribute 'value' missing")));
        };
        set.push(name, value.pos, value.value.get());
    }
    Ok(set.finish(&mut eval.arena).into())
}

fn intersect_attrs(eval: &mut Eval, args: &[Value]) -> Outcome {
    const MUCH_SMALLER: usize = 8;
    let left = eval.expect_attrs(args[0], "while evaluating the first argument passed to builtins.intersectAttrs")?;
    let right = eval.expect_attrs(args[1], "while evaluating the second argument passed to builtins.intersectAttrs")?;
    let mut both = AttrSetBuilder::new(&mut eval.arena, left.len().min(right.len()));
    if left.len() * MUCH_SMALLER < right.len() {
        for attr in left.iter() {
            if let Some(attr) = right.get(attr.name) {
                both.push(attr.name, attr.pos, attr.value.get());
            }
        }
    } else if right.len() * MUCH_SMALLER < left.len() {
        for attr in right.iter().filter(|attr| left.get(attr.name).is_some()) {
            both.push(attr.name, attr.pos, attr.value.get());
        }
    } else {
        let mut left = left.iter().peekable();
        for attr in right.iter() {
            while left.next_if(|other| other.name < attr.name).is_some() {}
            if left.next_if(|other| other.name == attr.name).is_some() {
                both.push(attr.name, attr.pos, attr.value.get());
            }
        }
    }
    Ok(both.finish_sorted(&mut eval.arena).into())
}

fn cat_attrs(eval: &mut Eval, args: &[Value]) -> Outcome {
    let name = eval.expect_plain_string(args[0], "while evaluating the first argument passed to builtins.catAttrs")?;
    let name = eval.symbol_of(name);
    let list = eval.expect_list(args[1], "while evaluating the second argument passed to builtins.catAttrs")?;
    let text = "while evaluating an element in the list passed as second argument to builtins.catAttrs";
    let height = eval.go_through(
        Task::Force,
        || list.iter(),
        |eval, progress| {
            let height = eval.stack.height();
            for (index, element) in list.iter().enumerate() {
                progress.at(index);
                let set = eval.expect_attrs(element, text)?;
                if let Some(value) = set.value(name) {
                    eval.stack.push(value);
                }
            }
            Ok(height)
        },
    )?;
    Ok(super::lists::list_above(eval, height, None))
}

fn map_attrs(eval: &mut Eval, args: &[Value]) -> Outcome {
    let set = eval.expect_attrs(args[1], "while evaluating the second argument passed to builtins.mapAttrs")?;
    let mut mapped = set.same_names(&mut eval.arena);
    for attr in set.iter() {
        let value = Thunk::named_call(&mut eval.arena, args[0], attr.name, attr.value.get());
        mapped.push(value.into());
    }
    Ok(mapped.finish().into())
}

fn zip_attrs_with(eval: &mut Eval, args: &[Value]) -> Outcome {
    let function =
        eval.expect_function(args[0], "while evaluating the first argument passed to builtins.zipAttrsWith")?;
    let list = eval.expect_list(args[1], "while evaluating the second argument passed to builtins.zipAttrsWith")?;
    let text = "while evaluating a value of the list passed as second argument to builtins.zipAttrsWith";
    let mut counts: FxHashMap<Symbol, usize> = FxHashMap::default();
    for element in list.iter() {
        for attr in eval.expect_attrs(element, text)?.iter() {
            *counts.entry(attr.name).or_default() += 1;
        }
    }
    let mut names: Vec<(Symbol, usize)> = counts.into_iter().collect();
    names.sort_unstable();
    // The lists of values stand on the value stack while they are filled, in the order of `names`.
    let base = eval.stack.height();
    let mut places: FxHashMap<Symbol, (usize, usize)> = FxHashMap::default();
    for (index, (name, count)) in names.iter().enumerate() {
        places.insert(*name, (base + index, 0));
        let values = List::filled(&mut eval.arena, *count, Value::NULL);
        eval.stack.push(values.into());
    }
    for element in list.iter() {
        for attr in eval.expect_attrs(element, text)?.iter() {
            let Some((place, next)) = places.get_mut(&attr.name) else { continue };
            if let Some(values) = eval.stack.get(*place).as_list() {
                values.cells()[*next].set(attr.value.get());
                *next += 1;
            }
        }
    }
    let mut zipped = AttrSetBuilder::new(&mut eval.arena, names.len());
    for (index, (name, _)) in names.into_iter().enumerate() {
        let values = eval.stack.get(base + index);
        let value = Thunk::named_call(&mut eval.arena, function, name, values);
        zipped.push(name, Pos::NONE, value.into());
    }
    Ok(zipped.finish_sorted(&mut eval.arena).into())
}

fn unsafe_get_attr_pos(eval: &mut Eval, args: &[Value]) -> Outcome {
    let text = "while evaluating the first argument passed to builtins.unsafeGetAttrPos";
    let name = eval.expect_plain_string(args[0], text)?;
    let text = "while evaluating the second argument passed to builtins.unsafeGetAttrPos";
    let set = eval.expect_attrs(args[1], text)?;
    let name = eval.symbol_of(name);
    match set.get(name) {
        Some(attr) => Ok(eval.position_value(attr.pos)),
        None => Ok(Value::NULL),
    }
}
