//! The evaluator as the rest of the house sees it.
//!
//! Values leave only as [`Rooted`] handles, which keep them and know nothing; everything is asked of the
//! [`Evaluator`] they came from. An evaluator belongs to one thread at a time.

use crate::error::{ErrorReport, EvalError, Origin, Position, TraceFrame};
use crate::eval::{Coercion, Eval, Shared, lock};
use crate::heap::{HeapStatistics, RootId};
use crate::options::EvalOptions;
use crate::record::{Before, ReadLog, Tracker};
use crate::stored::ProgramCache;
use crate::value::print::{PrintOptions, type_phrase};
use crate::value::{ContextElement, ContextId, Pos, Thunk, Value, View};
use crate::world::{World, WorldError};
use activity::Activity;
use std::sync::Arc;
use store_model::{SingleDerivedPath, StorePath};
use syntax::Source;

/// A value kept by its evaluator until the handle is dropped. Asking another evaluator about it is a programming error.
pub struct Rooted {
    id: RootId,
    shared: Arc<Shared>,
}

impl Rooted {
    pub(crate) fn new(shared: &Arc<Shared>, value: Value) -> Rooted {
        Rooted { id: lock(&shared.roots).add(value), shared: shared.clone() }
    }

    pub(crate) fn value(&self) -> Value {
        lock(&self.shared.roots).get(self.id)
    }
}

impl Clone for Rooted {
    fn clone(&self) -> Rooted {
        Rooted::new(&self.shared, self.value())
    }
}

impl Drop for Rooted {
    fn drop(&mut self) {
        lock(&self.shared.roots).remove(self.id);
    }
}

impl std::fmt::Debug for Rooted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Rooted").field(&self.id).finish()
    }
}

/// What an evaluated value is.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueKind {
    /// `null`.
    Null,
    /// A Boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string (its text: [`Evaluator::string`]).
    String,
    /// A path, absolute.
    Path(Vec<u8>),
    /// A set.
    Attrs,
    /// A list.
    List,
    /// A function.
    Function,
}

/// What a string depends on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StringContextElement {
    /// A store path as it is.
    Opaque(StorePath),
    /// An output of a derivation.
    Output(StorePath, String),
    /// An output of a derivation that is itself an output.
    Dynamic(SingleDerivedPath, String),
    /// A derivation with its closure and all its outputs.
    Whole(StorePath),
}

/// What an evaluation did.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// The memory of values.
    pub heap: HeapStatistics,
    /// Expressions in the programs that were read.
    pub expressions: u64,
    /// Names.
    pub symbols: u32,
    /// Their bytes.
    pub symbol_bytes: u64,
    /// Calls of builtins with all their arguments, by name.
    pub builtin_calls: Vec<(&'static str, u64)>,
    /// Calls of functions of the language, in the order in which their programs were read.
    pub function_calls: Vec<FunctionCalls>,
}

/// How often a function of the language was called. One that gives functions is counted for each argument.
#[derive(Clone, Debug)]
pub struct FunctionCalls {
    /// The name that it is bound to, if it is.
    pub name: Option<String>,
    /// Where it stands.
    pub position: Option<Position>,
    /// The calls.
    pub count: u64,
}

/// A part of the work that was begun. What it read is told by [`Evaluator::end_part`].
pub struct PartMark(Option<Before>);

/// One evaluation: files are read and evaluated once, derivations written once.
pub struct Evaluator {
    pub(crate) eval: Eval,
}

impl Evaluator {
    /// An evaluator over `world`. Messages (`trace`, warnings) and progress go to `activity`, whose token stops it.
    pub fn new(world: Arc<dyn World>, options: EvalOptions, activity: Activity) -> Evaluator {
        Evaluator { eval: Eval::new(world, options, activity) }
    }

    pub(crate) fn rooted(&self, value: Value) -> Rooted {
        Rooted::new(&self.eval.shared, value)
    }

    /// Takes note of the calling thread's stack. Every entry from outside starts here.
    pub(crate) fn enter(&mut self) -> &mut Eval {
        self.eval.enter_thread();
        self.eval.depth = 0;
        self.eval.stack.truncate(0);
        &mut self.eval
    }

    /// Sends messages and progress to another activity from now on, whose token stops it. What an earlier token
    /// interrupted is evaluated anew when asked for.
    pub fn set_activity(&mut self, activity: Activity) {
        self.eval.set_activity(activity);
    }

    /// Follows what is read from now on, as a world notes it in `log`. To be called before anything is evaluated.
    pub fn follow_reads(&mut self, log: Arc<ReadLog>) {
        self.eval.follow_reads(Tracker::new(log));
    }

    /// Takes compiled files from a cache and gives it those that it does not have.
    pub fn keep_programs(&mut self, cache: Arc<dyn ProgramCache>) {
        self.eval.keep_programs(cache);
    }

    /// From now on [`Evaluator::end_part`] can tell what a part of the work depends on. What was read before belongs to
    /// every part.
    pub fn begin_parts(&mut self) {
        if let Some(tracker) = &mut self.eval.tracker {
            tracker.begin_parts();
        }
    }

    /// Begins a part of the work.
    pub fn begin_part(&mut self) -> PartMark {
        PartMark(self.eval.begin_work())
    }

    /// Ends it: the numbers of what its result depends on, rising, also where that was read long ago, for another part.
    pub fn end_part(&mut self, mark: PartMark) -> Vec<u32> {
        let set = self.eval.end_work(mark.0);
        self.eval.tracker.as_mut().map_or_else(Vec::new, |tracker| tracker.reads(set))
    }

    /// How it evaluates.
    pub fn options(&self) -> &EvalOptions {
        &self.eval.shared.options
    }

    /// Evaluates a text to its outermost form. Relative paths in it start from `directory` (absolute).
    pub fn eval_text(&mut self, text: &[u8], directory: &[u8], origin: Origin) -> Result<Rooted, EvalError> {
        let eval = self.enter();
        let source = Source::new(origin, text).map_err(|error| EvalError::eval(error.to_string()))?;
        let value = eval.eval_source(source, directory)?;
        Ok(self.rooted(value))
    }

    /// The same, evaluated only when asked for (`--arg name expr`); the text is compiled now.
    pub fn delay_text(&mut self, text: &[u8], directory: &[u8], origin: Origin) -> Result<Rooted, EvalError> {
        let eval = self.enter();
        let source = Source::new(origin, text).map_err(|error| EvalError::eval(error.to_string()))?;
        let code = eval.compile(source, directory, None)?;
        let thunk = Thunk::expression(&mut eval.arena, code.number, code.root.0, crate::value::Env::NONE);
        Ok(self.rooted(thunk.into()))
    }

    /// The same for a text in which the attributes of a set are variables beside the builtins.
    pub fn delay_text_in(
        &mut self,
        text: &[u8],
        directory: &[u8],
        origin: Origin,
        scope: &Rooted,
    ) -> Result<Rooted, EvalError> {
        let scope = scope.value();
        let eval = self.enter();
        let source = Source::new(origin, text).map_err(|error| EvalError::eval(error.to_string()))?;
        let set = eval.expect_attrs(scope, "while evaluating a set of variables")?;
        let thunk = eval.delay_source_in(source, directory, set)?;
        Ok(self.rooted(thunk.into()))
    }

    /// Reads files that are imported from now on anew.
    pub fn forget_files(&mut self) {
        lock(&self.eval.shared.imports).clear();
    }

    /// Evaluates a file (a folder means its `default.nix`); `path` is absolute.
    pub fn eval_file(&mut self, path: &[u8]) -> Result<Rooted, EvalError> {
        let value = self.enter().import(&crate::code::canonical(path))?;
        Ok(self.rooted(value))
    }

    /// The same for a file that a program was started with: failures do not name it, and when it is imported later it is
    /// evaluated again, as by C++ Nix's older commands.
    pub fn run_file(&mut self, path: &[u8]) -> Result<Rooted, EvalError> {
        let value = self.enter().run_file(&crate::code::canonical(path))?;
        Ok(self.rooted(value))
    }

    /// Looks a name up in the search path (`<name>`); gives an absolute path.
    pub fn find_file(&mut self, name: &[u8]) -> Result<Vec<u8>, EvalError> {
        self.enter().find_in_search_path(name)
    }

    /// Fetches what an entry of the search path would be fetched from (a URL, `channel:NAME`); gives an absolute path, or `None`
    /// after a warning.
    pub fn fetch_source(&mut self, url: &[u8]) -> Result<Option<Vec<u8>>, EvalError> {
        self.enter().search_folder(url)
    }

    /// A string value without context (`--argstr`).
    pub fn make_string(&mut self, text: &[u8]) -> Rooted {
        let value = self.eval.string(text);
        self.rooted(value)
    }

    /// Evaluates to the outermost form. A call that was not made yet has the place of its function for its site, if that is
    /// known by then.
    pub fn force(&mut self, value: &Rooted) -> Result<Rooted, EvalError> {
        let value = value.value();
        let eval = self.enter();
        let place = eval.pos_of_value(value);
        let value = eval.force_at(value, place)?;
        Ok(self.rooted(value))
    }

    /// Evaluates everything inside.
    pub fn force_deep(&mut self, value: &Rooted) -> Result<(), EvalError> {
        let value = value.value();
        self.enter().force_deep(value)
    }

    /// What a value is, evaluated to its outermost form.
    pub fn kind(&mut self, value: &Rooted) -> Result<ValueKind, EvalError> {
        let value = value.value();
        let value = self.enter().force(value)?;
        Ok(match value.view() {
            View::Null => ValueKind::Null,
            View::Bool(truth) => ValueKind::Bool(truth),
            View::Int(int) => ValueKind::Int(int),
            View::Float(float) => ValueKind::Float(float),
            View::String(_) => ValueKind::String,
            View::Path(path) => ValueKind::Path(path.bytes().to_vec()),
            View::Attrs(_) => ValueKind::Attrs,
            View::List(_) => ValueKind::List,
            _ => ValueKind::Function,
        })
    }

    /// A string's text and context, elements sorted. Other values are an error unless `coerce`, which takes what
    /// interpolation takes (paths are copied to the store).
    pub fn string(&mut self, value: &Rooted, coerce: bool) -> Result<(Vec<u8>, Vec<StringContextElement>), EvalError> {
        let value = value.value();
        let eval = self.enter();
        let text = "while evaluating a string";
        let string =
            if coerce { eval.coerce(value, Coercion::INTERPOLATION, text)? } else { eval.expect_string(value, text)? };
        let bytes = string.bytes().to_vec();
        Ok((bytes, self.context(string.context())))
    }

    pub(crate) fn context(&self, context: ContextId) -> Vec<StringContextElement> {
        let elements = self.eval.context_elements(context).into_iter();
        elements
            .map(|element| match element {
                ContextElement::Opaque(path) => StringContextElement::Opaque(path),
                ContextElement::Output { derivation, output } => {
                    StringContextElement::Output(derivation, output.into())
                }
                ContextElement::Dynamic { derivation, output } => {
                    StringContextElement::Dynamic(derivation, output.into())
                }
                ContextElement::Whole(path) => StringContextElement::Whole(path),
            })
            .collect()
    }

    /// The text of a string with the placeholders of its context replaced by the real paths, which are built.
    pub fn realise_string(&mut self, value: &Rooted) -> Result<Vec<u8>, EvalError> {
        let value = value.value();
        let eval = self.enter();
        let string = eval.coerce(value, Coercion::INTERPOLATION, "while evaluating a string")?;
        eval.realise_string(string)
    }

    /// The names of a set, in byte order.
    pub fn attr_names(&mut self, value: &Rooted) -> Result<Vec<Vec<u8>>, EvalError> {
        let value = value.value();
        let eval = self.enter();
        let set = eval.expect_attrs(value, "while evaluating a set")?;
        let attrs = crate::builtins::in_name_order(eval, set);
        Ok(attrs.iter().map(|attr| eval.shared.symbols.bytes(attr.name).to_vec()).collect())
    }

    /// An attribute of a set, not evaluated; `None` if there is none or it is no set.
    pub fn attr(&mut self, value: &Rooted, name: &str) -> Result<Option<Rooted>, EvalError> {
        let value = value.value();
        let eval = self.enter();
        let value = eval.force(value)?;
        let name = eval.intern(name.as_bytes());
        let found = value.as_attrs().and_then(|set| set.value(name));
        Ok(found.map(|value| self.rooted(value)))
    }

    /// The elements of a list, not evaluated.
    pub fn elements(&mut self, value: &Rooted) -> Result<Vec<Rooted>, EvalError> {
        let value = value.value();
        let list = self.enter().expect_list(value, "while evaluating a list")?;
        Ok(list.iter().map(|element| self.rooted(element)).collect())
    }

    /// Calls a function.
    pub fn call(&mut self, function: &Rooted, arguments: &[&Rooted]) -> Result<Rooted, EvalError> {
        let function = function.value();
        let eval = self.enter();
        let mut result = function;
        for argument in arguments {
            result = eval.call(result, &[argument.value()])?;
        }
        let result = eval.force(result)?;
        Ok(self.rooted(result))
    }

    /// The form of `nix-instantiate --eval`; evaluates nothing (see [`Evaluator::force_deep`] for `--strict`).
    pub fn print_plain(&mut self, value: &Rooted) -> Result<Vec<u8>, EvalError> {
        let value = value.value();
        self.enter().print_plain(value)
    }

    /// The same, with what is there several times printed each time, so that the text can be read back.
    pub fn print_whole(&mut self, value: &Rooted) -> Result<Vec<u8>, EvalError> {
        let value = value.value();
        self.enter().print_whole(value)
    }

    /// The form of `nix eval`.
    pub fn print(&mut self, value: &Rooted, options: PrintOptions) -> Result<Vec<u8>, EvalError> {
        let value = value.value();
        self.enter().print_nice(value, options)
    }

    /// What a value is, in words such as "a set".
    pub fn describe(&mut self, value: &Rooted) -> Result<String, EvalError> {
        let value = value.value();
        let value = self.enter().force(value)?;
        Ok(type_phrase(value).into_owned())
    }

    /// The builtin that a value is: its name, how many arguments it takes, and its description.
    pub fn builtin(&mut self, value: &Rooted) -> Result<Option<(&'static str, u8, &'static str)>, EvalError> {
        let value = value.value();
        let value = self.enter().force(value)?;
        Ok(match value.view() {
            View::Builtin(number) => Some(crate::builtins::describe(number)),
            View::Partial(partial) => Some(crate::builtins::describe(partial.builtin())),
            _ => None,
        })
    }

    /// Writes pending derivations. To be called before a path that evaluation gave is shown or used.
    pub fn flush(&self) -> Result<(), WorldError> {
        self.eval.shared.world.flush(&self.eval.activity)
    }

    /// An error made readable.
    pub fn report(&self, error: &EvalError) -> ErrorReport {
        let sources = lock(&self.eval.shared.sources);
        let position = |pos: Pos| if pos == Pos::NONE { None } else { sources.position(pos) };
        let trace = error
            .frames()
            .into_iter()
            .map(|(text, pos, always)| TraceFrame { text: text.into_owned(), position: position(pos), always })
            .collect();
        ErrorReport {
            kind: error.kind().clone(),
            message: error.message().to_owned(),
            position: position(error.pos()),
            trace,
            suggestions: error.suggestions().to_vec(),
        }
    }

    /// What was done so far. Calls are known only if [`EvalOptions::counting`] was set.
    pub fn statistics(&mut self) -> Statistics {
        self.eval.statistics()
    }

    /// The stacks of calls that were counted ([`EvalOptions::profile`]), as lines `FRAME;FRAME COUNT`: what makers of
    /// flame graphs read.
    pub fn profile(&self) -> Vec<String> {
        self.eval.profile()
    }

    /// What the memory of values did so far.
    pub fn heap_statistics(&self) -> HeapStatistics {
        self.eval.arena.statistics()
    }

    /// The manual: name, number of arguments and text of every builtin function, in byte order of names.
    pub fn manual(options: &EvalOptions) -> Vec<(&'static str, u8, &'static str)> {
        crate::builtins::manual(options)
    }
}
