//! Lists.

use super::{builtins, truth};
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Eval, Outcome};
use crate::parallel::Task;
use crate::program::Symbol;
use crate::value::{AttrSetBuilder, List, ListBuilder, Pos, Thunk, Value, sym};
use rustc_hash::FxHashMap;

builtins! {
    /// The number of elements.
    "__length" / 1 => |eval, args| {
        let list = eval.expect_list(args[0], "while evaluating the first argument passed to builtins.length")?;
        Ok(Value::int(&mut eval.arena, list.len() as i64))
    };
    /// The first element.
    "__head" / 1 => head;
    /// All elements but the first.
    "__tail" / 1 => tail;
    /// The element at an index, counted from 0.
    "__elemAt" / 2 => elem_at;
    /// Whether a list has an element equal to the first argument.
    "__elem" / 2 => elem;
    /// The list of what a function gives for each element, lazily.
    "map" / 2 => map;
    /// The elements for which a function gives true.
    "__filter" / 2 => filter;
    /// `op (op (op nul x0) x1) …`, each step evaluated before the next.
    "__foldl'" / 3 => foldl;
    /// Whether a function gives true for some element.
    "__any" / 2 => |eval, args| {
        any_all(eval, args, true, ["while evaluating the first argument passed to builtins.any",
            "while evaluating the second argument passed to builtins.any",
            "while evaluating the return value of the function passed to builtins.any"])
    };
    /// Whether a function gives true for every element.
    "__all" / 2 => |eval, args| {
        any_all(eval, args, false, ["while evaluating the first argument passed to builtins.all",
            "while evaluating the second argument passed to builtins.all",
            "while evaluating the return value of the function passed to builtins.all"])
    };
    /// The elements of a list of lists, one after another.
    "__concatLists" / 1 => concat_lists;
    /// The elements of the lists that a function gives for each element, one after another.
    "__concatMap" / 2 => concat_map;
    /// The list of what a function gives for 0, 1, … up to a length, lazily.
    "__genList" / 2 => gen_list;
    /// `{ right, wrong }`: the elements for which a function gives true, and the others.
    "__partition" / 2 => partition;
    /// A set of lists: the elements by the name that a function gives for each.
    "__groupBy" / 2 => group_by;
}

fn head(eval: &mut Eval, args: &[Value]) -> Outcome {
    let list = eval.expect_list(args[0], "while evaluating the first argument passed to 'builtins.head'")?;
    if list.is_empty() {
        return Err(EvalError::eval("'builtins.head' called on an empty list"));
    }
    Ok(list.get(0))
}

fn tail(eval: &mut Eval, args: &[Value]) -> Outcome {
    let list = eval.expect_list(args[0], "while evaluating the first argument passed to 'builtins.tail'")?;
    if list.is_empty() {
        return Err(EvalError::eval("'builtins.tail' called on an empty list"));
    }
    let mut tail = ListBuilder::new(&mut eval.arena, list.len() - 1);
    list.iter().skip(1).for_each(|element| tail.push(element));
    Ok(tail.finish().into())
}

fn elem_at(eval: &mut Eval, args: &[Value]) -> Outcome {
    let index = eval.expect_int(args[1], "while evaluating the second argument passed to 'builtins.elemAt'")?;
    let list = eval.expect_list(args[0], "while evaluating the first argument passed to 'builtins.elemAt'")?;
    match usize::try_from(index).ok().and_then(|index| list.cells().get(index)) {
        Some(cell) => Ok(cell.get()),
        None => {
            let message = format!("'builtins.elemAt' called with index {index} on a list of size {}", list.len());
            Err(EvalError::eval(message))
        }
    }
}

fn elem(eval: &mut Eval, args: &[Value]) -> Outcome {
    let list = eval.expect_list(args[1], "while evaluating the second argument passed to builtins.elem")?;
    for element in list.iter() {
        let wanted = eval.force(args[0])?;
        let element = eval.force(element)?;
        // The same object is equal without a look inside, as an element of two lists is.
        let same = wanted == element && (wanted.is_attrs() || wanted.is_list() || wanted.is_function());
        if same || eval.equal(wanted, element)? {
            return Ok(Value::TRUE);
        }
    }
    Ok(Value::FALSE)
}

fn map(eval: &mut Eval, args: &[Value]) -> Outcome {
    let list = eval.expect_list(args[1], "while evaluating the second argument passed to builtins.map")?;
    if list.is_empty() {
        return Ok(list.into());
    }
    let function = eval.expect_function(args[0], "while evaluating the first argument passed to builtins.map")?;
    let mut mapped = ListBuilder::new(&mut eval.arena, list.len());
    for element in list.iter() {
        mapped.push(Thunk::call(&mut eval.arena, function, element).into());
    }
    Ok(mapped.finish().into())
}

fn filter(eval: &mut Eval, args: &[Value]) -> Outcome {
    let list = eval.expect_list(args[1], "while evaluating the second argument passed to builtins.filter")?;
    if list.is_empty() {
        return Ok(list.into());
    }
    let function = eval.expect_function(args[0], "while evaluating the first argument passed to builtins.filter")?;
    let text = "while evaluating the return value of the filtering function passed to builtins.filter";
    let height = eval.call_through(function, list, |eval, element| {
        let kept = eval.call(function, &[element])?;
        if truth(eval, kept, text)? {
            eval.stack.push(element);
        }
        Ok(())
    })?;
    Ok(list_above(eval, height, Some(list)))
}

/// The list of what stands on the value stack above `height`; `same` itself if it has as many elements.
pub(crate) fn list_above(eval: &mut Eval, height: usize, same: Option<List>) -> Value {
    let values = eval.stack.above(height);
    if let Some(list) = same.filter(|list| list.len() == values.len()) {
        return list.into();
    }
    List::new(&mut eval.arena, values).into()
}

fn foldl(eval: &mut Eval, args: &[Value]) -> Outcome {
    let function =
        eval.expect_function(args[0], "while evaluating the first argument passed to builtins.foldlStrict")?;
    let list = eval.expect_list(args[2], "while evaluating the third argument passed to builtins.foldlStrict")?;
    let mut result = args[1];
    for element in list.iter() {
        result = eval.call(function, &[result, element])?;
    }
    Ok(result)
}

fn any_all(eval: &mut Eval, args: &[Value], any: bool, texts: [&'static str; 3]) -> Outcome {
    let function = eval.expect_function(args[0], texts[0])?;
    let list = eval.expect_list(args[1], texts[1])?;
    for element in list.iter() {
        let found = eval.call(function, &[element])?;
        if truth(eval, found, texts[2])? == any {
            return Ok(Value::bool(any));
        }
    }
    Ok(Value::bool(!any))
}

fn concat_lists(eval: &mut Eval, args: &[Value]) -> Outcome {
    let lists = eval.expect_list(args[0], "while evaluating the first argument passed to builtins.concatLists")?;
    let text = "while evaluating a value of the list passed to builtins.concatLists";
    let height = eval.go_through(
        Task::Force,
        || lists.iter(),
        |eval, progress| {
            let height = eval.stack.height();
            for (index, list) in lists.iter().enumerate() {
                progress.at(index);
                let list = eval.expect_list(list, text)?;
                eval.stack.push(list.into());
            }
            Ok(height)
        },
    )?;
    Ok(concat_above(eval, height))
}

/// The concatenation of the lists on the value stack above `height`.
fn concat_above(eval: &mut Eval, height: usize) -> Value {
    let lists = eval.stack.above(height);
    let mut filled = lists.iter().filter(|list| list.as_list().is_some_and(|list| !list.is_empty()));
    match (filled.next(), filled.next()) {
        (Some(one), None) => *one,
        _ => List::concat(&mut eval.arena, lists).into(),
    }
}

fn concat_map(eval: &mut Eval, args: &[Value]) -> Outcome {
    let function = eval.expect_function(args[0], "while evaluating the first argument passed to builtins.concatMap")?;
    let list = eval.expect_list(args[1], "while evaluating the second argument passed to builtins.concatMap")?;
    let text = "while evaluating the return value of the function passed to builtins.concatMap";
    let pos = eval.pos_of_value(function);
    let height = eval.call_through(function, list, |eval, element| {
        let part = eval.call(function, &[element])?;
        let part = eval.expect_list_at(part, pos, text)?;
        eval.stack.push(part.into());
        Ok(())
    })?;
    Ok(concat_above(eval, height))
}

fn gen_list(eval: &mut Eval, args: &[Value]) -> Outcome {
    let len = eval.expect_int(args[1], "while evaluating the second argument passed to builtins.genList")?;
    let Ok(count) = usize::try_from(len) else {
        return Err(EvalError::eval(format!("cannot create list of size {len}")));
    };
    if !eval.arena.admits(1 + count) {
        let message = format!("out of memory: cannot make a list of {count} elements");
        return Err(EvalError::new(ErrorKind::OutOfMemory, message));
    }
    // The function is looked at also when it is never called.
    let function = eval.expect_function(args[0], "while evaluating the first argument passed to builtins.genList")?;
    let mut list = ListBuilder::new(&mut eval.arena, count);
    for index in 0..count {
        if index.is_multiple_of(4096) {
            eval.poll()?;
        }
        let index = Value::int(&mut eval.arena, index as i64);
        list.push(Thunk::call(&mut eval.arena, function, index).into());
    }
    Ok(list.finish().into())
}

fn partition(eval: &mut Eval, args: &[Value]) -> Outcome {
    let function = eval.expect_function(args[0], "while evaluating the first argument passed to builtins.partition")?;
    let list = eval.expect_list(args[1], "while evaluating the second argument passed to builtins.partition")?;
    let text = "while evaluating the return value of the partition function passed to builtins.partition";
    let mut is_right = Vec::with_capacity(list.len());
    eval.call_through(function, list, |eval, element| {
        let answer = eval.call(function, &[element])?;
        is_right.push(truth(eval, answer, text)?);
        Ok(())
    })?;
    let count = is_right.iter().filter(|right| **right).count();
    let mut right = ListBuilder::new(&mut eval.arena, count);
    let mut wrong = ListBuilder::new(&mut eval.arena, list.len() - count);
    for (element, is_right) in list.iter().zip(is_right) {
        if is_right { right.push(element) } else { wrong.push(element) }
    }
    let (right, wrong) = (right.finish().into(), wrong.finish().into());
    Ok(eval.make_attrs(&[(sym::RIGHT, right), (sym::WRONG, wrong)]).into())
}

fn group_by(eval: &mut Eval, args: &[Value]) -> Outcome {
    let function = eval.expect_function(args[0], "while evaluating the first argument passed to builtins.groupBy")?;
    let list = eval.expect_list(args[1], "while evaluating the second argument passed to builtins.groupBy")?;
    let text = "while evaluating the return value of the grouping function passed to builtins.groupBy";
    let mut groups: FxHashMap<Symbol, Vec<usize>> = FxHashMap::default();
    for (index, element) in list.iter().enumerate() {
        let name = eval.call(function, &[element])?;
        let name = eval.expect_plain_string(name, text)?;
        let name = eval.symbol_of(name);
        groups.entry(name).or_default().push(index);
    }
    let mut set = AttrSetBuilder::new(&mut eval.arena, groups.len());
    for (name, members) in groups {
        let mut group = ListBuilder::new(&mut eval.arena, members.len());
        members.iter().for_each(|index| group.push(list.get(*index)));
        set.push(name, Pos::NONE, group.finish().into());
    }
    Ok(set.finish(&mut eval.arena).into())
}
