//! Calls: functions of the language, builtins, partial applications, functors.
//!
//! One loop takes all the arguments a call is written with. Curried functions are entered without making the closures in
//! between; a set pattern is bound by one walk over two sorted arrays; a builtin gets its arguments in an array.

use super::traced::Callee;
use super::{Eval, Next, Outcome, Place};
use crate::builtins::{MAX_ARITY, TABLE};
use crate::code::Code;
use crate::error::EvalError;
use crate::program::{Formal, LambdaDef, Node, NodeId, Symbol};
use crate::value::{Attr, AttrSet, Call, Env, Partial, Pos, Thunk, Value, sym};

/// Where the arguments of a call come from.
trait Arguments: Copy {
    fn len(self) -> usize;
    /// The place of the call, worked out only for who wants to know.
    fn pos(self) -> Pos;
    /// The argument, perhaps as a thunk.
    fn get(self, eval: &mut Eval, index: usize) -> Value;
    /// The argument, evaluated.
    fn get_forced(self, eval: &mut Eval, index: usize) -> Outcome;
}

/// Arguments still to be evaluated.
#[derive(Clone, Copy)]
struct NodeArguments<'a> {
    code: &'static Code,
    /// The call.
    id: NodeId,
    nodes: &'a [u32],
    env: Env,
}

impl Arguments for NodeArguments<'_> {
    #[inline(always)]
    fn len(self) -> usize {
        self.nodes.len()
    }

    #[inline(always)]
    fn pos(self) -> Pos {
        self.code.pos(self.id)
    }

    #[inline(always)]
    fn get(self, eval: &mut Eval, index: usize) -> Value {
        eval.delay(self.code, NodeId(self.nodes[index]), self.env)
    }

    #[inline(always)]
    fn get_forced(self, eval: &mut Eval, index: usize) -> Outcome {
        eval.eval(self.code, NodeId(self.nodes[index]), self.env)
    }
}

/// Arguments that are values.
#[derive(Clone, Copy)]
struct ValueArguments<'a> {
    values: &'a [Value],
    place: Place,
}

impl Arguments for ValueArguments<'_> {
    #[inline(always)]
    fn len(self) -> usize {
        self.values.len()
    }

    #[inline(always)]
    fn pos(self) -> Pos {
        self.place.pos()
    }

    #[inline(always)]
    fn get(self, _: &mut Eval, index: usize) -> Value {
        self.values[index]
    }

    #[inline(always)]
    fn get_forced(self, eval: &mut Eval, index: usize) -> Outcome {
        eval.force(self.values[index])
    }
}

/// A body that was entered: what C++ Nix would have on its native stack.
#[derive(Clone, Copy)]
pub(super) struct Entered {
    code: &'static Code,
    /// Which of its functions.
    lambda: u32,
    /// Where it was called.
    pos: Pos,
}

impl Eval {
    /// Calls with arguments written in a program; `id` is the call.
    #[inline(always)]
    pub(super) fn apply_nodes(
        &mut self,
        function: Value,
        code: &'static Code,
        id: NodeId,
        nodes: &[u32],
        env: Env,
    ) -> Result<Next, EvalError> {
        self.enter_call().map_err(|error| error.at(code.pos(id)))?;
        self.apply(function, NodeArguments { code, id, nodes, env })
    }

    /// Calls a function with values, all at once.
    pub(crate) fn call(&mut self, function: Value, arguments: &[Value]) -> Outcome {
        self.call_at(function, arguments, Pos::NONE)
    }

    /// The same with the place of the call.
    pub(crate) fn call_at(&mut self, function: Value, arguments: &[Value], pos: Pos) -> Outcome {
        self.call_from(function, arguments, Place::at(pos))
    }

    /// The same.
    #[inline(never)]
    pub(super) fn call_from(&mut self, function: Value, arguments: &[Value], place: Place) -> Outcome {
        if self.watch.is_some() {
            let callee = Callee::Value(function, arguments.first().copied());
            return self.call_watched(function, arguments, place.pos(), callee);
        }
        self.call_silently(function, arguments, place)
    }

    #[cold]
    #[inline(never)]
    fn call_watched(&mut self, function: Value, arguments: &[Value], pos: Pos, callee: Callee) -> Outcome {
        self.traced(pos, callee, |eval| eval.call_silently(function, arguments, Place::at(pos)))
    }

    /// Makes a call that waited; one with a name must be one for [`Eval::takes_both`].
    #[inline(always)]
    pub(super) fn make_call(&mut self, Call { function, name, argument }: Call, place: Place) -> Outcome {
        match name {
            None => self.call_from(function, &[argument], place),
            Some(name) => {
                let name = self.shared.symbols.value(name);
                self.call_from(function, &[name, argument], place)
            }
        }
    }

    /// Whether a call that waits with a name can be made at once, nobody being able to tell. To C++ Nix it is a call whose
    /// function is another that waits, one level deeper; where that one only makes a closure, it need not be made.
    pub(super) fn takes_both(&mut self, function: Value) -> bool {
        let known = function.as_thunk().map_or(Some(function), Thunk::done);
        let Some(lambda) = known.and_then(Value::as_lambda) else { return false };
        let (code, index) = lambda.code();
        let code = self.code(code);
        let lambda = &code.lambdas[index as usize];
        self.watch.is_none()
            && self.depth < self.max_depth
            && !lambda.has_formals
            && matches!(code.node(lambda.body), Node::Lambda(_))
    }

    #[inline(always)]
    fn call_silently(&mut self, function: Value, arguments: &[Value], place: Place) -> Outcome {
        let depth = self.depth;
        let entered = self.entered.len();
        let ready = self.enter_call().map_err(|error| error.at(place.pos()));
        let outcome = match ready.and_then(|()| self.force_from(function, place)) {
            Ok(function) => match self.apply(function, ValueArguments { values: arguments, place }) {
                Ok(Next::Done(value)) => Ok(value),
                Ok(Next::Enter(code, body, env, from)) => self.eval_body(code, body, env, from),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        self.depth = depth;
        if self.entered.len() != entered { self.leave_calls(entered, outcome) } else { outcome }
    }

    /// Forgets the bodies entered since; a failure gets their frames.
    #[inline(never)]
    pub(super) fn leave_calls(&mut self, since: usize, outcome: Outcome) -> Outcome {
        let mut outcome = outcome;
        while self.entered.len() > since {
            let Some(Entered { code, lambda, pos }) = self.entered.pop() else { break };
            if let Err(error) = outcome {
                outcome = Err(self.trace_call(error, code, lambda, pos));
            }
        }
        outcome
    }

    #[cold]
    fn trace_call(&mut self, error: EvalError, code: &'static Code, lambda: u32, pos: Pos) -> EvalError {
        let lambda = &code.lambdas[lambda as usize];
        let text = match lambda.name {
            Symbol::NONE => "while calling anonymous lambda".to_string(),
            name => format!("while calling '{}'", self.text(name)),
        };
        from_call_site(error.trace(code.pos_of(lambda.offset), text), pos)
    }

    #[inline(always)]
    fn apply<A: Arguments>(&mut self, mut function: Value, arguments: A) -> Result<Next, EvalError> {
        let mut taken = 0;
        // From here on nothing but environments and delayed arguments are made.
        let mut from = self.arena.mark();
        loop {
            if let Some(lambda) = function.as_lambda() {
                lambda.see();
                let (code, mut index) = lambda.code();
                let code = self.code(code);
                let mut closed = lambda.env();
                loop {
                    let lambda = &code.lambdas[index as usize];
                    let env = if lambda.has_formals {
                        let argument = match arguments.get_forced(self, taken) {
                            Ok(argument) => argument,
                            Err(error) => return Err(from_call_site(error, arguments.pos())),
                        };
                        from = self.arena.mark();
                        self.bind_formals(code, lambda, closed, argument, arguments)?
                    } else {
                        let argument = arguments.get(self, taken);
                        let env = closed.extend(&mut self.arena, 1);
                        env.slot(0).set(argument);
                        env
                    };
                    taken += 1;
                    if self.counting {
                        self.count_function(code.number, index);
                    }
                    if taken == arguments.len() {
                        if self.show_trace {
                            self.entered.push(Entered { code, lambda: index, pos: arguments.pos() });
                        }
                        return Ok(Next::Enter(code, lambda.body, env, from));
                    }
                    match *code.node(lambda.body) {
                        Node::Lambda(inner) => (index, closed) = (inner, env),
                        _ => {
                            function = match self.eval(code, lambda.body, env) {
                                Ok(function) => function,
                                Err(error) if self.show_trace => {
                                    return Err(self.trace_call(error, code, index, arguments.pos()));
                                }
                                Err(error) => return Err(error),
                            };
                            from = self.arena.mark();
                            break;
                        }
                    }
                }
                continue;
            }
            match self.apply_other(function, arguments, &mut taken)? {
                Some(value) if taken < arguments.len() => (function, from) = (value, self.arena.mark()),
                Some(value) => return Ok(Next::Done(value)),
                None => return Ok(Next::Done(function)),
            }
        }
    }

    /// Calls what is not a function of the language; takes as many arguments as it can use now.
    #[inline(always)]
    fn apply_other<A: Arguments>(
        &mut self,
        function: Value,
        arguments: A,
        taken: &mut usize,
    ) -> Result<Option<Value>, EvalError> {
        if let Some(number) = function.as_builtin() {
            let arity = TABLE[number as usize].arity as usize;
            if arguments.len() - *taken < arity {
                return self.apply_partly(number, None, arguments, taken).map(Some);
            }
            let mut buffer = [Value::NULL; MAX_ARITY];
            for (index, place) in buffer[..arity].iter_mut().enumerate() {
                *place = arguments.get(self, *taken + index);
            }
            *taken += arity;
            return self.call_builtin(number, &buffer[..arity], arguments).map(Some);
        }
        if let Some(partial) = function.as_partial() {
            let number = partial.builtin();
            let before = partial.arguments();
            let arity = TABLE[number as usize].arity as usize;
            let missing = arity - before.len();
            if arguments.len() - *taken < missing {
                return self.apply_partly(number, Some(partial), arguments, taken).map(Some);
            }
            let mut buffer = [Value::NULL; MAX_ARITY];
            for (place, argument) in buffer.iter_mut().zip(before) {
                *place = argument.get();
            }
            for index in 0..missing {
                buffer[before.len() + index] = arguments.get(self, *taken + index);
            }
            *taken += missing;
            return self.call_builtin(number, &buffer[..arity], arguments).map(Some);
        }
        let functor = function.as_attrs().and_then(|set| set.get(sym::FUNCTOR));
        let Some(functor) = functor else { return Err(self.not_a_function(function, arguments.pos())) };
        let argument = arguments.get(self, *taken);
        *taken += 1;
        self.call_functor(functor, [function, argument], arguments.pos()).map(Some)
    }

    /// Calls a set. Not part of the loop that calls functions: it would make that one call itself.
    #[inline(never)]
    fn call_functor(&mut self, functor: Attr, pair: [Value; 2], pos: Pos) -> Outcome {
        let (callee, place) = (functor.value.get(), functor.pos);
        let outcome = match self.watch {
            Some(_) => self.call_watched(callee, &pair, place, Callee::Unknown),
            None => self.call_at(callee, &pair, place),
        };
        let text = "while calling a functor (an attribute set with a '__functor' attribute)";
        outcome.map_err(|error| error.trace(pos, text))
    }

    fn apply_partly<A: Arguments>(
        &mut self,
        number: u16,
        before: Option<Partial>,
        arguments: A,
        taken: &mut usize,
    ) -> Outcome {
        let mut buffer = [Value::NULL; MAX_ARITY];
        let count = arguments.len() - *taken;
        for (index, place) in buffer[..count].iter_mut().enumerate() {
            *place = arguments.get(self, *taken + index);
        }
        *taken += count;
        let before = before.map_or(&[][..], Partial::arguments);
        Ok(Partial::new(&mut self.arena, number, before, &buffer[..count]).into())
    }

    #[inline(always)]
    fn call_builtin(&mut self, number: u16, arguments: &[Value], call: impl Arguments) -> Outcome {
        let builtin = &TABLE[number as usize];
        if self.counting {
            self.count_builtin(number);
        }
        let height = self.stack.height();
        let outcome = match (builtin.function)(self, arguments) {
            Ok(value) => self.force(value),
            Err(error) => Err(error),
        };
        self.stack.truncate(height);
        match outcome {
            Err(error) if builtin.shown_as_lambda => Err(self.language_call_failed(error, arguments, call.pos())),
            Err(error) if builtin.traced => {
                Err(error.trace(call.pos(), format!("while calling the '{}' builtin", builtin.plain_name())))
            }
            outcome => outcome,
        }
    }

    /// For a builtin that passes for a function of the language with a set pattern.
    #[cold]
    #[inline(never)]
    fn language_call_failed(&mut self, error: EvalError, arguments: &[Value], pos: Pos) -> EvalError {
        let argument_fits = match arguments {
            [argument] => self.force(*argument).is_ok_and(|argument| argument.is_attrs()),
            _ => true,
        };
        if argument_fits && !self.show_trace { error } else { from_call_site(error, pos) }
    }

    #[cold]
    #[inline(never)]
    fn not_a_function(&mut self, value: Value, pos: Pos) -> EvalError {
        let shown = self.show_in_error(value);
        let what = crate::value::print::type_phrase(value);
        EvalError::type_error(format!("attempt to call something which is not a function but {what}: {shown}")).at(pos)
    }

    #[cold]
    #[inline(never)]
    fn argument_failed(&mut self, error: EvalError, code: &'static Code, lambda: &LambdaDef, pos: Pos) -> EvalError {
        let place = code.pos_of(lambda.offset);
        from_call_site(error.trace(place, "while evaluating the value passed for the lambda argument"), pos)
    }

    /// Binds a set pattern.
    #[inline(always)]
    fn bind_formals(
        &mut self,
        code: &'static Code,
        lambda: &'static LambdaDef,
        closed: Env,
        argument: Value,
        call: impl Arguments,
    ) -> Result<Env, EvalError> {
        let Some(set) = argument.as_attrs() else {
            let error = self.expected("a set", argument, Pos::NONE);
            return Err(self.argument_failed(error, code, lambda, call.pos()));
        };
        let env = closed.extend(&mut self.arena, lambda.slots as usize);
        if lambda.argument != Symbol::NONE {
            env.slot(0).set(argument);
        }
        let formals = code.formals(lambda);
        let used = match set.flat() {
            Some(own) if own.len() <= 4 * formals.len() => {
                let names = own.names();
                let mut at = 0;
                let mut used = 0;
                for formal in formals {
                    while names.get(at).is_some_and(|name| name.name < formal.name) {
                        at += 1;
                    }
                    if names.get(at).is_some_and(|name| name.name == formal.name) {
                        env.slot(formal.slot).set(own.get(at).value.get());
                        used += 1;
                        at += 1;
                    }
                }
                used
            }
            _ => {
                let mut used = 0;
                for formal in formals {
                    if let Some(value) = set.value(formal.name) {
                        env.slot(formal.slot).set(value);
                        used += 1;
                    }
                }
                used
            }
        };
        if used < formals.len() {
            self.bind_defaults(code, lambda, env, call)?;
        }
        if !lambda.ellipsis && used != set.len() {
            return Err(self.unexpected_argument(code, lambda, set, call.pos()));
        }
        Ok(env)
    }

    #[inline(never)]
    fn bind_defaults(
        &mut self,
        code: &'static Code,
        lambda: &'static LambdaDef,
        env: Env,
        call: impl Arguments,
    ) -> Result<(), EvalError> {
        for formal in code.formals(lambda) {
            let cell = env.slot(formal.slot);
            if cell.get_filled().is_some() {
                continue;
            }
            match formal.default.get() {
                Some(default) => {
                    let value = self.delay(code, default, env);
                    cell.set(value);
                }
                None => return Err(self.missing_argument(code, lambda, formal.name, call.pos())),
            }
        }
        Ok(())
    }

    fn function_name(&self, lambda: &LambdaDef) -> std::borrow::Cow<'static, str> {
        if lambda.name == Symbol::NONE { "anonymous lambda".into() } else { self.text(lambda.name) }
    }

    #[cold]
    #[inline(never)]
    fn missing_argument(&mut self, code: &Code, lambda: &LambdaDef, missing: Symbol, pos: Pos) -> EvalError {
        let name = self.function_name(lambda);
        let missing = self.text(missing);
        let message = format!("function '{name}' called without required argument '{missing}'");
        let error = EvalError::type_error(message).at(code.pos_of(lambda.offset));
        error.trace(pos, "from call site")
    }

    #[cold]
    #[inline(never)]
    fn unexpected_argument(&mut self, code: &Code, lambda: &LambdaDef, set: AttrSet, pos: Pos) -> EvalError {
        let formals = code.formals(lambda);
        let known = |name: Symbol| formals.binary_search_by_key(&name, |formal: &Formal| formal.name).is_ok();
        let unknown = set.iter().find(|attr| !known(attr.name)).map_or(sym::EMPTY, |attr| attr.name);
        let names = formals.iter().map(|formal| self.bare_text(formal.name).into_owned());
        let suggestions = crate::suggest::best_matches(names, &self.bare_text(unknown));
        let unknown = self.text(unknown);
        let name = self.function_name(lambda);
        let message = format!("function '{name}' called with unexpected argument '{unknown}'");
        let error = EvalError::type_error(message).at(code.pos_of(lambda.offset)).with_suggestions(suggestions);
        error.trace(pos, "from call site")
    }
}

#[cold]
fn from_call_site(error: EvalError, pos: Pos) -> EvalError {
    if pos == Pos::NONE { error } else { error.trace(pos, "from call site") }
}
