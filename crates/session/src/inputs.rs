//! The grammar of inputs for the evaluator, by the rules of the settings.

use evaluator::{Input, InputAttributes, InputSyntax, WorldError};
use fetchers::{FlakeRef, InputRef, InputRules, Url};

use crate::fetching::{fetch_error, from_attributes, rules, to_attributes};
use crate::settings::Settings;

/// The grammar of inputs.
#[derive(Debug)]
pub struct Inputs(InputRules);

impl Inputs {
    /// By the experimental features of the settings, and which forges they trust.
    pub fn new(settings: &Settings) -> Self {
        Self(rules(settings))
    }

    fn told(&self, input: &InputRef) -> Result<Input, fetchers::Error> {
        Ok(Input {
            attributes: from_attributes(input.attributes()),
            url: input.print()?,
            is_locked: input.is_locked(self.0)?,
            has_nar_hash: input.nar_hash()?.is_some(),
        })
    }
}

impl InputSyntax for Inputs {
    fn parse_flake_ref(&self, text: &str) -> Result<InputAttributes, WorldError> {
        let reference = FlakeRef::parse(text, true, self.0).map_err(fetch_error)?;
        Ok(from_attributes(&reference.to_attributes()))
    }

    fn print_flake_ref(&self, attributes: InputAttributes) -> Result<String, WorldError> {
        let reference = FlakeRef::from_attributes(to_attributes(&attributes), self.0);
        reference.and_then(|reference| reference.print()).map_err(fetch_error)
    }

    fn input_of_url(&self, url: &str) -> Result<Input, WorldError> {
        let input = Url::parse(url).and_then(|url| InputRef::from_url(&url, true, self.0));
        input.and_then(|input| self.told(&input)).map_err(fetch_error)
    }

    fn input_of_attributes(&self, attributes: InputAttributes) -> Result<Input, WorldError> {
        let input = InputRef::from_attributes(to_attributes(&attributes), self.0);
        input.and_then(|input| self.told(&input)).map_err(fetch_error)
    }

    fn git_url(&self, text: &str) -> Result<String, WorldError> {
        Ok(fetchers::git_url(text).map_err(fetch_error)?.print())
    }
}
