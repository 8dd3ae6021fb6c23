//! First stage of `derivationStrict`: the attributes, evaluated in byte order of their names.

use crate::builtins::{in_name_order, json};
use crate::error::EvalError;
use crate::eval::{Coerced, Coercion, Eval};
use crate::program::Symbol;
use crate::value::{AttrSet, Pos, Str, Value, sym};
use store_model::derivation::StructuredAttrs;
use store_model::{ContentAddressMethod, Derivation, HashAlgorithm};

/// What the attributes say.
pub(super) struct Collected {
    /// The derivation so far: no inputs, no outputs.
    pub(super) drv: Derivation,
    /// The context of all strings.
    pub(super) strings: Coerced,
    /// Names of the outputs, in order.
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
    /// The JSON object of structured attributes, still open.
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
        drv: Derivation { name: name.to_owned(), ..Derivation::default() },
        strings: Coerced::default(),
        outputs: vec!["out".to_owned()],
        content_addressed: false,
        impure: false,
        hash: None,
        algorithm: None,
        method: None,
        json: structured.then(|| vec![b'{']),
    };
    for attr in in_name_order(eval, set) {
        if attr.name == sym::IGNORE_NULLS {
            continue;
        }
        let value = attr.value.get();
        let result = collected.add(eval, attr.name, value, ignore_nulls);
        result.map_err(|error| {
            let key = eval.text(attr.name);
            error.trace(attr.pos, format!("while evaluating attribute '{key}' of derivation '{name}'"))
        })?;
    }
    if let Some(mut json) = collected.json.take() {
        json.push(b'}');
        let text = String::from_utf8(json).map_err(|_| EvalError::eval("invalid UTF-8 in structured attributes"))?;
        collected.drv.structured_attrs = Some(StructuredAttrs::from_canonical(text));
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
            self.drv.args.push(argument.bytes().to_vec());
        }
        Ok(())
    }

    fn coerce(&mut self, eval: &mut Eval, value: Value, text: &'static str) -> Result<Str, EvalError> {
        let string = eval.coerce(value, Coercion::DERIVATION, text)?;
        self.strings.add_context(string.context());
        Ok(string)
    }

    fn add_variable(&mut self, eval: &mut Eval, name: Symbol, value: Value) -> Result<(), EvalError> {
        let string = self.coerce(eval, value, "")?;
        let bytes = string.bytes();
        if name == sym::JSON {
            let derivation = &self.drv.name;
            eval.activity.warn(&format!(
                "In derivation '{derivation}': setting structured attributes via '__json' is deprecated, and may be \
                 disallowed in future versions of Nix. Set '__structuredAttrs = true' instead."
            ));
            self.drv.structured_attrs = Some(StructuredAttrs::parse(bytes).map_err(EvalError::eval)?);
            return Ok(());
        }
        self.drv.env.insert(eval.shared.symbols.bytes(name).to_vec(), bytes.to_vec());
        match name {
            sym::BUILDER => self.drv.builder = bytes.to_vec(),
            sym::SYSTEM => self.drv.platform = bytes.to_vec(),
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
                self.strings.add_context(builder.context());
                self.drv.builder = builder.bytes().to_vec();
            }
            sym::SYSTEM => self.drv.platform = eval.expect_plain_string(value, "")?.bytes().to_vec(),
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
            _ => self.warn_ineffective(eval, name),
        }
        Ok(())
    }

    fn warn_ineffective(&self, eval: &Eval, name: Symbol) {
        const CHECKS: [&str; 6] = [
            "allowedReferences",
            "allowedRequisites",
            "disallowedReferences",
            "disallowedRequisites",
            "maxSize",
            "maxClosureSize",
        ];
        let attribute = eval.bare_text(name);
        if CHECKS.contains(&&*attribute) {
            let name = &self.drv.name;
            eval.activity.warn(&format!(
                "In a derivation named '{name}', 'structuredAttrs' disables the effect of the derivation attribute \
                 '{attribute}'; use 'outputChecks.<output>.{attribute}' instead"
            ));
        }
    }

    fn set_method(&mut self, eval: &Eval, mode: &str) -> Result<(), EvalError> {
        let method = match mode {
            "recursive" => ContentAddressMethod::NixArchive,
            mode => ContentAddressMethod::parse(mode)
                .map_err(|_| EvalError::eval(format!("invalid value '{mode}' for 'outputHashMode' attribute")))?,
        };
        match method {
            ContentAddressMethod::Text => {
                let name = &self.drv.name;
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
