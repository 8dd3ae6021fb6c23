//! The syntax of TOML 1.0.0 as patterns, in the shapes that C++ Nix's library gives them, for its messages.
//!
//! Absent: meaning (`read.rs`).

use super::pattern::Pattern::{self, AtLeast, Byte, Exactly, First, Maybe, Named, OneOf, Sequence, Text, Within};

type Rule = Pattern;

static DIGIT: Rule = Named("digit [0-9]", &Within(b'0', b'9'));
static ALPHA: Rule = Named("alpha [a-zA-Z]", &First(&[&Within(b'a', b'z'), &Within(b'A', b'Z')]));
static HEX_DIGIT: Rule =
    Named("hex [0-9a-fA-F]", &First(&[&Within(b'0', b'9'), &Within(b'A', b'F'), &Within(b'a', b'f')]));
static TAIL: Rule = Within(0x80, 0xbf);
static NON_ASCII: Rule = Named(
    "non-ascii utf-8 bytes",
    &First(&[
        &Sequence(&[&Within(0xc2, 0xdf), &TAIL]),
        &Sequence(&[&Byte(0xe0), &Within(0xa0, 0xbf), &TAIL]),
        &Sequence(&[&Within(0xe1, 0xec), &TAIL, &TAIL]),
        &Sequence(&[&Byte(0xed), &Within(0x80, 0x9f), &TAIL]),
        &Sequence(&[&Within(0xee, 0xef), &TAIL, &TAIL]),
        &Sequence(&[&Byte(0xf0), &Within(0x90, 0xbf), &TAIL, &TAIL]),
        &Sequence(&[&Within(0xf1, 0xf3), &TAIL, &TAIL, &TAIL]),
        &Sequence(&[&Byte(0xf4), &Within(0x80, 0x8f), &TAIL, &TAIL]),
    ]),
);

static BLANK: Rule = OneOf(b" \t");
/// Spaces and tabs, perhaps none.
pub(super) static SPACE: Rule = AtLeast(0, &BLANK);
/// A line end.
pub(super) static LINE_END: Rule = First(&[&Byte(b'\n'), &Text("\r\n")]);
/// A comment without its line end.
pub(super) static COMMENT: Rule =
    Sequence(&[&Byte(b'#'), &AtLeast(0, &First(&[&Byte(b'\t'), &Within(0x20, 0x7e), &NON_ASCII]))]);

/// `true` or `false`.
pub(super) static BOOLEAN: Rule = First(&[&Text("true"), &Text("false")]);

static SIGN: Rule = Maybe(&OneOf(b"+-"));
static MORE_DIGITS: Rule = First(&[&DIGIT, &Sequence(&[&Byte(b'_'), &DIGIT])]);
/// A decimal integer.
pub(super) static DECIMAL: Rule =
    Sequence(&[&SIGN, &First(&[&Sequence(&[&Within(b'1', b'9'), &AtLeast(1, &MORE_DIGITS)]), &DIGIT])]);
/// `0x…`.
pub(super) static HEXADECIMAL: Rule =
    Sequence(&[&Text("0x"), &HEX_DIGIT, &AtLeast(0, &First(&[&HEX_DIGIT, &Sequence(&[&Byte(b'_'), &HEX_DIGIT])]))]);
static OCTAL_DIGIT: Rule = Within(b'0', b'7');
/// `0o…`.
pub(super) static OCTAL: Rule = Sequence(&[
    &Text("0o"),
    &OCTAL_DIGIT,
    &AtLeast(0, &First(&[&OCTAL_DIGIT, &Sequence(&[&Byte(b'_'), &OCTAL_DIGIT])])),
]);
static BINARY_DIGIT: Rule = OneOf(b"01");
/// `0b…`.
pub(super) static BINARY: Rule = Sequence(&[
    &Text("0b"),
    &BINARY_DIGIT,
    &AtLeast(0, &First(&[&BINARY_DIGIT, &Sequence(&[&Byte(b'_'), &BINARY_DIGIT])])),
]);
/// Any integer.
pub(super) static INTEGER: Rule = First(&[&HEXADECIMAL, &OCTAL, &BINARY, &DECIMAL]);
static DIGITS: Rule = Sequence(&[&DIGIT, &AtLeast(0, &MORE_DIGITS)]);
static FRACTION: Rule = Sequence(&[&Byte(b'.'), &DIGITS]);
static EXPONENT: Rule = Sequence(&[&OneOf(b"eE"), &SIGN, &DIGITS]);
/// A float.
pub(super) static FLOAT: Rule = First(&[
    &Sequence(&[&DECIMAL, &First(&[&EXPONENT, &Sequence(&[&FRACTION, &Maybe(&EXPONENT)])])]),
    &Sequence(&[&SIGN, &First(&[&Text("inf"), &Text("nan")])]),
]);

static TWO_DIGITS: Rule = Exactly(2, &DIGIT);
/// `1979-05-27`.
pub(super) static DATE: Rule = Sequence(&[&Exactly(4, &DIGIT), &Byte(b'-'), &TWO_DIGITS, &Byte(b'-'), &TWO_DIGITS]);
/// `07:32:00.5`.
pub(super) static TIME: Rule = Sequence(&[
    &TWO_DIGITS,
    &Byte(b':'),
    &TWO_DIGITS,
    &Byte(b':'),
    &TWO_DIGITS,
    &Maybe(&Sequence(&[&Byte(b'.'), &AtLeast(1, &DIGIT)])),
]);
/// `Z` or `-07:00`.
pub(super) static OFFSET: Rule =
    First(&[&OneOf(b"zZ"), &Sequence(&[&OneOf(b"+-"), &TWO_DIGITS, &Byte(b':'), &TWO_DIGITS])]);
/// Between date and time.
pub(super) static DELIMITER: Rule = OneOf(b"Tt ");
/// Date and time.
pub(super) static LOCAL: Rule = Sequence(&[&DATE, &DELIMITER, &TIME]);
/// Date, time and offset.
pub(super) static FULL: Rule = Sequence(&[&DATE, &DELIMITER, &Sequence(&[&TIME, &OFFSET])]);

/// `u` and four digits.
pub(super) static ESCAPE_4: Rule = Sequence(&[&Byte(b'u'), &Exactly(4, &HEX_DIGIT)]);
/// `U` and eight digits.
pub(super) static ESCAPE_8: Rule = Sequence(&[&Byte(b'U'), &Exactly(8, &HEX_DIGIT)]);
static ESCAPED: Rule = Sequence(&[&Byte(b'\\'), &First(&[&OneOf(b"\"\\bfnrt"), &ESCAPE_4, &ESCAPE_8])]);
static BASIC: Rule =
    First(&[&First(&[&BLANK, &Byte(b'!'), &Within(0x23, 0x5b), &Within(0x5d, 0x7e), &NON_ASCII]), &ESCAPED]);
/// `"…"`.
pub(super) static BASIC_STRING: Rule = Sequence(&[&Byte(b'"'), &AtLeast(0, &BASIC), &Byte(b'"')]);
/// A backslash that hides the line end and blank space after it.
pub(super) static HIDDEN_LINE_END: Rule =
    Sequence(&[&Byte(b'\\'), &SPACE, &LINE_END, &AtLeast(0, &First(&[&BLANK, &LINE_END]))]);
static BASIC_LINES: Rule = First(&[&BASIC, &LINE_END, &HIDDEN_LINE_END]);
static QUOTES: Rule = First(&[&Text("\"\""), &Byte(b'"')]);
/// `"""…"""`.
pub(super) static LONG_BASIC_STRING: Rule = Sequence(&[
    &Text("\"\"\""),
    &Maybe(&LINE_END),
    &AtLeast(0, &BASIC_LINES),
    &AtLeast(0, &Sequence(&[&QUOTES, &AtLeast(1, &BASIC_LINES)])),
    &Text("\"\"\""),
    &Maybe(&QUOTES),
]);
static LITERAL: Rule = First(&[&Byte(b'\t'), &Within(0x20, 0x26), &Within(0x28, 0x7e), &NON_ASCII]);
/// `'…'`.
pub(super) static LITERAL_STRING: Rule = Sequence(&[&Byte(b'\''), &AtLeast(0, &LITERAL), &Byte(b'\'')]);
static LITERAL_LINES: Rule = First(&[&LITERAL, &LINE_END]);
static APOSTROPHES: Rule = First(&[&Text("''"), &Byte(b'\'')]);
/// `'''…'''`.
pub(super) static LONG_LITERAL_STRING: Rule = Sequence(&[
    &Text("'''"),
    &Maybe(&LINE_END),
    &AtLeast(0, &LITERAL_LINES),
    &AtLeast(0, &Sequence(&[&APOSTROPHES, &AtLeast(1, &LITERAL_LINES)])),
    &Text("'''"),
    &Maybe(&APOSTROPHES),
]);

/// A key without quotes.
pub(super) static BARE_KEY: Rule = AtLeast(1, &First(&[&ALPHA, &DIGIT, &Byte(b'-'), &Byte(b'_')]));
static SIMPLE_KEY: Rule = First(&[&BARE_KEY, &First(&[&BASIC_STRING, &LITERAL_STRING])]);
/// The dot between keys.
pub(super) static DOT: Rule = Sequence(&[&SPACE, &Byte(b'.'), &SPACE]);
static KEY: Rule = Named(
    "basic key([a-zA-Z0-9_-]) or quoted key(\" or ')",
    &Sequence(&[&SIMPLE_KEY, &AtLeast(0, &Sequence(&[&DOT, &SIMPLE_KEY]))]),
);
/// Between key and value.
pub(super) static EQUALS: Rule = Sequence(&[&SPACE, &Byte(b'='), &SPACE]);
/// `[key]`.
pub(super) static TABLE: Rule = Sequence(&[&Byte(b'['), &SPACE, &KEY, &SPACE, &Byte(b']')]);
/// `[[key]]`.
pub(super) static TABLE_OF_LIST: Rule = Sequence(&[&Text("[["), &SPACE, &KEY, &SPACE, &Text("]]")]);
