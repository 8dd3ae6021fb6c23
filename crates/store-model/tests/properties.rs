//! Properties: parsers meet any bytes, printing and reading are inverse, the scanner finds what is there.

use crate::store_dir;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use store_model::derivation::hash_modulo::hash_modulo;
use store_model::derivation::{DerivationDraft, DraftBuffers, DraftOutput, HashModulo, aterm, json};
use store_model::hash::encoding;
use store_model::{
    ContentAddress, ContentAddressMethod, Derivation, DerivationOutput, DerivedPath, DrvOutput, Hash, HashAlgorithm,
    HashFormat, HashRewriter, InputOutputs, NarInfo, RefScanner, Signature, StorePath, StructuredAttrs,
};

fn algorithm() -> impl Strategy<Value = HashAlgorithm> {
    prop::sample::select(HashAlgorithm::ALL.to_vec())
}

fn method() -> impl Strategy<Value = ContentAddressMethod> {
    use ContentAddressMethod::{Flat, NixArchive, Text};
    prop::sample::select(vec![Flat, NixArchive, Text])
}

fn store_path(name: &'static str) -> impl Strategy<Value = StorePath> {
    (any::<[u8; 20]>(), name).prop_map(|(hash, name)| StorePath::from_parts(hash, &name).unwrap())
}

fn output() -> impl Strategy<Value = DerivationOutput> {
    prop_oneof![
        store_path("[a-z]{1,8}").prop_map(DerivationOutput::InputAddressed),
        (method(), algorithm(), any::<Vec<u8>>()).prop_map(|(method, algorithm, data)| {
            DerivationOutput::CAFixed(ContentAddress { method, hash: Hash::of(algorithm, &data) })
        }),
        (method(), algorithm()).prop_map(|(method, algorithm)| DerivationOutput::CAFloating { method, algorithm }),
        Just(DerivationOutput::Deferred),
        (method(), algorithm()).prop_map(|(method, algorithm)| DerivationOutput::Impure { method, algorithm }),
    ]
}

fn input() -> impl Strategy<Value = InputOutputs> {
    let leaf = btree_set("[a-z]{1,5}", 0..3).prop_map(InputOutputs::of);
    leaf.prop_recursive(3, 8, 2, |inner| {
        (btree_set("[a-z]{1,5}", 0..3), btree_map("[a-z]{1,5}", inner, 0..2))
            .prop_map(|(outputs, dynamic)| InputOutputs { outputs: outputs.into_iter().collect(), dynamic })
    })
}

fn derivation(text: &'static str) -> impl Strategy<Value = Derivation> {
    let bytes = move || prop::string::string_regex(text).unwrap().prop_map(String::into_bytes);
    let attrs = prop::option::of(Just(StructuredAttrs::parse(b"{\"b\":[1,2.5,null],\"a\":{\"x\":\"\\n\"}}").unwrap()));
    (
        ("[a-z][a-z0-9.-]{0,10}", btree_map("[a-z]{1,6}", output(), 0..4)),
        btree_map(store_path("[a-z]{1,6}\\.drv"), input(), 0..4),
        btree_set(store_path("[a-z]{1,8}"), 0..4),
        ("[a-z0-9_-]{0,12}", bytes(), vec(bytes(), 0..4), btree_map(bytes(), bytes(), 0..6)),
        attrs,
    )
        .prop_map(|((name, outputs), input_drvs, input_srcs, (platform, builder, args, env), structured_attrs)| {
            Derivation {
                name,
                outputs: outputs.into_iter().collect(),
                input_drvs: input_drvs.into_iter().collect(),
                input_srcs,
                platform: platform.into_bytes(),
                builder,
                args,
                env: env.into_iter().collect(),
                structured_attrs,
            }
        })
}

proptest! {
    #[test]
    fn hashes_there_and_back(algorithm in algorithm(), data: Vec<u8>) {
        let hash = Hash::of(algorithm, &data);
        for format in [HashFormat::Base16, HashFormat::Nix32, HashFormat::Base64, HashFormat::Sri] {
            prop_assert_eq!(Hash::parse_any_with_format(&hash.format(format, true), None), Ok((hash, format)));
            let digits = hash.format(format, false);
            let expected = Some(algorithm);
            prop_assert_eq!(Hash::parse_any(&digits, expected), Ok(hash));
        }
    }

    #[test]
    fn digits_there_and_back(data in vec(any::<u8>(), 0..80)) {
        prop_assert_eq!(&encoding::base16_decode(&encoding::base16_encode(&data)).unwrap(), &data);
        prop_assert_eq!(&encoding::base64_decode(&encoding::base64_encode(&data)).unwrap(), &data);
        prop_assert_eq!(&encoding::nix32_decode(&encoding::nix32_encode(&data)).unwrap(), &data);
        prop_assert_eq!(encoding::nix32_encode(&data).len(), encoding::nix32_length(data.len()));
        prop_assert_eq!(encoding::base64_encode(&data).len(), encoding::base64_length(data.len()));
    }

    #[test]
    fn any_text_is_met_without_panic(text in "\\PC{0,120}", prefix in "(sha256[:-]|text:|fixed:r:|/nix/store/|[0-9a-z]{32}-)?") {
        let text = format!("{prefix}{text}");
        let _ = Hash::parse_any(&text, None);
        let _ = Hash::parse_any(&text, Some(HashAlgorithm::Sha256));
        let _ = Hash::parse_sri(&text);
        let _ = ContentAddress::parse(&text);
        let _ = StorePath::parse(&text);
        let _ = store_dir().parse(&text);
        let _ = store_dir().parse_inside(&text);
        let _ = DerivedPath::parse(&store_dir(), &text);
        let _ = DerivedPath::parse_legacy(&store_dir(), &text);
        let _ = DrvOutput::parse(&text);
        let _ = Signature::parse(&text);
        let _ = NarInfo::parse(&store_dir(), &text, "x");
        let _ = StructuredAttrs::parse(text.as_bytes());
        let _ = json::parse(text.as_bytes());
    }

    #[test]
    fn any_bytes_as_a_derivation(bytes: Vec<u8>) {
        let _ = aterm::parse(&store_dir(), &bytes, "x");
        let mut text = b"DrvWithVersion(\"xp-dyn-drv\",[".to_vec();
        text.extend(&bytes);
        let _ = aterm::parse(&store_dir(), &text, "x");
    }

    #[test]
    fn derivations_there_and_back(drv in derivation("[ -~\\n\\r\\t\"\\\\éü]{0,20}")) {
        let text = aterm::print(&store_dir(), &drv).unwrap();
        prop_assert_eq!(aterm::parse(&store_dir(), &text, &drv.name).unwrap(), drv.clone());
        let value = json::to_value(&drv).unwrap();
        prop_assert_eq!(json::from_value(&value).unwrap(), drv);
    }

    #[test]
    fn a_damaged_derivation_is_met_without_panic(drv in derivation("[a-z\"\\\\]{0,8}"), at: prop::sample::Index, byte: u8) {
        let mut text = aterm::print(&store_dir(), &drv).unwrap();
        let at = at.index(text.len());
        text[at] = byte;
        let _ = aterm::parse(&store_dir(), &text, "x");
        text.truncate(at);
        prop_assert!(aterm::parse(&store_dir(), &text, "x").is_err());
    }

    #[test]
    fn the_scanner_finds_what_is_there(
        paths in vec(store_path("[a-z]{1,4}"), 1..5),
        noise in vec("[0-9a-z/ -]{0,60}", 5),
        shown in vec(any::<bool>(), 5),
        cuts in vec(1usize..50, 1..40),
    ) {
        let mut data = String::new();
        let mut expected = BTreeSet::new();
        for ((path, noise), shown) in paths.iter().zip(&noise).zip(&shown) {
            data.push_str(noise);
            if *shown {
                data.push_str(path.hash_part());
                expected.insert(path.clone());
            }
        }
        let mut scanner = RefScanner::new(paths.iter().cloned());
        let mut rest = data.as_bytes();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at((*cut).min(rest.len()));
            scanner.write_all(head).unwrap();
            rest = tail;
        }
        prop_assert_eq!(scanner.finish(), expected);
    }

    #[test]
    fn rewriting_replaces_across_borders(
        from in store_path("a"),
        to in store_path("a"),
        head in "[ -/]{0,40}",
        tail in "[ -/]{0,40}",
        cut in 1usize..40,
    ) {
        let text = |path: &StorePath| format!("{head}{}{tail}", path.hash_part());
        let mut writer = HashRewriter::new([(&from, &to)], Vec::new());
        for piece in text(&from).as_bytes().chunks(cut) {
            writer.write_all(piece).unwrap();
        }
        prop_assert_eq!(String::from_utf8(writer.finish().unwrap()).unwrap(), text(&to));
    }
}

#[test]
fn deep_nesting_is_an_error() {
    let store = format!("/nix/store/{}-x.drv", "0".repeat(32));
    let deep = "([],[(\"o\",".repeat(100_000);
    let text = format!("DrvWithVersion(\"xp-dyn-drv\",[],[(\"{store}\",{deep}");
    let error = aterm::parse(&store_dir(), text.as_bytes(), "x").unwrap_err();
    assert!(error.to_string().contains("nested too deeply"), "{error}");
}

proptest! {
    #[test]
    fn a_draft_becomes_what_its_derivation_does(
        drv in derivation("[a-z\"\\\\\n]{0,8}"),
        names in btree_set("[a-z]{1,6}", 1..4),
        kind in 0..3,
        hash in any::<Vec<u8>>(),
    ) {
        let dir = store_dir();
        let mut drv = Derivation { outputs: Default::default(), ..drv };
        drv.input_drvs.iter_mut().map(|(_, value)| value).for_each(|input| input.dynamic.clear());
        for (path, input) in &mut drv.input_drvs {
            if input.outputs.is_empty() {
                input.outputs.insert(path.name().len().to_string());
            }
        }
        let sha256 = HashAlgorithm::Sha256;
        match kind {
            0 => drv.outputs.extend(names.into_iter().map(|name| (name, DerivationOutput::Deferred))),
            1 => {
                let output = ContentAddress { method: ContentAddressMethod::Flat, hash: Hash::of(sha256, &hash) };
                drv.outputs.insert("out".to_owned(), DerivationOutput::CAFixed(output));
            }
            _ => {
                let floating = DerivationOutput::CAFloating { method: ContentAddressMethod::NixArchive, algorithm: sha256 };
                drv.outputs.extend(names.into_iter().map(|name| (name, floating.clone())));
            }
        }
        let outputs_of = |path: &StorePath| drv.input_drvs[path].outputs.clone();
        let mut lookup = |path: &StorePath| {
            let outputs = outputs_of(path).into_iter().map(|name| (name, DerivationOutput::Deferred)).collect();
            let input = Derivation { name: path.name().to_owned(), outputs, ..Derivation::default() };
            hash_modulo(&dir, &input, false, &mut |_| -> Result<_, store_model::Error> { unreachable!("it has no inputs") })
        };
        drv.env.retain(|name, _| !drv.outputs.contains_key(&*String::from_utf8_lossy(name)));
        let outputs: Vec<DraftOutput<'_>> = drv.outputs.iter().map(|(name, output)| DraftOutput {
                name,
                output: output.clone(),
                placeholder: (kind == 2).then(|| format!("/{name}")),
            }).collect();
        let inputs = drv.input_drvs.iter().flat_map(|(path, input)| input.outputs.iter().map(move |output| (path, &**output)));
        let inputs: Vec<(&StorePath, &str)> = inputs.collect();
        let input_srcs: Vec<&StorePath> = drv.input_srcs.iter().collect();
        let args: Vec<&[u8]> = drv.args.iter().map(Vec::as_slice).collect();
        // Whatever a variable of an output says, the path comes in its place.
        let hidden = drv.outputs.keys().map(|name| (name.clone().into_bytes(), b"hidden".to_vec()));
        let env: BTreeMap<Vec<u8>, Vec<u8>> = drv.env.clone().into_iter().chain(hidden).collect();
        let env: Vec<(&[u8], &[u8])> = env.iter().map(|(name, value)| (&**name, &**value)).collect();
        let hashes: Vec<HashModulo> = inputs.iter().map(|(path, _)| lookup(path).unwrap()).collect();
        let draft = DerivationDraft {
            name: &drv.name,
            outputs: &outputs,
            inputs,
            input_srcs: &input_srcs,
            platform: &drv.platform,
            builder: &drv.builder,
            args: &args,
            env: &env,
            structured_attrs: drv.structured_attrs.as_ref().map(StructuredAttrs::as_str),
        };
        let mut buffers = DraftBuffers::default();
        let made = draft.instantiate(&dir, &mut buffers, &mut |input| Ok::<_, store_model::Error>(&hashes[input])).unwrap();

        let mut whole = drv.clone();
        for (name, output) in &drv.outputs {
            let value = match kind {
                1 => output.path(&dir, &drv.name, name).unwrap().map(|path| dir.print(&path)).unwrap_or_default(),
                2 => format!("/{name}"),
                _ => String::new(),
            };
            whole.env.insert(name.clone().into_bytes(), value.into_bytes());
        }
        whole.fill_in_output_paths(&dir, &mut lookup).unwrap();
        let object = whole.to_text_object(&dir).unwrap();
        prop_assert_eq!(String::from_utf8_lossy(made.text), String::from_utf8_lossy(&object.contents));
        prop_assert_eq!(&made.path, &object.path);
        prop_assert_eq!(made.references.into_iter().cloned().collect::<Vec<_>>(), object.references.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(made.outputs, whole.output_paths(&dir).unwrap().into_iter().map(|(_, value)| value).collect::<Vec<_>>());
        prop_assert_eq!(made.hash, hash_modulo(&dir, &whole, false, &mut lookup).unwrap());
    }
}
