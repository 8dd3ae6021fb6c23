//! The grammar of inputs for the expressions: that of `fetchers`, under the rules of C++ Nix's defaults.

use evaluator::{FetchAttribute, Input, InputAttributes, InputSyntax, WorldError, WorldErrorClass};
use fetchers::{Attribute, Attributes, FlakeRef, InputRef, InputRules, Url};

/// The grammar with the features of [`crate::expressions::FEATURES`].
#[derive(Debug)]
pub(crate) struct Inputs;

const RULES: InputRules = InputRules { flakes: true, verified_fetches: false, trust_forges: true };

fn refused(error: fetchers::Error) -> WorldError {
    WorldError::new(WorldErrorClass::Other, error.to_string()).with_trace(error.trace())
}

fn from_attributes(attributes: &Attributes) -> InputAttributes {
    let value = |value: &Attribute| match value {
        Attribute::String(text) => FetchAttribute::String(text.clone()),
        Attribute::Int(number) => FetchAttribute::Int(*number),
        Attribute::Bool(truth) => FetchAttribute::Bool(*truth),
    };
    attributes.iter().map(|(name, given)| (name.clone(), value(given))).collect()
}

fn to_attributes(attributes: InputAttributes) -> Attributes {
    let value = |value| match value {
        FetchAttribute::String(text) => Attribute::String(text),
        FetchAttribute::Int(number) => Attribute::Int(number),
        FetchAttribute::Bool(truth) => Attribute::Bool(truth),
    };
    attributes.into_iter().map(|(name, given)| (name, value(given))).collect()
}

fn told(input: &InputRef) -> Result<Input, fetchers::Error> {
    Ok(Input {
        attributes: from_attributes(input.attributes()),
        url: input.print()?,
        is_locked: input.is_locked(RULES)?,
        has_nar_hash: input.nar_hash()?.is_some(),
    })
}

impl InputSyntax for Inputs {
    fn parse_flake_ref(&self, text: &str) -> Result<InputAttributes, WorldError> {
        FlakeRef::parse(text, true, RULES).map(|reference| from_attributes(&reference.to_attributes())).map_err(refused)
    }

    fn print_flake_ref(&self, attributes: InputAttributes) -> Result<String, WorldError> {
        let reference = FlakeRef::from_attributes(to_attributes(attributes), RULES);
        reference.and_then(|reference| reference.print()).map_err(refused)
    }

    fn input_of_url(&self, url: &str) -> Result<Input, WorldError> {
        let input = Url::parse(url).and_then(|url| InputRef::from_url(&url, true, RULES));
        input.and_then(|input| told(&input)).map_err(refused)
    }

    fn input_of_attributes(&self, attributes: InputAttributes) -> Result<Input, WorldError> {
        let input = InputRef::from_attributes(to_attributes(attributes), RULES);
        input.and_then(|input| told(&input)).map_err(refused)
    }

    fn git_url(&self, text: &str) -> Result<String, WorldError> {
        fetchers::git_url(text).map(|url| url.print()).map_err(refused)
    }
}
