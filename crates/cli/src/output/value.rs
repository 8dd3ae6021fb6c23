//! Values on standard output.

use evaluator::Rooted;

use crate::command::CommandError;
use crate::input::evaluation::Evaluation;

/// How a value is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As `nix-instantiate --eval` prints.
    Plain,
    /// As `nix eval` prints.
    Nice,
    /// A string as it is.
    Raw,
    /// JSON.
    Json,
    /// XML.
    Xml {
        /// With the places of functions and attributes.
        places: bool,
    },
}

impl Form {
    /// Whether the text is the same whatever was evaluated before: the others show how far values are evaluated.
    pub fn is_whole(self, strict: bool) -> bool {
        matches!(self, Form::Raw) || (matches!(self, Form::Json) && strict)
    }
}

/// The text of a value; with `strict` everything inside it is evaluated first.
pub fn value_text(
    evaluation: &mut Evaluation,
    value: &Rooted,
    form: Form,
    strict: bool,
) -> Result<Vec<u8>, CommandError> {
    let mut text = match form {
        Form::Plain => {
            if strict {
                evaluation.run(|evaluator| evaluator.force_deep(value))?;
            }
            evaluation.run(|evaluator| evaluator.print_plain(value))?
        }
        Form::Nice => evaluation.run(|evaluator| evaluator.print(value, evaluator::PrintOptions::EVAL))?,
        Form::Raw => evaluation.run(|evaluator| evaluator.string(value, true))?.0,
        Form::Json => evaluation.run(|evaluator| evaluator.to_json(value, strict))?,
        Form::Xml { places } => evaluation.run(|evaluator| evaluator.to_xml(value, strict, places))?,
    };
    if matches!(form, Form::Plain | Form::Nice | Form::Json) {
        text.push(b'\n');
    }
    Ok(text)
}
