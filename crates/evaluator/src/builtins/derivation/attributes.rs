//! First stage of `derivationStrict`: the attributes, evaluated in byte order of their names.

use crate::builtins::{in_name_order, json};
use crate::error::EvalError;
use crate::eval::{Coerced, Coercion, Eval};
use crate::parallel::Task;
use crate::program::Symbol;
use crate::value::{AttrSet, ContextId, Pos, Str, Value, sym};
use store_model::derivation::StructuredAttrs;
use store_model::{ContentAddressMethod, HashAlgorithm};

/// What the attributes say. Strings are those of the values, which stand on the value stack meanwhile.
pub(super) struct Collected {
    /// The derivation's name.
    pub(super) name: String,
    /// The contexts of all strings.
    pub(super) strings: Coerced,
    /// Variables, in byte order of their names.
    pub(super) env: Vec<(&'static [u8], &'static [u8])>,
    /// Arguments of the builder.
    pub(super) args: Vec<&'static [u8]>,
    /// The builder; empty if there is none.
    pub(super) builder: &'static [u8],
    /// The system; empty if there is none.
    pub(super) platform: &'static [u8],
    /// Structured attributes in canonical text.
    pub(super) structured: Option<String>,
    /// Names of outputs, in the order given.
    pub(super) outputs: Vec<String>,
    /// `__contentAddressed`.
    pub(super) content_addressed: bool,
    /// `__impure`.
    pub(super) impure: bool,
    /// `outputHash`.
    pub(super) hash: Option<String>,
    /// `outputHashAlgo`.
    pub(super) algorithm: Option<HashAlgorithm>,
    /// `outputHashMode`.
    pub(super) method: Option<ContentAddressMethod>,
    /// Structured attributes as far as they are written.
    json: Option<Vec<u8>>,
}

pub(super) fn collect(eval: &mut Eval, name: &str, set: AttrSet) -> Result<Collected, EvalError> {
    if let Err(error) = store_model::store_path::check_name(name) {
        let message = format!("invalid derivation name: {error}. Please pass a different 'name'.");
        return Err(EvalError::eval(message));
    }
    let flag = |eval: &mut Eval, name: Symbol, text: &'static str| match set.value(name) {
        Some(flag) => eval.expect_bool(flag, text),
        None => Ok(false),
    };
    let structured = flag(
        eval,
        sym::STRUCTURED_ATTRS,
        "while evaluating the `__structuredAttrs` attribute passed to builtins.derivationStrict",
    )?;
    let ignore_nulls = flag(
        eval,
        sym::IGNORE_NULLS,
        "while evaluating the `__ignoreNulls` attribute passed to builtins.derivationStrict",
    )?;
    let mut collected = Collected {
        name: name.to_owned(),
        strings: Coerced::default(),
        env: Vec::with_capacity(set.len()),
        args: Vec::new(),
        builder: b"",
        platform: b"",
        structured: None,
        outputs: vec!["out".to_owned()],
        content_addressed: false,
        impure: false,
        hash: None,
        algorithm: None,
        method: None,
        json: structured.then(|| vec![b'{']),
    };
    let attrs = in_name_order(eval, set);
    let task = if structured { Task::Json { copy: true } } else { Task::String(Coercion::DERIVATION) };
    eval.go_through(
        task,
        || attrs.iter().map(|attr| attr.value.get()),
        |eval, progress| {
            for (index, attr) in attrs.iter().enumerate() {
                if attr.name == sym::IGNORE_NULLS {
                    continue;
                }
                progress.at(index);
                let value = attr.value.get();
                let result = collected.add(eval, attr.name, value, ignore_nulls);
                result.map_err(|error| {
                    let key = eval.text(attr.name);
                    error.trace(attr.pos, format!("while evaluating attribute '{key}' of derivation '{name}'"))
                })?;
            }
            Ok(())
        },
    )?;
    if let Some(mut json) = collected.json.take() {
        json.push(b'}');
        let text = String::from_utf8(json).map_err(|_| EvalError::eval("invalid UTF-8 in structured attributes"))?;
        collected.structured = Some(text);
    }
    Ok(collected)
}

impl Collected {
    fn add(&mut self, eval: &mut Eval, name: Symbol, value: Value, ignore_nulls: bool) -> Result<(), EvalError> {
        if ignore_nulls && eval.force(value)? == Value::NULL {
            return Ok(());
        }
        match name {
            sym::CONTENT_ADDRESSED => {
                if eval.expect_bool(value, "")? {
                    self.content_addressed = true;
                    require(eval, "ca-derivations", "")?;
                }
                Ok(())
            }
            sym::IMPURE => {
                if eval.expect_bool(value, "")? {
                    self.impure = true;
                    require(eval, "impure-derivations", "")?;
                }
                Ok(())
            }
            sym::ARGS => self.add_args(eval, value),
            _ if self.json.is_some() => self.add_structured(eval, name, value),
            _ => self.add_variable(eval, name, value),
        }
    }

    fn add_args(&mut self, eval: &mut Eval, value: Value) -> Result<(), EvalError> {
        let list = eval.expect_list(value, "")?;
        for element in list.iter() {
            let text = "while evaluating an element of the argument list";
            let argument = self.coerce(eval, element, text)?;
            self.args.push(argument.bytes());
        }
        Ok(())
    }

    fn coerce(&mut self, eval: &mut Eval, value: Value, text: &'static str) -> Result<Str, EvalError> {
        let string = eval.coerce(value, Coercion::DERIVATION, text)?;
        Ok(self.keep(eval, string))
    }

    /// Keeps a string as long as the builtin runs, and notes its context.
    fn keep(&mut self, eval: &mut Eval, string: Str) -> Str {
        eval.stack.push(string.into());
        if string.context() != ContextId::NONE {
            self.strings.add_context(string.context());
        }
        string
    }

    fn add_variable(&mut self, eval: &mut Eval, name: Symbol, value: Value) -> Result<(), EvalError> {
        let string = self.coerce(eval, value, "")?;
        let bytes = string.bytes();
        if name == sym::JSON {
            eval.effect()?;
            let derivation = &self.name;
            eval.activity.warn(&format!(
                "In derivation '{derivation}': setting structured attributes via '__json' is deprecated, and may be \
                 disallowed in future versions of Nix. Set '__structuredAttrs = true' instead."
            ));
            self.structured = Some(StructuredAttrs::parse(bytes).map_err(EvalError::eval)?.as_str().to_owned());
            return Ok(());
        }
        self.env.push((eval.shared.symbols.bytes(name), bytes));
        match name {
            sym::BUILDER => self.builder = bytes,
            sym::SYSTEM => self.platform = bytes,
            sym::OUTPUT_HASH => self.hash = Some(text(bytes)),
            sym::OUTPUT_HASH_ALGO => self.algorithm = algorithm(&text(bytes)),
            sym::OUTPUT_HASH_MODE => self.set_method(eval, &text(bytes))?,
            sym::OUTPUTS => {
                let words = text(bytes);
                self.set_outputs(words.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty()))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn add_structured(&mut self, eval: &mut Eval, name: Symbol, value: Value) -> Result<(), EvalError> {
        if name == sym::STRUCTURED_ATTRS {
            return Ok(());
        }
        let mut out = self.json.take().unwrap_or_default();
        if out.len() > 1 {
            out.push(b',');
        }
        json::write_string(eval.shared.symbols.bytes(name), &mut out)?;
        out.push(b':');
        let mut written = Coerced::default();
        written.bytes = out;
        let options = json::JsonOptions { strict: true, copy: true };
        json::write_json(eval, value, Pos::NONE, options, &mut written)?;
        written.contexts().iter().for_each(|context| self.strings.add_context(*context));
        self.json = Some(written.bytes);
        match name {
            sym::BUILDER => {
                let builder = eval.expect_string(value, "")?;
                self.builder = self.keep(eval, builder).bytes();
            }
            sym::SYSTEM => {
                let system = eval.expect_plain_string(value, "")?;
                self.platform = self.keep(eval, system).bytes();
            }
            sym::OUTPUT_HASH => self.hash = Some(text(eval.expect_plain_string(value, "")?.bytes())),
            sym::OUTPUT_HASH_ALGO => self.algorithm = algorithm(&text(eval.expect_plain_string(value, "")?.bytes())),
            sym::OUTPUT_HASH_MODE => {
                let mode = text(eval.expect_plain_string(value, "")?.bytes());
                self.set_method(eval, &mode)?;
            }
            sym::OUTPUTS => {
                let list = eval.expect_list(value, "")?;
                let mut names = Vec::with_capacity(list.len());
                for element in list.iter() {
                    names.push(text(eval.expect_plain_string(element, "")?.bytes()));
                }
                self.set_outputs(names.iter().map(String::as_str))?;
            }
            sym::ALLOWED_REFERENCES
            | sym::ALLOWED_REQUISITES
            | sym::DISALLOWED_REFERENCES
            | sym::DISALLOWED_REQUISITES
            | sym::MAX_SIZE
            | sym::MAX_CLOSURE_SIZE => self.warn_ineffective(eval, name)?,
            _ => {}
        }
        Ok(())
    }

    fn warn_ineffective(&self, eval: &Eval, name: Symbol) -> Result<(), EvalError> {
        eval.effect()?;
        let attribute = eval.bare_text(name);
        let name = &self.name;
        eval.activity.warn(&format!(
            "In a derivation named '{name}', 'structuredAttrs' disables the effect of the derivation attribute \
             '{attribute}'; use 'outputChecks.<output>.{attribute}' instead"
        ));
        Ok(())
    }

    fn set_method(&mut self, eval: &Eval, mode: &str) -> Result<(), EvalError> {
        let method = match mode {
            "recursive" => ContentAddressMethod::NixArchive,
            mode => ContentAddressMethod::parse(mode)
                .map_err(|_| EvalError::eval(format!("invalid value '{mode}' for 'outputHashMode' attribute")))?,
        };
        match method {
            ContentAddressMethod::Text => {
                let name = &self.name;
                let reason = format!("text-hashed derivation '{name}', outputHashMode = \"text\"");
                require(eval, "dynamic-derivations", &reason)?;
            }
            ContentAddressMethod::Git => require(eval, "git-hashing", "")?,
            _ => {}
        }
        self.method = Some(method);
        Ok(())
    }

    fn set_outputs<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> Result<(), EvalError> {
        self.outputs.clear();
        for name in names {
            if self.outputs.iter().any(|output| output == name) {
                return Err(EvalError::eval(format!("duplicate derivation output '{name}'")));
            }
            if name == "drvPath" {
                return Err(EvalError::eval("invalid derivation output name 'drvPath'"));
            }
            self.outputs.push(name.to_owned());
        }
        if self.outputs.is_empty() {
            return Err(EvalError::eval("derivation cannot have an empty set of outputs"));
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An unknown name counts as none, as in C++ Nix.
fn algorithm(name: &str) -> Option<HashAlgorithm> {
    HashAlgorithm::parse(name).ok()
}

/// Fails unless an experimental feature is enabled.
pub(super) fn require(eval: &Eval, feature: &str, reason: &str) -> Result<(), EvalError> {
    if eval.shared.options.has_feature(feature) {
        return Ok(());
    }
    let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    let message = format!(
        "experimental Nix feature '{feature}' is disabled{reason}; add '--extra-experimental-features {feature}' to enable it"
    );
    Err(EvalError::eval(message))
}
