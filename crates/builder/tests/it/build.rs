//! Derivations to outputs: both without isolation and shut in.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use activity::{ActivityKind, Recorded};
use store::{BuildMode, Builder, Store, WritableStore, WriteOptions};
use store_model::{BuildStatus, ContentAddressMethod, DerivedPath, Hash, HashAlgorithm, StorePath};

use crate::rig::{Rig, output_of};
use crate::{Test, Verdict, lacks};

pub const TESTS: &[Test] = &[
    ("build::a_trivial_derivation", || trivial(&Rig::open())),
    ("build::a_trivial_derivation_shut_in", || trivial(&Rig::boxed())),
    ("build::a_failure_has_its_words", a_failure_has_its_words),
    ("build::the_environment_is_exactly_that_of_nix", the_environment_is_exactly_that_of_nix),
    ("build::attributes_come_as_files_where_asked", attributes_come_as_files_where_asked),
    ("build::structured_attributes_come_as_json_and_shell", structured_attributes_come_as_json_and_shell),
    ("build::closures_are_exported", closures_are_exported),
    ("build::several_outputs_refer_to_each_other", || several_outputs(&Rig::open())),
    ("build::several_outputs_refer_to_each_other_shut_in", || several_outputs(&Rig::boxed())),
    ("build::unacceptable_outputs_are_rejected", unacceptable_outputs_are_rejected),
    ("build::references_are_bounded", references_are_bounded),
    ("build::fixed_outputs_are_checked", || fixed_outputs(&Rig::open())),
    ("build::fixed_outputs_are_checked_shut_in", || fixed_outputs(&Rig::boxed())),
    ("build::a_second_build_is_compared", || second_build(Rig::open())),
    ("build::a_second_build_is_compared_shut_in", || second_build(Rig::boxed())),
    ("build::a_failure_stops_the_rest_unless_told_to_go_on", a_failure_stops_the_rest_unless_told_to_go_on),
    ("build::bounds_of_time_and_output_end_a_build", bounds_of_time_and_output_end_a_build),
    ("build::what_cannot_be_built_here_says_why", what_cannot_be_built_here_says_why),
    ("build::only_wanted_outputs_count", only_wanted_outputs_count),
    ("build::a_failed_builds_folder_can_be_kept", a_failed_builds_folder_can_be_kept),
];

/// Says that isolation is missing, or panics with whatever else it was.
pub fn no_isolation(error: &store::Error) -> Verdict {
    assert!(error.to_string().contains("kernel namespaces"), "{error}");
    lacks("userns", &error.to_string())
}

/// The results, or the verdict that the machine lacks isolation.
macro_rules! results {
    ($rig:expr, $mode:expr, $drvs:expr) => {
        match $rig.build_in($mode, $drvs) {
            Ok(results) => results,
            Err(error) => return $crate::build::no_isolation(&error),
        }
    };
}
pub(crate) use results;

fn print(rig: &Rig, path: &StorePath) -> String {
    rig.store.store_dir().print(path)
}

fn trivial(rig: &Rig) -> Verdict {
    let first = rig.shell("first", "echo hello; echo world > $out").write();
    let input = print(rig, &rig.output(&first, "out"));
    let script = format!("read x < {input}; echo $x again $out > $out");
    let second = rig.shell("second", &script).uses(&first).write();
    let results = results!(rig, BuildMode::Normal, &[&second]);
    assert_eq!(results[0].status, BuildStatus::Built, "{}", results[0].error_message);
    assert!(results[0].start_time > 0 && results[0].stop_time >= results[0].start_time);
    let path = rig.output(&second, "out");
    assert_eq!(std::fs::read_to_string(rig.real(&path)).unwrap(), format!("world again {}\n", print(rig, &path)));
    assert_eq!(std::fs::metadata(rig.real(&path)).unwrap().permissions().mode() & 0o7777, 0o444);
    assert_eq!(rig.log_lines(), ["hello"]);
    let info = rig.store.path_infos(&rig.activity, std::slice::from_ref(&path)).unwrap().remove(0).unwrap();
    assert_eq!(info.references, [path.clone()].into());
    assert!(info.ultimate && info.deriver == Some(second.clone()));
    assert_eq!(store::BuildLogs::build_log(&*rig.store, &rig.activity, &first).unwrap().unwrap(), b"hello\n");
    assert_eq!(rig.build(&second).status, BuildStatus::AlreadyValid);
    rig.assert_clean();
    Verdict::Passed
}

fn a_failure_has_its_words() -> Verdict {
    let mut rig = Rig::open();
    rig.options.log_lines = 2;
    let bad = rig.shell("bad", "echo one; echo two; printf three; exit 3").write();
    let user = rig.shell("user", "echo > $out").uses(&bad).write();
    let results = rig.build_in(BuildMode::Normal, &[&bad, &user]).unwrap();
    assert_eq!(results[0].status, BuildStatus::PermanentFailure);
    assert_eq!(
        results[0].error_message,
        format!(
            "Cannot build '{0}'.\nReason: builder failed with exit code 3.\nOutput paths:\n  {1}\n\
             Last 2 log lines:\n> two\n> three\nFor full logs, run:\n  nix-store -l {0}",
            print(&rig, &bad),
            print(&rig, &rig.output(&bad, "out"))
        )
    );
    assert_eq!(results[1].status, BuildStatus::DependencyFailed);
    assert_eq!(
        results[1].error_message,
        format!(
            "Cannot build '{}'.\nReason: 1 dependency failed.\nOutput paths:\n  {}",
            print(&rig, &user),
            print(&rig, &rig.output(&user, "out"))
        )
    );
    assert_eq!(rig.exit_status(), 100);
    rig.assert_clean();
    Verdict::Passed
}

fn the_environment_is_exactly_that_of_nix() -> Verdict {
    let mut rig = Rig::boxed();
    rig.options.cores = 3;
    let drv = rig.shell("env", "env > $out; pwd >> $out").set("foo", "bar baz").write();
    let results = results!(rig, BuildMode::Normal, &[&drv]);
    let out = &results[0].built_outputs.get("out").unwrap().out_path;
    let text = std::fs::read_to_string(rig.real(out)).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    let out = format!("out={}", print(&rig, out));
    // What C++ Nix 2.34 gives to the same derivation, and the shell's own line at the end.
    let mut expected = vec![
        "HOME=/homeless-shelter",
        "NIX_BUILD_CORES=3",
        "NIX_BUILD_TOP=/build",
        "NIX_LOG_FD=2",
        "NIX_STORE=/nix/store",
        "PATH=/bin:/usr/bin",
        "PWD=/build",
        "TEMP=/build",
        "TEMPDIR=/build",
        "TERM=xterm-256color",
        "TMP=/build",
        "TMPDIR=/build",
        "foo=bar baz",
        &out,
        "/build",
    ];
    // A shell may count itself.
    lines.retain(|line| !line.starts_with("SHLVL=") && !line.starts_with("_="));
    expected.sort_unstable();
    assert_eq!(lines, expected);
    Verdict::Passed
}

fn attributes_come_as_files_where_asked() -> Verdict {
    let rig = Rig::open();
    let drv = rig
        .shell("files", "cat \"$bigPath\" > $out; test -z \"$big\"; echo ${bigPath##*/} $small >> $out")
        .set("passAsFile", "big")
        .set("big", "first\nsecond")
        .set("small", "s")
        .write();
    let name = Hash::of(HashAlgorithm::Sha256, b"big").to_nix32();
    assert_eq!(rig.made(&drv), format!("first\nsecond.attr-{name} s\n"));
    Verdict::Passed
}

fn structured_attributes_come_as_json_and_shell() -> Verdict {
    let rig = Rig::open();
    let json = r#"{"PATH":"/bin:/usr/bin","b":"it's","flag":true,"off":false,"list":["x","y z"],"map":{"k":"v"},"n":12,"nested":[[1]],"none":null,"odd-name":1,"f":1.5}"#;
    let script = "PATH=/bin:/usr/bin; test -z \"$b\"; out=$(sed 's/.*\"out\":\"\\([^\"]*\\)\".*/\\1/' $NIX_ATTRS_JSON_FILE); \
        cat $NIX_ATTRS_JSON_FILE > $out; echo >> $out; cat $NIX_ATTRS_SH_FILE >> $out";
    let drv = rig.shell("attrs", script).structured(json).write();
    let text = rig.made(&drv);
    let out = print(&rig, &rig.output(&drv, "out"));
    let expected = format!(
        "{{\"PATH\":\"/bin:/usr/bin\",\"b\":\"it's\",\"f\":1.5,\"flag\":true,\"list\":[\"x\",\"y z\"],\"map\":{{\"k\":\"v\"}},\"n\":12,\
         \"nested\":[[1]],\"none\":null,\"odd-name\":1,\"off\":false,\"outputs\":{{\"out\":\"{out}\"}}}}\n\
         declare PATH='/bin:/usr/bin'\ndeclare b='it'\\''s'\ndeclare flag=1\ndeclare -a list=('x' 'y z' )\n\
         declare -A map=(['k']='v' )\ndeclare n=12\ndeclare none=''\ndeclare off=\ndeclare -A outputs=(['out']='{out}' )\n"
    );
    assert_eq!(text, expected);
    Verdict::Passed
}

fn closures_are_exported() -> Verdict {
    let rig = Rig::open();
    let leaf = rig.shell("leaf", "echo > $out").write();
    let leaf_path = print(&rig, &rig.output(&leaf, "out"));
    let top = rig.shell("top", &format!("echo {leaf_path} > $out")).uses(&leaf).write();
    let top_path = print(&rig, &rig.output(&top, "out"));
    let drv = rig
        .shell("graph", "cat graph > $out")
        .set("exportReferencesGraph", format!("graph {top_path}"))
        .uses(&top)
        .write();
    let mut entries = [format!("{leaf_path}\n\n0\n"), format!("{top_path}\n\n1\n{leaf_path}\n")];
    entries.sort_unstable();
    assert_eq!(rig.made(&drv), entries.concat());
    let foreign =
        rig.shell("foreign", "cat graph > $out").set("exportReferencesGraph", format!("graph {top_path}")).write();
    assert!(rig.build(&foreign).error_message.contains("not in the input closure"));
    Verdict::Passed
}

fn several_outputs(rig: &Rig) -> Verdict {
    let script = "mkdir $out $dev; echo bin > $out/bin; echo $out > $dev/h; ln -s $out $dev/link";
    let drv = rig.shell("two", script).outputs(&["out", "dev"]).write();
    let results = results!(rig, BuildMode::Normal, &[&drv]);
    assert_eq!(results[0].status, BuildStatus::Built, "{}", results[0].error_message);
    let (out, dev) = (rig.output(&drv, "out"), rig.output(&drv, "dev"));
    let infos = rig.store.path_infos(&rig.activity, &[out.clone(), dev]).unwrap();
    let references: Vec<_> = infos.into_iter().map(|info| info.unwrap().references).collect();
    assert_eq!(references, [[].into(), [out].into()]);
    let circle = rig.shell("circle", "echo $a > $b; echo $b > $a").outputs(&["a", "b"]).write();
    let result = rig.build(&circle);
    assert_eq!(result.status, BuildStatus::OutputRejected);
    assert!(result.error_message.contains("cycle detected in build of"), "{}", result.error_message);
    rig.assert_clean();
    Verdict::Passed
}

fn unacceptable_outputs_are_rejected() -> Verdict {
    let rig = Rig::open();
    for (name, script, words) in [
        ("none", "true", "failed to produce output path for output 'out' at"),
        ("writable", "mkdir $out; chmod 775 $out", "suspicious ownership or permission"),
        ("fifo", "mkdir $out; mkfifo $out/f", ""),
    ] {
        let drv = rig.shell(name, script).write();
        match rig.build_in(BuildMode::Normal, &[&drv]) {
            Ok(results) => {
                assert_eq!(results[0].status, BuildStatus::OutputRejected, "{name}");
                assert!(results[0].error_message.contains(words), "{}", results[0].error_message);
            }
            Err(error) => assert!(words.is_empty(), "{error}"),
        }
        assert!(!rig.is_valid(&rig.output(&drv, "out")));
    }
    Verdict::Passed
}

fn references_are_bounded() -> Verdict {
    let rig = Rig::open();
    let leaf = rig.shell("leaf", "echo > $out").write();
    let leaf_path = print(&rig, &rig.output(&leaf, "out"));
    let mid = rig.shell("mid", &format!("echo {leaf_path} > $out")).uses(&leaf).write();
    let mid_path = print(&rig, &rig.output(&mid, "out"));
    let with = |name: &str, attribute: &str, value: &str| {
        let drv = rig.shell(name, &format!("echo {mid_path} $out > $out")).uses(&mid).set(attribute, value).write();
        rig.build(&drv)
    };
    let refused = |result: store_model::BuildResult, paths: &[&str]| {
        assert_eq!(result.status, BuildStatus::OutputRejected);
        let list: String = paths.iter().map(|path| format!("\n  {path}")).collect();
        assert!(
            result.error_message.ends_with(&format!("is not allowed to refer to the following paths:{list}")),
            "{}",
            result.error_message
        );
    };
    assert!(with("a", "allowedReferences", &format!("{mid_path} out")).status.is_success());
    refused(with("b", "allowedReferences", "out"), &[&mid_path]);
    refused(with("c", "disallowedReferences", &mid_path), &[&mid_path]);
    assert!(with("d", "disallowedReferences", &leaf_path).status.is_success());
    refused(with("e", "disallowedRequisites", &leaf_path), &[&leaf_path]);
    assert!(with("f", "allowedRequisites", &format!("{mid_path} {leaf_path}")).status.is_success());
    refused(with("g", "allowedRequisites", &mid_path), &[&leaf_path]);
    assert!(with("h", "allowedReferences", "nope").error_message.contains("contains output name 'nope'"));
    Verdict::Passed
}

fn fixed_outputs(rig: &Rig) -> Verdict {
    let flat = Hash::of(HashAlgorithm::Sha256, b"text\n");
    let good =
        rig.shell("good", "test $NIX_OUTPUT_CHECKED = 1; echo text > $out").fixed(ContentAddressMethod::Flat, flat);
    let good = good.write();
    let results = results!(rig, BuildMode::Normal, &[&good]);
    assert_eq!(results[0].status, BuildStatus::Built, "{}", results[0].error_message);
    let wrong = Hash::of(HashAlgorithm::Sha256, b"other");
    let bad = rig.shell("named", "echo text > $out").fixed(ContentAddressMethod::Flat, wrong).write();
    let results = rig.build_in(BuildMode::Normal, &[&bad]).unwrap();
    assert_eq!(results[0].status, BuildStatus::HashMismatch);
    assert_eq!(
        results[0].error_message,
        format!(
            "hash mismatch in fixed-output derivation '{}':\n  specified: {}\n     got:    {}",
            print(rig, &bad),
            wrong.to_sri(),
            flat.to_sri()
        )
    );
    assert_eq!(rig.exit_status(), 102);
    assert!(!rig.is_valid(&rig.output(&bad, "out")));
    // The bytes are kept: with the right hash nothing is to be done.
    let corrected = rig.shell("named", "exit 1").fixed(ContentAddressMethod::Flat, flat).write();
    assert_eq!(rig.build(&corrected).status, BuildStatus::AlreadyValid);
    let mut nar = Vec::new();
    let tree = file_tree::MemoryTree::new(file_tree::MemoryNode::directory([("f", file_tree::MemoryNode::file("x"))]));
    file_tree::nar::dump(&tree, &file_tree::TreePath::root(), &mut |_, _| Ok(true), &mut nar).unwrap();
    for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha1, HashAlgorithm::Sha512] {
        let hash = Hash::of(algorithm, &nar);
        let tree =
            rig.shell(algorithm.name(), "mkdir $out; printf x > $out/f").fixed(ContentAddressMethod::NixArchive, hash);
        let result = rig.build(&tree.write());
        assert!(result.status.is_success(), "{}", result.error_message);
    }
    let executable =
        rig.shell("exec", "echo text > $out; chmod +x $out").fixed(ContentAddressMethod::Flat, flat).write();
    assert!(rig.build(&executable).error_message.contains("should be a non-executable regular file"));
    // Only an address that holds references lets an output have some, and then its hash is another one.
    for (method, status) in [
        (ContentAddressMethod::Flat, BuildStatus::OutputRejected),
        (ContentAddressMethod::NixArchive, BuildStatus::HashMismatch),
    ] {
        let own = rig.shell(&format!("own-{status:?}"), "echo $out > $out").fixed(method, wrong).write();
        assert_eq!(rig.build(&own).status, status);
    }
    rig.assert_clean();
    Verdict::Passed
}

fn second_build(mut rig: Rig) -> Verdict {
    let steady = rig.shell("steady", "mkdir $out; echo $out > $out/self").write();
    let moody = rig.shell("moody", "date +%N > $out").write();
    let results = results!(rig, BuildMode::Normal, &[&steady, &moody]);
    assert!(results.iter().all(|result| result.status.is_success()), "{results:?}");
    let before = std::fs::read_to_string(rig.real(&rig.output(&moody, "out"))).unwrap();
    let results = rig.build_in(BuildMode::Check, &[&steady]).unwrap();
    assert_eq!(results[0].status, BuildStatus::Built, "{}", results[0].error_message);
    let results = rig.build_in(BuildMode::Check, &[&moody]).unwrap();
    assert_eq!(results[0].status, BuildStatus::NotDeterministic);
    assert!(results[0].is_non_deterministic);
    assert_eq!(rig.exit_status(), 104);
    let place = rig.real(&rig.output(&moody, "out")).display().to_string();
    let words = format!("derivation '{}' may not be deterministic: output \"{place}\" differs", print(&rig, &moody));
    assert_eq!(results[0].error_message, words);
    assert_eq!(std::fs::read_to_string(&place).unwrap(), before);
    rig.assert_clean();
    rig.options.keep_failed = true;
    let results = rig.build_in(BuildMode::Check, &[&moody]).unwrap();
    assert_eq!(results[0].error_message, format!("{words} from \"{place}.check\""));
    assert!(Path::new(&format!("{place}.check")).exists());
    let fresh = rig.shell("fresh", "echo > $out").write();
    let results = rig.build_in(BuildMode::Check, &[&fresh]).unwrap();
    assert!(results[0].error_message.contains("checking is not possible"), "{}", results[0].error_message);
    Verdict::Passed
}

fn a_failure_stops_the_rest_unless_told_to_go_on() -> Verdict {
    let mut rig = Rig::open();
    rig.options.max_jobs = 1;
    let bad = rig.shell("bad", "exit 1").write();
    let good = rig.shell("good", "echo > $out").write();
    let results = rig.build_in(BuildMode::Normal, &[&bad, &good]).unwrap();
    assert_eq!(results[0].status, BuildStatus::PermanentFailure);
    assert_eq!((results[1].status, results[1].error_message.as_str()), (BuildStatus::MiscFailure, ""));
    assert!(!rig.is_valid(&rig.output(&good, "out")));
    rig.options.keep_going = true;
    let results = rig.build_in(BuildMode::Normal, &[&bad, &good]).unwrap();
    assert_eq!(results[1].status, BuildStatus::Built);
    // A failure also ends what runs beside it.
    rig.options.keep_going = false;
    rig.options.max_jobs = 2;
    let slow = rig.shell("slow", "sleep 60; echo > $out").write();
    let later = rig.shell("later", "sleep 0.3; exit 1").write();
    let results = rig.build_in(BuildMode::Normal, &[&slow, &later]).unwrap();
    assert_eq!(results[0].status, BuildStatus::MiscFailure);
    rig.assert_clean();
    Verdict::Passed
}

fn bounds_of_time_and_output_end_a_build() -> Verdict {
    let mut rig = Rig::open();
    rig.options.keep_going = true;
    rig.options.timeout = Some(std::time::Duration::from_secs(1));
    let slow = rig.shell("slow", "sleep 60; echo > $out").write();
    let results = rig.build_in(BuildMode::Normal, &[&slow]).unwrap();
    assert_eq!(
        (results[0].status, results[0].error_message.as_str()),
        (BuildStatus::TimedOut, "timed out after 1 seconds")
    );
    assert_eq!(rig.exit_status(), 101);
    rig.options.max_log_size = Some(100);
    let loud = rig.shell("loud", "while :; do echo aaaaaaaaaa; done").write();
    let result = rig.build(&loud);
    assert_eq!(result.status, BuildStatus::LogLimitExceeded);
    assert!(result.error_message.ends_with("killed after writing more than 100 bytes of log output"));
    rig.assert_clean();
    Verdict::Passed
}

fn what_cannot_be_built_here_says_why() -> Verdict {
    let mut rig = Rig::open();
    let mut foreign = rig.shell("foreign", "echo > $out");
    foreign.derivation.platform = b"riscv64-linux".to_vec();
    let foreign = foreign.set("requiredSystemFeatures", "kvm big-parallel").write();
    let results = rig.build_in(BuildMode::Normal, &[&foreign]).unwrap();
    assert_eq!(
        results[0].error_message,
        format!(
            "Cannot build '{}'.\nReason: platform mismatch\nRequired system: 'riscv64-linux'\nCurrent system: 'x86_64-linux'\n\
             Reason: missing system features\nRequired features: {{big-parallel, kvm}}\n\
             Available features: {{benchmark, big-parallel, nixos-test}}",
            print(&rig, &foreign)
        )
    );
    assert_eq!((results[0].status, rig.exit_status()), (BuildStatus::InputRejected, 100));
    rig.options.max_jobs = 0;
    let plain = rig.shell("plain", "echo > $out").write();
    assert!(rig.build(&plain).error_message.contains("local builds are disabled (max-jobs = 0)"));
    rig.options.max_jobs = 1;
    let wanted = [output_of(&plain, "nope"), DerivedPath::Opaque(rig.output(&plain, "out"))];
    let results = rig.builder().build(&rig.activity, &wanted, BuildMode::Normal).unwrap();
    assert!(results[0].error_message.contains("does not have wanted outputs 'nope'"), "{}", results[0].error_message);
    assert_eq!(results[1].status, BuildStatus::NoSubstituters);
    let plan =
        rig.builder().plan(&rig.activity, &[DerivedPath::all_outputs(plain.clone()), wanted[1].clone()]).unwrap();
    assert_eq!((plan.will_build, plan.unknown), ([plain.clone()].into(), [rig.output(&plain, "out")].into()));
    let source =
        store_model::derivation::TextObject::new(rig.store.store_dir(), "src", b"x".to_vec(), [].into()).unwrap();
    let absent = rig.shell("absent", "echo > $out").source(&source.path);
    let object = absent.derivation.to_text_object(rig.store.store_dir()).unwrap();
    rig.store.add_text(&rig.activity, &source, &WriteOptions::default()).unwrap();
    drop(object);
    assert!(rig.build(&absent.write()).status.is_success());
    Verdict::Passed
}

fn only_wanted_outputs_count() -> Verdict {
    let rig = Rig::open();
    let input = rig.shell("input", "exit 1").write();
    let drv = rig.shell("two", "echo 1 > $a; echo 2 > $b").outputs(&["a", "b"]).write();
    let results = rig.builder().build(&rig.activity, &[output_of(&drv, "b")], BuildMode::Normal).unwrap();
    assert_eq!(results[0].built_outputs.keys().collect::<Vec<_>>(), ["b"]);
    // A derivation whose outputs are there never asks for its inputs.
    rig.recorder.take();
    let fixed = Hash::of(HashAlgorithm::Sha256, b"text\n");
    let made = rig.shell("same", "echo text > $out").fixed(ContentAddressMethod::Flat, fixed).write();
    assert!(rig.build(&made).status.is_success());
    let with_input =
        rig.shell("same", "echo text > $out").fixed(ContentAddressMethod::Flat, fixed).uses(&input).write();
    assert_eq!(rig.build(&with_input).status, BuildStatus::AlreadyValid);
    let builds =
        rig.recorder.take().into_iter().filter(|event| matches!(event, Recorded::Start(_, _, ActivityKind::Build, ..)));
    assert_eq!(builds.count(), 1);
    Verdict::Passed
}

fn a_failed_builds_folder_can_be_kept() -> Verdict {
    let mut rig = Rig::open();
    rig.options.keep_failed = true;
    let bad = rig.shell("bad", "echo left > here; exit 1").write();
    assert_eq!(rig.build(&bad).status, BuildStatus::PermanentFailure);
    let kept: Vec<_> =
        std::fs::read_dir(rig.dir.path().join("state/builds")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(std::fs::read_to_string(kept[0].join("here")).unwrap(), "left\n");
    let told = rig.recorder.take().into_iter().any(|event| match event {
        Recorded::Message(_, text) => text == format!("note: keeping build directory \"{}\"", kept[0].display()),
        _ => false,
    });
    assert!(told);
    Verdict::Passed
}
