//! JSON text to values.
//!
//! The grammar and every message are those of nlohmann's library, which C++ Nix uses: an error names the line, the last
//! byte read in it, what was being read and what was expected. Of equal names in an object the last counts. Integers
//! beyond 64 bits become floats, except those that fit only without a sign, which are an error.
//!
//! Path of data: `scan` gives tokens, [`Reader`] keeps the open containers, whose elements stand on the value stack.

use super::scan::{Scanner, Token};
use crate::error::{ErrorKind, EvalError};
use crate::eval::{Eval, Outcome};
use crate::program::Symbol;
use crate::value::{AttrSetBuilder, List, Pos, Value};

/// Reads a whole text.
pub(super) fn read_json(eval: &mut Eval, text: &[u8]) -> Outcome {
    Reader { eval, scanner: Scanner::new(text), containers: Vec::new(), names: Vec::new() }.document()
}

/// An array or object being read.
struct Container {
    object: bool,
    /// Height of the value stack below its elements.
    values: usize,
    /// Number of names below its own.
    names: usize,
}

struct Reader<'a, 'e> {
    eval: &'e mut Eval,
    scanner: Scanner<'a>,
    containers: Vec<Container>,
    names: Vec<Symbol>,
}

type Step<T> = Result<T, EvalError>;

impl Reader<'_, '_> {
    fn document(&mut self) -> Outcome {
        let mut token = self.scanner.next();
        loop {
            let value = match token {
                Token::ArrayOpen | Token::ObjectOpen => match self.open(token == Token::ObjectOpen)? {
                    Some(empty) => empty,
                    None => {
                        token = self.scanner.current;
                        continue;
                    }
                },
                token => self.scalar(token)?,
            };
            let Some(next) = self.close_after(value)? else { break };
            token = next;
        }
        let value = self.eval.stack.above(self.eval.stack.height() - 1)[0];
        match self.scanner.next() {
            Token::End => Ok(value),
            token => Err(self.unexpected(token, "end of input", "value")),
        }
    }

    /// After `[` or `{`: the value if it is empty, else the first element's token becomes the current one.
    fn open(&mut self, object: bool) -> Step<Option<Value>> {
        let container = Container { object, values: self.eval.stack.height(), names: self.names.len() };
        self.containers.push(container);
        match (self.scanner.next(), object) {
            (Token::ArrayClose, false) | (Token::ObjectClose, true) => Ok(Some(self.finish())),
            (_, false) => Ok(None),
            (token, true) => {
                self.name(token)?;
                Ok(None)
            }
        }
    }

    /// A name and its colon; then the value's token is the current one.
    fn name(&mut self, token: Token) -> Step<()> {
        if token != Token::String {
            return Err(self.unexpected(token, "string literal", "object key"));
        }
        refuse_nul(&self.scanner.string)?;
        let name = self.eval.intern(&self.scanner.string);
        self.names.push(name);
        match self.scanner.next() {
            Token::Colon => {
                self.scanner.next();
                Ok(())
            }
            token => Err(self.unexpected(token, "':'", "object separator")),
        }
    }

    fn scalar(&mut self, token: Token) -> Outcome {
        let arena = &mut self.eval.arena;
        Ok(match token {
            Token::True => Value::TRUE,
            Token::False => Value::FALSE,
            Token::Null => Value::NULL,
            Token::Integer(value) => Value::int(arena, value),
            Token::Unsigned(value) => match i64::try_from(value) {
                Ok(value) => Value::int(arena, value),
                Err(_) => {
                    let message = format!("unsigned json number {value} outside of Nix integer range");
                    return Err(EvalError::eval(message));
                }
            },
            Token::Float(value) if value.is_infinite() => {
                let number = self.scanner.shown();
                return Err(parse_error(&format!(
                    "[json.exception.out_of_range.406] number overflow parsing '{number}'"
                )));
            }
            Token::Float(value) => Value::float(arena, value),
            Token::String => {
                refuse_nul(&self.scanner.string)?;
                self.eval.string(&self.scanner.string)
            }
            Token::End if self.scanner.is_empty() => {
                let words = "attempting to parse an empty input; check that your input string or stream contains \
                             the expected JSON";
                return Err(self.error_here(words));
            }
            Token::Bad => return Err(self.unexpected(token, "", "value")),
            token => return Err(self.unexpected(token, "'[', '{', or a literal", "value")),
        })
    }

    /// Puts a value into the container it belongs to and closes those that end after it: the token of the next value,
    /// or none at the end of the document, whose value then is on top of the stack.
    fn close_after(&mut self, mut value: Value) -> Step<Option<Token>> {
        loop {
            self.eval.stack.push(value);
            let Some(container) = self.containers.last() else { return Ok(None) };
            let object = container.object;
            if self.eval.stack.height().is_multiple_of(4096) {
                self.eval.poll()?;
            }
            match (self.scanner.next(), object) {
                (Token::Comma, false) => return Ok(Some(self.scanner.next())),
                (Token::Comma, true) => {
                    let token = self.scanner.next();
                    self.name(token)?;
                    return Ok(Some(self.scanner.current));
                }
                (Token::ArrayClose, false) | (Token::ObjectClose, true) => value = self.finish(),
                (token, false) => return Err(self.unexpected(token, "']'", "array")),
                (token, true) => return Err(self.unexpected(token, "'}'", "object")),
            }
        }
    }

    /// The innermost container as a value.
    fn finish(&mut self) -> Value {
        let Some(container) = self.containers.pop() else { return Value::NULL };
        let eval = &mut *self.eval;
        let values = eval.stack.above(container.values);
        let value = if container.object {
            // The builder keeps the first of equal names.
            let mut set = AttrSetBuilder::new(&mut eval.arena, values.len());
            for (name, value) in self.names[container.names..].iter().zip(values).rev() {
                set.push(*name, Pos::NONE, *value);
            }
            self.names.truncate(container.names);
            set.finish(&mut eval.arena).into()
        } else {
            List::new(&mut eval.arena, values).into()
        };
        eval.stack.truncate(container.values);
        value
    }

    #[cold]
    fn unexpected(&self, token: Token, expected: &str, context: &str) -> EvalError {
        let mut words = format!("syntax error while parsing {context} - ");
        match token {
            Token::Bad => {
                words.push_str(&format!("{}; last read: '{}'", self.scanner.message, self.scanner.shown()));
            }
            token => words.push_str(&format!("unexpected {}", token.describe())),
        }
        if !expected.is_empty() {
            words.push_str(&format!("; expected {expected}"));
        }
        self.error_here(&words)
    }

    #[cold]
    fn error_here(&self, words: &str) -> EvalError {
        let (line, column) = self.scanner.position();
        parse_error(&format!("[json.exception.parse_error.101] parse error at line {line}, column {column}: {words}"))
    }
}

#[cold]
fn parse_error(words: &str) -> EvalError {
    EvalError::new(ErrorKind::Eval, words).trace(Pos::NONE, "while decoding a JSON string")
}

/// Strings of the language hold no NUL.
pub(crate) fn refuse_nul(bytes: &[u8]) -> Step<()> {
    if !bytes.contains(&0) {
        return Ok(());
    }
    let shown = crate::text::bytes_as_text(bytes).replace('\0', "␀");
    Err(EvalError::eval(format!(
        "input string '{shown}' cannot be represented as Nix string because it contains null bytes"
    )))
}
