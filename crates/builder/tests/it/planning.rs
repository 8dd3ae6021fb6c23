//! The plan and the schedule over random graphs: pure, so no store is needed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use builder::plan::{Fact, NodeId, Offer, Plan, State};
use builder::schedule::{Class, Schedule};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::BuildMode;
use store_model::{BuildStatus, Derivation, DerivationOutput, DerivedPath, InputOutputs, StoreDir, StorePath};

use crate::{Test, Verdict};

pub const TESTS: &[Test] = &[
    ("planning::every_graph_is_built_once_and_in_order", every_graph_is_built_once_and_in_order),
    ("planning::the_longest_chain_goes_first", the_longest_chain_goes_first),
    ("planning::another_output_opens_a_node_again", another_output_opens_a_node_again),
    ("planning::wanting_more_while_building", wanting_more_while_building),
    ("planning::what_is_offered_is_copied_with_its_references", what_is_offered_is_copied_with_its_references),
    ("planning::what_does_not_come_is_built", what_does_not_come_is_built),
    ("planning::missing_sources_are_told", missing_sources_are_told),
];

fn path(kind: &str, number: usize) -> StorePath {
    StorePath::parse(&format!("{:0>32}-{kind}{number}", "0")).unwrap()
}

fn drv_path(number: usize) -> StorePath {
    path("d", number)
}

/// A world of derivations: number → the lower numbers it uses; some outputs are valid, some builds fail.
#[derive(Debug, Clone)]
struct World {
    inputs: Vec<BTreeSet<usize>>,
    valid: BTreeSet<usize>,
    broken: BTreeSet<usize>,
}

fn derivation(number: usize, inputs: &BTreeSet<usize>, outputs: &[&str]) -> Arc<Derivation> {
    let output = |name: &&str| {
        let path = path(if *name == "out" { "o" } else { name }, number);
        ((*name).to_owned(), DerivationOutput::InputAddressed(path))
    };
    Arc::new(Derivation {
        name: format!("d{number}"),
        outputs: outputs.iter().map(output).collect(),
        input_drvs: inputs.iter().map(|input| (drv_path(*input), InputOutputs::of(["out"]))).collect(),
        ..Derivation::default()
    })
}

impl World {
    /// Answers every question; tells which derivations were read.
    fn settle(&self, plan: &mut Plan) -> BTreeSet<usize> {
        let number = |path: &StorePath| path.name()[1..].parse::<usize>().unwrap();
        let mut read = BTreeSet::new();
        loop {
            let questions = plan.questions();
            if questions == Default::default() {
                plan.settle();
                return read;
            }
            for path in questions.derivations {
                let number = number(&path);
                assert!(read.insert(number), "asked twice");
                plan.learned(Fact::Derivation(path, derivation(number, &self.inputs[number], &["out"])));
            }
            for path in questions.paths {
                let valid = self.valid.contains(&number(&path));
                plan.learned(Fact::Valid(path, valid));
            }
            plan.settle();
        }
    }

    /// What is needed for some roots, when valid outputs end the search.
    fn needed(&self, roots: &[usize]) -> BTreeSet<usize> {
        let (mut needed, mut left) = (BTreeSet::new(), roots.to_vec());
        while let Some(number) = left.pop() {
            if !self.valid.contains(&number) && needed.insert(number) {
                left.extend(&self.inputs[number]);
            }
        }
        needed
    }

    /// Whether a needed derivation fails, itself or by what it uses.
    fn fails(&self, number: usize) -> bool {
        !self.valid.contains(&number)
            && (self.broken.contains(&number) || self.inputs[number].iter().any(|input| self.fails(*input)))
    }
}

fn worlds() -> impl Strategy<Value = World> {
    (1usize..14).prop_flat_map(|size| {
        let inputs: Vec<_> = (0..size).map(|number| proptest::collection::btree_set(0..number.max(1), 0..4)).collect();
        let some = || proptest::collection::btree_set(0..size, 0..3);
        (inputs, some(), some()).prop_map(|(mut inputs, valid, broken)| {
            inputs[0].clear();
            World { inputs, valid, broken }
        })
    })
}

fn plan() -> Plan {
    Plan::new(StoreDir::new("/nix/store").unwrap())
}

fn every_graph_is_built_once_and_in_order() -> Verdict {
    let roots = proptest::collection::vec(any::<prop::sample::Index>(), 1..4);
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    runner
        .run(&(worlds(), roots, 1usize..4), |(world, roots, slots)| {
            let roots: Vec<usize> = roots.iter().map(|index| index.index(world.inputs.len())).collect();
            let mut plan = plan();
            let ids: HashMap<usize, NodeId> = roots
                .iter()
                .map(|root| {
                    let wanted = DerivedPath::all_outputs(drv_path(*root));
                    (*root, plan.want(&wanted, BuildMode::Normal).unwrap().unwrap())
                })
                .collect();
            let read = world.settle(&mut plan);
            let needed = world.needed(&roots);
            prop_assert!(read.is_superset(&needed));
            // Inputs of what is there are never looked at.
            let touched: BTreeSet<_> =
                needed.iter().flat_map(|number| &world.inputs[*number]).chain(&roots).copied().collect();
            prop_assert_eq!(&read, &touched.union(&needed).copied().collect());
            prop_assert_eq!(plan.to_build().len(), needed.len());
            let mut schedule = Schedule::new(slots, 0);
            let (mut running, mut done, mut order) = (Vec::new(), BTreeSet::new(), Vec::new());
            loop {
                for id in plan.take_ready() {
                    schedule.ready(id, Class::Build, plan.rank_of(id));
                }
                while let Some((id, _)) = schedule.start_next(|_| true) {
                    plan.learned(Fact::Started(id));
                    running.push(id);
                }
                prop_assert!(running.len() <= slots);
                let Some(id) = running.pop() else { break };
                schedule.ended(Class::Build);
                let number: usize = plan.path(id).name()[1..].parse().unwrap();
                for input in &world.inputs[number] {
                    prop_assert!(world.valid.contains(input) || done.contains(input));
                }
                order.push(number);
                if world.broken.contains(&number) {
                    plan.learned(Fact::Failed(id, BuildStatus::PermanentFailure, "broken".into()));
                } else {
                    done.insert(number);
                    plan.learned(Fact::Built(id));
                }
            }
            let once: BTreeSet<_> = order.iter().copied().collect();
            prop_assert_eq!(once.len(), order.len());
            for number in &needed {
                let by_inputs = world.inputs[*number].iter().any(|input| world.fails(*input));
                prop_assert_eq!(once.contains(number), !by_inputs, "{}", number);
            }
            for (root, id) in ids {
                let expected = world.fails(root);
                prop_assert_eq!(matches!(plan.state(id), State::Failed(..)), expected);
                prop_assert!(expected || matches!(plan.state(id), State::Present | State::Built));
            }
            Ok(())
        })
        .unwrap();
    Verdict::Passed
}

fn world(inputs: &[&[usize]]) -> World {
    World {
        inputs: inputs.iter().map(|inputs| inputs.iter().copied().collect()).collect(),
        valid: BTreeSet::new(),
        broken: BTreeSet::new(),
    }
}

fn the_longest_chain_goes_first() -> Verdict {
    // 0 stands alone, 1 is wanted by 2 by 3; 4 is wanted by 3 only.
    let world = world(&[&[], &[], &[1], &[2, 4], &[]]);
    let mut plan = plan();
    for root in [0, 3] {
        plan.want(&DerivedPath::all_outputs(drv_path(root)), BuildMode::Normal).unwrap();
    }
    world.settle(&mut plan);
    let mut schedule = Schedule::new(9, 9);
    for id in plan.take_ready() {
        schedule.ready(id, Class::Build, plan.rank_of(id));
    }
    let mut order = Vec::new();
    while let Some((id, _)) = schedule.start_next(|_| true) {
        order.push(plan.path(id).name().to_owned());
    }
    assert_eq!(order, ["d1", "d4", "d0"]);
    Verdict::Passed
}

fn another_output_opens_a_node_again() -> Verdict {
    // The first user wants an output of 0 that is there, the second one that is not.
    let mut plan = plan();
    let user = |number: usize, output: &str| {
        let mut user = (*derivation(number, &BTreeSet::new(), &["out"])).clone();
        user.input_drvs = FromIterator::from_iter([(drv_path(0), InputOutputs::of([output]))]);
        Arc::new(user)
    };
    for root in [1, 2] {
        plan.want(&DerivedPath::all_outputs(drv_path(root)), BuildMode::Normal).unwrap();
    }
    let mut first = true;
    loop {
        let questions = plan.questions();
        if questions == Default::default() {
            break;
        }
        for path in questions.derivations {
            let derivation = match path.name() {
                "d1" => user(1, "out"),
                "d2" => user(2, "dev"),
                _ => derivation(0, &BTreeSet::new(), &["out", "dev"]),
            };
            plan.learned(Fact::Derivation(path, derivation));
        }
        for path in questions.paths {
            plan.learned(Fact::Valid(path.clone(), path.name() == "o0"));
        }
        plan.settle();
        // The first user may be ready before the second one asks for more.
        first &= plan.to_build().len() < 3;
    }
    assert!(first || plan.to_build().len() == 3);
    assert_eq!(plan.to_build().len(), 3);
    let ready = plan.take_ready();
    let names: Vec<_> = ready.iter().map(|id| plan.path(*id).name().to_owned()).collect();
    assert!(names.contains(&"d0".to_owned()) && !names.contains(&"d2".to_owned()), "{names:?}");
    let zero = plan.find(&drv_path(0)).unwrap();
    plan.learned(Fact::Started(zero));
    plan.learned(Fact::Built(zero));
    let all: BTreeSet<_> =
        names.into_iter().chain(plan.take_ready().iter().map(|id| plan.path(*id).name().to_owned())).collect();
    assert_eq!(all, ["d0", "d1", "d2"].map(str::to_owned).into());
    Verdict::Passed
}

fn wanting_more_while_building() -> Verdict {
    let world = world(&[&[], &[0], &[0, 1]]);
    let mut plan = plan();
    plan.want(&DerivedPath::all_outputs(drv_path(1)), BuildMode::Normal).unwrap();
    world.settle(&mut plan);
    let zero = plan.take_ready().remove(0);
    plan.learned(Fact::Started(zero));
    let last = plan.want(&DerivedPath::all_outputs(drv_path(2)), BuildMode::Normal).unwrap().unwrap();
    world.settle(&mut plan);
    assert!(plan.take_ready().is_empty());
    plan.learned(Fact::Built(zero));
    let one = plan.take_ready().remove(0);
    plan.learned(Fact::Started(one));
    plan.learned(Fact::Built(one));
    assert_eq!(plan.take_ready(), [last]);
    Verdict::Passed
}

/// A plan over one derivation whose output refers to another object.
fn substituting(fallback: bool) -> (Plan, NodeId, [StorePath; 2]) {
    let how = builder::Substitution { enabled: true, always: false, fallback };
    let mut plan = plan().substituting(how);
    let id = plan.want(&DerivedPath::all_outputs(drv_path(0)), BuildMode::Normal).unwrap().unwrap();
    let objects = [path("o", 0), path("x", 1)];
    plan.learned(Fact::Derivation(drv_path(0), derivation(0, &BTreeSet::new(), &["out"])));
    loop {
        plan.settle();
        let questions = plan.questions();
        if questions == Default::default() {
            return (plan, id, objects);
        }
        questions.paths.into_iter().for_each(|path| plan.learned(Fact::Valid(path, false)));
        for (asked, _) in questions.offers {
            let references = if asked == objects[0] { objects.to_vec() } else { Vec::new() };
            plan.learned(Fact::Offer(asked, Some(Offer { references, ..Offer::default() })));
        }
    }
}

fn what_is_offered_is_copied_with_its_references() -> Verdict {
    let (mut plan, id, objects) = substituting(false);
    assert!(plan.to_build().is_empty());
    let coming: BTreeSet<StorePath> = plan.to_substitute().into_iter().map(|(path, _)| path).collect();
    assert_eq!(coming, objects.iter().cloned().collect());
    // The reference first, then the output.
    for object in [&objects[1], &objects[0]] {
        let ready = plan.take_ready();
        assert_eq!(ready.iter().map(|id| plan.path(*id)).collect::<Vec<_>>(), [object]);
        assert!(plan.is_object(ready[0]));
        plan.learned(Fact::Started(ready[0]));
        plan.learned(Fact::Built(ready[0]));
    }
    plan.settle();
    assert!(plan.is_settled() && *plan.state(id) == State::Present);
    Verdict::Passed
}

fn what_does_not_come_is_built() -> Verdict {
    for (status, fallback, built) in [
        (BuildStatus::NoSubstituters, false, true),
        (BuildStatus::TransientFailure, true, true),
        (BuildStatus::TransientFailure, false, false),
    ] {
        let (mut plan, id, _) = substituting(fallback);
        let first = plan.take_ready()[0];
        plan.learned(Fact::Failed(first, status, "broken".to_owned()));
        plan.settle();
        assert_eq!(plan.take_ready(), if built { vec![id] } else { vec![] }, "{status:?} {fallback}");
        let failed =
            matches!(plan.state(id), State::Failed(BuildStatus::TransientFailure, why) if why.contains("--fallback"));
        assert_eq!(failed, !built);
    }
    Verdict::Passed
}

/// A source that is to be had nowhere fails what uses it, and all above that: only the lowest of them can say which it is.
fn missing_sources_are_told() -> Verdict {
    for (enabled, asked) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut plan = plan().substituting(builder::Substitution { enabled, ..Default::default() });
        let top = plan.want(&DerivedPath::all_outputs(drv_path(1)), BuildMode::Normal).unwrap().unwrap();
        if asked {
            plan.want(&DerivedPath::all_outputs(drv_path(0)), BuildMode::Normal).unwrap();
        }
        let highest = derivation(1, &[0].into(), &["out"]);
        let mut lowest = derivation(0, &BTreeSet::new(), &["out"]);
        Arc::get_mut(&mut lowest).unwrap().input_srcs = [path("s", 0)].into();
        loop {
            plan.settle();
            let questions = plan.questions();
            if questions == Default::default() {
                break;
            }
            questions.paths.into_iter().for_each(|path| plan.learned(Fact::Valid(path, false)));
            questions.offers.into_iter().for_each(|(path, _)| plan.learned(Fact::Offer(path, None)));
            for asked in questions.derivations {
                let found = if asked == drv_path(0) { &lowest } else { &highest };
                plan.learned(Fact::Derivation(asked, Arc::clone(found)));
            }
        }
        assert!(matches!(plan.state(top), State::Failed(BuildStatus::DependencyFailed, _)), "{:?}", plan.state(top));
        let [source, user] = [path("s", 0), drv_path(0)].map(|path| format!("/nix/store/{path}"));
        let end = if enabled { "no substituter has it" } else { "substitution is disabled" };
        let told = format!("dependency '{source}' of '{user}' does not exist, and {end}");
        // The result of what is wanted by itself says it.
        assert_eq!(plan.take_untold(), if asked && !enabled { vec![] } else { vec![told] });
    }
    Verdict::Passed
}
