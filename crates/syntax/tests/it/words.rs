//! Texts and what they mean, one line each; the meanings were checked against C++ Nix 2.34.8.

use crate::recorder::outcome;

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(&outcome(text), expected, "for {text:?}");
    }
}

#[test]
fn operators_bind_as_the_table_says() {
    check(&[
        ("a -> b -> c", "(a Implies (b Implies c))"),
        ("a || b || c", "((a Or b) Or c)"),
        ("a // b // c", "(a Update (b Update c))"),
        ("a ++ b ++ c", "(a Concat (b Concat c))"),
        ("a - b - c * d", "((a Subtract b) Subtract (c Multiply d))"),
        ("a + b ++ c", "(a Add (b Concat c))"),
        ("!a + b == c", "((Not (a Add b)) Equal c)"),
        ("a * !b + c", "(a Multiply (Not (b Add c)))"),
        ("-a.b ? c", "((Negate (a.b)) ? c)"),
        ("!a ? b", "(Not (a ? b))"),
        ("a ? b ? c.d", "((a ? b) ? c.d)"),
        ("a < b == c > d", "((a Less b) Equal (c Greater d))"),
        ("f a.b -c", "((f (a.b)) Subtract c)"),
        ("a |> f |> g", "((a |> f) |> g)"),
        ("g <| f <| a", "(g <| (f <| a))"),
    ]);
}

#[test]
fn lonely_operators_do_not_chain() {
    check(&[
        ("a == b == c", "7: syntax error, unexpected '=='"),
        ("a == b != c", "7: syntax error, unexpected '!='"),
        ("a < b <= c", "6: syntax error, unexpected '<='"),
        ("(a < b) < c", "((a Less b) Less c)"),
        ("a |> b <| c", "7: syntax error, unexpected '<|', expecting end of file"),
    ]);
}

#[test]
fn numbers_paths_and_uris_take_the_longest_match() {
    check(&[
        ("[1.5 .5 5. 0.5 00.5 1e5 1.0e-2]", "[1.5 0.5 5.0 0.5 0 0.5 1 e5 0.01]"),
        ("007", "7"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "0: invalid integer '9223372036854775808'"),
        ("1.0e999", "0: invalid float '1.0e999'"),
        ("1.0e-320", "0: invalid float '1.0e-320'"),
        ("a/b", "Relative:a/b"),
        ("a / b", "(a Divide b)"),
        ("a /b", "(a Absolute:/b)"),
        ("a//b", "(a Update b)"),
        ("lib.a.b/c", "Relative:lib.a.b/c"),
        ("1/2", "Relative:1/2"),
        ("-/a", "Relative:-/a"),
        ("~/a", "Home:~/a"),
        ("~", "0: syntax error, unexpected invalid token"),
        ("x:x", "\"x:x\""),
        ("x: x", "(x: x)"),
        ("_x:x", "(_x: x)"),
        ("a.b+c:d", "\"a.b+c:d\""),
        ("<a/b.c>", "Search:a/b.c"),
        ("a <b> c", "(a Search:b c)"),
        ("a <b", "(a Less b)"),
        ("./a/", "0: path has a trailing slash"),
        ("./a/ ", "4: path has a trailing slash"),
        ("[ ./a", "2: syntax error, unexpected end of file"),
        ("./a/${b}", "Relative:<\"./a/\"+$b>"),
        ("./${a}b/c${d}/e", "Relative:<\"./\"+$a+\"b/c\"+$d+\"/e\">"),
        ("~/${a}", "Home:<\"~/\"+$a>"),
        ("./a/${b}/ ", "9: path has a trailing slash"),
        ("./a//b", "0: syntax error, unexpected end of path, expecting '${'"),
    ]);
}

#[test]
fn strings_lose_escapes_and_keep_the_rest() {
    check(&[
        (r#""a\n\"\${b}$${c}$""#, r#""a\n\"${b}$${c}$""#),
        ("\"a\r\nb\rc\\\r\"", r#""a\nb\nc\r""#),
        (r#""a${b}\tc${d}""#, r#"<"a"+$b+"\tc"+$d>"#),
        (r#""${a}""#, "<$a>"),
        (r#""${"${a}"}b""#, r#"<$<$a>+"b">"#),
        ("\"", "1: syntax error, unexpected end of file, expecting '\"'"),
        ("\"a${b", "5: syntax error, unexpected end of file, expecting '}'"),
        ("\"a\0b\"", "1: input string 'a␀b' cannot be represented as Nix string because it contains null bytes"),
    ]);
}

#[test]
fn indented_strings_lose_their_indentation() {
    check(&[
        ("''\n    a\n      b\n\n    ''", r#""a\n  b\n\n""#),
        ("''  a''", r#""a""#),
        ("''\n\ta\n''", r#""\ta\n""#),
        ("''a''$b'''c''\\nd''\\'''", r#"<"a"+"$"+"b"+"''"+"c"+"\n"+"d"+"'">"#),
        ("''\n  ${a}\n    b''", r#"<$a+"\n  b">"#),
        ("''\n  ''${a}\n b''", r#"<" "+"$"+"{a}\nb">"#),
        ("''$${a}''", r#""$${a}""#),
        ("''a'b$'c''", r#"<"a'b"+"$"+"'c">"#),
        ("''''", r#""""#),
        ("''\r\n  a''", r#""\r\n  a""#),
        (
            "''a",
            "3: syntax error, unexpected end of file, expecting indented string or '${' or end of an indented string",
        ),
    ]);
}

#[test]
fn sets_functions_and_lets() {
    check(&[
        ("{}", "{}"),
        ("{ a.\"b c\".${d} = 1; inherit x; inherit (e) y z; }", "{a.b c.${d}=1; inherit x; inherit (e) y.z}"),
        ("rec { or = 1; }", "rec{or=1}"),
        ("let { body = 1; }", "let{body=1}"),
        ("let a = 1; in a", "(let a=1 in a)"),
        ("{ }: 1", "({}: 1)"),
        ("{ ... }: 1", "({...}: 1)"),
        ("{ a, b ? a, ... }: b", "({a,b?a...}: b)"),
        ("{ a, }@b: b", "(b{a}: b)"),
        ("b@{ a }: b", "(b{a}: b)"),
        ("{ a ? 1 }: a", "({a?1}: a)"),
        ("{ a = 1; }.a or 2", "({a=1}.a or 2)"),
        ("f or", "(f or)"),
        ("f or x", "((f or) x)"),
        ("__curPos.line", "(POS.line)"),
        ("if a then b else c", "(if a b c)"),
        ("with a; assert b; c", "(with a (assert b c))"),
    ]);
}

#[test]
fn errors_say_what_was_expected() {
    check(&[
        ("", "0: syntax error, unexpected end of file"),
        ("(1", "2: syntax error, unexpected end of file, expecting ')'"),
        ("{ a, 1 }: a", "5: syntax error, unexpected integer, expecting identifier or '...' or '}'"),
        ("{ a }: 1 )", "9: syntax error, unexpected ')', expecting end of file"),
        ("{ a } 1", "6: syntax error, unexpected integer, expecting ':' or '@'"),
        ("a + { b }", "8: syntax error, unexpected '}', expecting '.' or '='"),
        ("a + let b", "8: syntax error, unexpected identifier, expecting '{'"),
        ("let a = 1; 2", "11: syntax error, unexpected integer, expecting 'in' or 'inherit'"),
        ("rec { 1", "6: syntax error, unexpected integer, expecting 'inherit' or '}'"),
        ("{ a = 1 }", "8: syntax error, unexpected '}', expecting ';'"),
        ("x@y", "2: syntax error, unexpected identifier, expecting '{'"),
        ("{ }@1", "4: syntax error, unexpected integer, expecting identifier"),
        ("[ or ]", "2: syntax error, unexpected 'or'"),
        ("1 $ 2", "2: syntax error, unexpected invalid token, expecting end of file"),
        ("if a else", "5: syntax error, unexpected 'else', expecting 'then'"),
    ]);
}

#[test]
fn a_nul_byte_ends_the_text_and_pipes_need_leave() {
    assert_eq!(outcome("1 \0 ) ("), " 1".trim());
    let plain = crate::recorder::record(b"a |> b", syntax::ParseOptions::default());
    assert!(plain.errors[0].to_string().starts_with("experimental Nix feature 'pipe-operators' is disabled"));
}

#[test]
fn or_as_an_argument_is_warned_of() {
    let warnings = |text: &str| crate::recorder::record(text.as_bytes(), syntax::ParseOptions::default()).warnings;
    assert_eq!(warnings("f (g or)"), 0);
    assert_eq!(warnings("f g or"), 1);
    assert_eq!(warnings("[ g or ]"), 1);
    assert_eq!(warnings("a.b or g or"), 1);
}
