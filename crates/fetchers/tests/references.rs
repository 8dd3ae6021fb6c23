//! Flake references: what C++ Nix 2.34.8 makes of many of them, and print after parse for any.
//!
//! `golden/references.tsv` holds a reference per line with what `parseFlakeRef` gave for it in C++ Nix, as JSON, and what
//! `flakeRefToString` made of that; or the error's last line.

use fetchers::{Attribute, Attributes, FlakeRef, InputRules};
use proptest::prelude::*;

const RULES: InputRules = InputRules { flakes: true, verified_fetches: false, trust_forges: true };

fn as_json(attributes: &Attributes) -> String {
    let value = |value: &Attribute| match value {
        Attribute::String(text) => serde_json::Value::from(text.as_str()),
        Attribute::Int(number) => (*number).into(),
        Attribute::Bool(truth) => (*truth).into(),
    };
    let object: serde_json::Map<_, _> = attributes.iter().map(|(name, given)| (name.clone(), value(given))).collect();
    serde_json::Value::from(object).to_string()
}

fn or_error(result: Result<String, fetchers::Error>) -> String {
    result.unwrap_or_else(|error| format!("error: {error}"))
}

#[test]
fn references_mean_what_they_mean_in_cpp_nix() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for line in include_str!("golden/references.tsv").lines() {
        let [text, parsed, printed] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        seen += 1;
        let reference = FlakeRef::parse(text, true, RULES);
        let got = or_error(reference.as_ref().map(|found| as_json(&found.to_attributes())).map_err(copy));
        if got != parsed {
            wrong.push(format!("{text}\n  expected {parsed}\n  got      {got}"));
        }
        let Ok(reference) = reference else { continue };
        let again = FlakeRef::from_attributes(reference.to_attributes(), RULES);
        let got = or_error(again.and_then(|found| found.print()));
        if got != printed {
            wrong.push(format!("{text} printed\n  expected {printed}\n  got      {got}"));
        }
    }
    assert!(seen > 200 && wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The words of an error, as an error.
fn copy(error: &fetchers::Error) -> fetchers::Error {
    fetchers::Error::Input(error.to_string())
}

fn reference() -> impl Strategy<Value = String> {
    let scheme = prop::sample::select(vec![
        "",
        "flake:",
        "github:",
        "gitlab:",
        "sourcehut:",
        "git+https://h/",
        "git+file:///",
        "git+ssh://u@h:22/",
        "git://h/",
        "path:/",
        "path:",
        "/",
        "https://h/",
        "http://[::1]:80/",
        "file:///",
        "tarball+https://h/",
        "file+http://h/",
        "hg+https://h/",
        "hg+file:///",
        "git+https://u:p@h/",
    ]);
    let rest = "([a-c]{1,3}/){0,3}[a-zA-Z0-9._@ %'+~-]{0,6}(\\.zip)?";
    let query =
        "(\\?(dir|ref|rev|host|narHash|shallow|submodules|x|lastModified)=[a-z0-9/%+ .]{0,5})?(&[a-z]=[a-z&=%]{0,3})?";
    (scheme, rest, query).prop_map(|(scheme, rest, query)| format!("{scheme}{rest}{query}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn printing_and_parsing_again_changes_nothing(text in reference()) {
        let Ok(parsed) = FlakeRef::parse(&text, true, RULES) else { return Ok(()) };
        let Ok(printed) = parsed.print() else { return Ok(()) };
        let again = FlakeRef::parse(&printed, true, RULES);
        prop_assert!(again.is_ok(), "{printed:?} from {text:?}: {:?}", again);
        let again = again.unwrap();
        // What a URL does not say (a plain http file) it says after the first printing.
        prop_assert_eq!(again.print().unwrap(), printed);
        let attributes = FlakeRef::from_attributes(parsed.to_attributes(), RULES).unwrap();
        prop_assert_eq!(attributes, parsed);
    }

    #[test]
    fn any_text_is_an_answer(text in ".*") {
        let _ = FlakeRef::parse(&text, true, RULES);
        let _ = fetchers::git_url(&text);
        let _ = fetchers::Url::parse(&text);
    }
}
