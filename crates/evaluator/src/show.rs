//! What the evaluator shows besides its own printed forms: JSON, XML, the parsed expression.
//!
//! Absent: writing anywhere; the texts are handed back.

use crate::builtins::json::{JsonOptions, write_json};
use crate::builtins::xml::{XmlOptions, write_xml};
use crate::compile;
use crate::error::{EvalError, Origin};
use crate::eval::{Coerced, parent};
use crate::evaluator::{Evaluator, Rooted};
use crate::value::Pos;
use syntax::Source;

impl Evaluator {
    /// The JSON form (`nix-instantiate --eval --json`), without a line end. With `strict` what is not evaluated yet is
    /// evaluated, else it is an error. Paths are copied to the store.
    pub fn to_json(&mut self, value: &Rooted, strict: bool) -> Result<Vec<u8>, EvalError> {
        let value = value.value();
        let mut out = Coerced::default();
        write_json(self.enter(), value, Pos::NONE, JsonOptions { strict, copy: true }, &mut out)?;
        Ok(out.bytes)
    }

    /// The XML form (`nix-instantiate --eval --xml`), ending in a line end. With `strict` what is not evaluated yet is
    /// evaluated; with `places` it says where attributes and functions were defined.
    pub fn to_xml(&mut self, value: &Rooted, strict: bool, places: bool) -> Result<Vec<u8>, EvalError> {
        let value = value.value();
        let mut out = Coerced::default();
        write_xml(self.enter(), value, XmlOptions { strict, locations: places }, &mut out)?;
        Ok(out.bytes)
    }

    /// The expression as it was understood (`nix-instantiate --parse`), without a line end; nothing is evaluated.
    /// Relative paths in it start from `directory`.
    pub fn show_parsed(&mut self, text: &[u8], directory: &[u8], origin: Origin) -> Result<Vec<u8>, EvalError> {
        let source = Source::new(origin, text).map_err(|error| EvalError::eval(error.to_string()))?;
        let home = self.eval.shared.world.env_var(b"HOME").unwrap_or_default();
        let print = compile::PrintOptions { folder: directory, home: &home };
        self.enter().parse_and_print(source, &print)
    }

    /// The same for a text from the command line.
    pub fn show_parsed_text(&mut self, text: &[u8], directory: &[u8]) -> Result<Vec<u8>, EvalError> {
        self.show_parsed(text, directory, Origin::String)
    }

    /// The same for a file (a folder means its `default.nix`); `path` is absolute.
    pub fn show_parsed_file(&mut self, path: &[u8]) -> Result<Vec<u8>, EvalError> {
        let path = self.enter().resolve_expression_path(path)?;
        let text = self.eval.shared.world.read_file(&path)?;
        let shown = String::from_utf8_lossy(&path).into_owned();
        self.show_parsed(&text, parent(&path), Origin::File(shown.into()))
    }
}
