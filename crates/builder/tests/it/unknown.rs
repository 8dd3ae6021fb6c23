//! The plan where outputs are not known beforehand: what is resolved, cut off, refused, and made by others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use builder::Features;
use builder::plan::{Fact, NodeId, Plan, State};
use store::BuildMode;
use store_model::{
    ContentAddressMethod, Derivation, DerivationOutput, DerivedPath, Hash, HashAlgorithm, InputOutputs, OutputsSpec,
    SingleDerivedPath, StoreDir, StorePath,
};

use crate::{Test, Verdict};

pub const TESTS: &[Test] = &[
    ("unknown::what_resolves_to_something_there_is_cut_off", what_resolves_to_something_there_is_cut_off),
    ("unknown::what_is_resolved_is_built_once_for_all", what_is_resolved_is_built_once_for_all),
    ("unknown::nothing_pure_uses_what_is_impure", nothing_pure_uses_what_is_impure),
    ("unknown::a_made_derivation_is_built", a_made_derivation_is_built),
    ("unknown::features_are_asked_for", features_are_asked_for),
];

const EVERYTHING: Features = Features { content_addressed: true, impure: true, dynamic: true };

fn path(name: &str) -> StorePath {
    let hash: String =
        name.bytes().map(|byte| char::from(b'0' + byte % 10)).chain("0".repeat(32).chars()).take(32).collect();
    StorePath::parse(&format!("{hash}-{name}")).unwrap()
}

fn derivation(name: &str, output: DerivationOutput, inputs: &[(&str, InputOutputs)]) -> Arc<Derivation> {
    Arc::new(Derivation {
        name: name.to_owned(),
        outputs: FromIterator::from_iter([("out".to_owned(), output)]),
        input_drvs: inputs.iter().map(|(input, used)| (path(&format!("{input}.drv")), used.clone())).collect(),
        ..Derivation::default()
    })
}

fn floating() -> DerivationOutput {
    DerivationOutput::CAFloating { method: ContentAddressMethod::NixArchive, algorithm: HashAlgorithm::Sha256 }
}

fn impure() -> DerivationOutput {
    DerivationOutput::Impure { method: ContentAddressMethod::NixArchive, algorithm: HashAlgorithm::Sha256 }
}

/// What a store knows: derivations, what outputs became, valid paths.
#[derive(Default)]
struct World {
    derivations: BTreeMap<StorePath, Arc<Derivation>>,
    became: BTreeMap<String, StorePath>,
    valid: BTreeSet<StorePath>,
}

impl World {
    fn with(derivations: &[&Arc<Derivation>]) -> World {
        let by_path = derivations.iter().map(|one| (path(&format!("{}.drv", one.name)), Arc::clone(one))).collect();
        World { derivations: by_path, ..World::default() }
    }

    fn settle(&self, plan: &mut Plan) {
        loop {
            let questions = plan.questions();
            if questions == Default::default() {
                plan.settle();
                if plan.has_questions() {
                    continue;
                }
                return;
            }
            for path in questions.derivations {
                plan.learned(Fact::Derivation(path.clone(), Arc::clone(&self.derivations[&path])));
            }
            for (path, derivation) in questions.outputs {
                // The name tells derivations apart here; resolved ones bear it too, and have another hash.
                let key = format!("{}{}", derivation.name, if derivation.input_drvs.is_empty() { "!" } else { "" });
                let hash = Hash::of(HashAlgorithm::Sha256, key.as_bytes());
                let outputs = self.became.get(&key).map(|path| ("out".to_owned(), path.clone()));
                plan.learned(Fact::Realised(path, hash, outputs.into_iter().collect()));
            }
            for path in questions.paths {
                let valid = self.valid.contains(&path);
                plan.learned(Fact::Valid(path, valid));
            }
            plan.settle();
        }
    }
}

fn plan() -> Plan {
    Plan::new(StoreDir::new("/nix/store").unwrap()).with_features(EVERYTHING)
}

fn want(plan: &mut Plan, name: &str) -> NodeId {
    let wanted = DerivedPath::all_outputs(path(&format!("{name}.drv")));
    plan.want(&wanted, BuildMode::Normal).unwrap().unwrap()
}

/// Builds what is ready, each into a path of its name; tells the names.
fn build(plan: &mut Plan, made: &BTreeMap<&str, StorePath>) -> Vec<String> {
    let mut names = Vec::new();
    for id in plan.take_ready() {
        let name = plan.derivation(id).unwrap().name.clone();
        let output = made.get(name.as_str()).cloned().unwrap_or_else(|| path(&name));
        plan.learned(Fact::Started(id));
        plan.learned(Fact::Outputs(id, FromIterator::from_iter([("out".to_owned(), output)])));
        plan.learned(Fact::Built(id));
        names.push(name);
    }
    names
}

fn chain() -> World {
    let leaf = derivation("leaf", floating(), &[]);
    let user = derivation("user", floating(), &[("leaf", InputOutputs::of(["out"]))]);
    World::with(&[&leaf, &user])
}

fn what_resolves_to_something_there_is_cut_off() -> Verdict {
    let mut world = chain();
    world.became = [("leaf!".to_owned(), path("leaf")), ("user!".to_owned(), path("user"))].into();
    world.valid = [path("leaf"), path("user")].into();
    let mut plan = plan();
    let user = want(&mut plan, "user");
    world.settle(&mut plan);
    assert_eq!(plan.state(user), &State::Present);
    assert!(plan.to_build().is_empty() && plan.take_ready().is_empty());
    let learned = plan.take_learned();
    assert_eq!(learned.len(), 1);
    assert!(learned[0].own && learned[0].realisation.out_path == path("user"));
    assert_eq!(learned[0].realisation.id.drv_hash, Hash::of(HashAlgorithm::Sha256, b"user"));
    assert_eq!(plan.take_resolved().len(), 1);
    Verdict::Passed
}

fn what_is_resolved_is_built_once_for_all() -> Verdict {
    // Two ways to the same leaf, and two derivations that differ in nothing else.
    let other = derivation("other", floating(), &[]);
    let again = derivation("user", floating(), &[("other", InputOutputs::of(["out"]))]);
    let mut world = chain();
    world.derivations.insert(path("other.drv"), other);
    world.derivations.insert(path("again.drv"), again);
    let mut plan = plan();
    let nodes = ["user", "again"].map(|name| want(&mut plan, name));
    world.settle(&mut plan);
    assert_eq!(plan.to_build().len(), 4);
    let leaf = BTreeMap::from([("other", path("leaf")), ("leaf", path("leaf"))]);
    assert_eq!(build(&mut plan, &leaf).len(), 2);
    world.settle(&mut plan);
    assert_eq!(build(&mut plan, &leaf), ["user"]);
    for id in nodes {
        assert_eq!(plan.state(id), &State::Built);
        assert_eq!(plan.outputs(id).get("out").unwrap().as_ref(), Some(&path("user")));
    }
    assert_eq!(plan.take_learned().len(), 2);
    Verdict::Passed
}

fn nothing_pure_uses_what_is_impure() -> Verdict {
    let used = derivation("impure", impure(), &[]);
    for (output, allowed) in [
        (floating(), false),
        (DerivationOutput::Deferred, false),
        (DerivationOutput::InputAddressed(path("user")), false),
        (impure(), true),
    ] {
        let user = derivation("user", output, &[("impure", InputOutputs::of(["out"]))]);
        let world = World::with(&[&used, &user]);
        let mut plan = plan();
        want(&mut plan, "user");
        world.settle(&mut plan);
        assert_eq!(plan.refused().is_none(), allowed, "{:?}", user.outputs);
        if allowed {
            assert_eq!(build(&mut plan, &BTreeMap::new()), ["impure"]);
            world.settle(&mut plan);
            assert_eq!(build(&mut plan, &BTreeMap::new()), ["user"]);
            // What it became is nobody's business.
            assert!(plan.take_learned().is_empty());
        }
    }
    Verdict::Passed
}

fn a_made_derivation_is_built() -> Verdict {
    let text = DerivationOutput::CAFloating { method: ContentAddressMethod::Text, algorithm: HashAlgorithm::Sha256 };
    let maker = derivation("maker", text, &[]);
    let inner = derivation("inner", DerivationOutput::InputAddressed(path("inner")), &[]);
    let world = World::with(&[&maker, &inner]);
    let mut plan = plan();
    let drv = SingleDerivedPath::Built {
        drv: Box::new(SingleDerivedPath::Opaque(path("maker.drv"))),
        output: "out".to_owned(),
    };
    let wanted = DerivedPath::Built { drv, outputs: OutputsSpec::All };
    let chained = plan.want(&wanted, BuildMode::Normal).unwrap().unwrap();
    world.settle(&mut plan);
    assert_eq!(plan.to_build(), [path("maker.drv")]);
    assert_eq!(build(&mut plan, &[("maker", path("inner.drv"))].into()), ["maker"]);
    world.settle(&mut plan);
    assert_eq!(build(&mut plan, &BTreeMap::new()), ["inner"]);
    assert_eq!(plan.state(chained), &State::Built);
    assert_eq!(plan.outputs(chained).get("out").unwrap().as_ref(), Some(&path("inner")));
    // Wanted again it is there, without another look.
    assert_eq!(plan.want(&wanted, BuildMode::Normal).unwrap(), Some(chained));
    world.settle(&mut plan);
    assert_eq!(plan.state(chained), &State::Built);
    Verdict::Passed
}

fn features_are_asked_for() -> Verdict {
    for (output, feature) in [(floating(), "ca-derivations"), (impure(), "impure-derivations")] {
        let one = derivation("one", output, &[]);
        let mut plan = Plan::new(StoreDir::new("/nix/store").unwrap());
        let id = want(&mut plan, "one");
        World::with(&[&one]).settle(&mut plan);
        let State::Failed(_, why) = plan.state(id) else { panic!("{feature}: {:?}", plan.state(id)) };
        assert!(why.contains(&format!("'{feature}' is disabled")), "{why}");
    }
    Verdict::Passed
}
