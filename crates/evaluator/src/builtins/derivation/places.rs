//! Places inside the file in which C++ Nix defines `derivation`.
//!
//! `derivation` is a function of the language there and compiled here. Traces name lines of that file and show them with
//! their neighbours, and whoever compares messages compares those bytes too. So the lines that a message shows are known
//! here, as part of its words, and no others. The text is the first that an evaluator registers.
//!
//! Absent: evaluating it.

use crate::code::Sources;
use crate::value::Pos;
use syntax::{Origin, Source};

/// How the file is called.
const NAME: &str = "«nix-internal»/derivation-internal.nix";
/// The line that `LINES` begins with.
const FIRST_LINE: usize = 29;
/// What messages show of it; other lines are empty.
const LINES: &str = r#"*/
drvAttrs@{
  outputs ? [ "out" ],





  strict = derivationStrict drvAttrs;


    drvAttrs
    // (builtins.listToAttrs outputsList)
    // {
      all = map (x: x.value) outputsList;
      inherit drvAttrs;
    };

  outputToAttrListElement = outputName: {
    name = outputName;
    value = commonAttrs // {
      outPath = builtins.getAttr outputName strict;
      drvPath = strict.drvPath;
      type = "derivation";
      inherit outputName;
    };


  outputsList = map outputToAttrListElement outputs;

in
(builtins.head outputsList).value
"#;

/// Registers the text; it must come before all others.
pub(crate) fn register(sources: &mut Sources) {
    let text = "\n".repeat(FIRST_LINE - 1) + LINES;
    if let Ok(source) = Source::new(Origin::File(NAME.into()), text.into_bytes()) {
        sources.add(source);
    }
}

/// A place by line and column.
const fn at(line: usize, column: usize) -> Pos {
    let bytes = LINES.as_bytes();
    let mut offset = 0;
    let mut current = FIRST_LINE;
    while current < line {
        if bytes[offset] == b'\n' {
            current += 1;
        }
        offset += 1;
    }
    // The first text begins at 1, after `Pos::NONE`.
    Pos((1 + FIRST_LINE - 1 + offset + column - 1) as u32)
}

/// The function.
pub(crate) const FUNCTION: Pos = at(30, 1);
/// The call of `derivationStrict`.
pub(super) const STRICT: Pos = at(37, 12);
/// The set with the outputs under their names.
pub(super) const OUTPUT_SETS: Pos = at(41, 9);
/// `all`.
pub(super) const ALL: Pos = at(43, 7);
/// `drvAttrs`.
pub(super) const DRV_ATTRS: Pos = at(44, 15);
/// The name of an output.
pub(super) const OUTPUT: Pos = at(48, 5);
/// An output under its name.
pub(super) const OUTPUT_SET: Pos = at(49, 5);
/// What all outputs have in common.
pub(super) const COMMON: Pos = at(49, 13);
/// `outPath`.
pub(super) const OUT_PATH: Pos = at(50, 7);
/// Its selection.
pub(super) const GET_OUT_PATH: Pos = at(50, 17);
/// `drvPath`.
pub(super) const DRV_PATH: Pos = at(51, 7);
/// `type`.
pub(super) const TYPE: Pos = at(52, 7);
/// `outputName`.
pub(super) const OUTPUT_NAME: Pos = at(53, 15);
/// The walk over the outputs.
pub(super) const MAP_OUTPUTS: Pos = at(57, 17);
/// The choice of the first output.
pub(super) const FIRST_OUTPUT: Pos = at(60, 2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_their_lines() {
        let mut sources = Sources::default();
        register(&mut sources);
        for (pos, line, column) in [(FUNCTION, 30, 1), (STRICT, 37, 12), (FIRST_OUTPUT, 60, 2)] {
            let found = sources.position(pos).expect("a place");
            assert_eq!((found.line, found.column), (line, column));
        }
    }
}
