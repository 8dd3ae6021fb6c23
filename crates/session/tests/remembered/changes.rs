//! Every kind of recorded input is changed, and the answer with it; and what is never remembered.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::SystemTime;

use super::rig::{Rig, evaluate, open_memory};

/// Sets up a tree, asks until it is remembered (with stamps that hold, or without), changes something, asks again.
fn changes(set_up: impl Fn(&Rig), change: impl Fn(&mut Rig)) {
    for settled in [false, true] {
        let mut rig = Rig::new();
        set_up(&rig);
        if settled {
            rig.settle();
        }
        rig.ask_twice();
        change(&mut rig);
        let again = rig.ask();
        assert!(again.evaluated > 0, "settled {settled}: the change was not seen: {again:?}");
        assert_eq!(rig.ask().evaluated, 0, "settled {settled}: what changed is remembered again");
    }
}

#[test]
fn files() {
    let set_up = |rig: &Rig| {
        rig.write(
            "default.nix",
            "{ a = import ./a.nix; b = builtins.readFile ./b; c = builtins.hashFile \"md5\" ./b; }",
        );
        rig.write("a.nix", "1");
        rig.write("b", "text");
    };
    changes(set_up, |rig| rig.write("a.nix", "2"));
    changes(set_up, |rig| rig.write("b", "other text"));
    changes(set_up, |rig| rig.write("default.nix", "{ a = 3; }"));
}

#[test]
fn same_size_and_time() {
    let set_up = |rig: &Rig| {
        rig.write("default.nix", "{ a = import ./a.nix; }");
        rig.write("a.nix", "1");
    };
    let keep_time = |rig: &Rig, change: &dyn Fn()| {
        let modified = fs::metadata(rig.at("a.nix")).unwrap().modified().unwrap();
        change();
        fs::File::options().write(true).open(rig.at("a.nix")).unwrap().set_modified(modified).unwrap();
    };
    changes(set_up, |rig| keep_time(rig, &|| rig.write("a.nix", "2")));
    // Renamed over: another file under the same name.
    changes(set_up, |rig| {
        keep_time(rig, &|| {
            rig.write("new", "2");
            fs::rename(rig.at("new"), rig.at("a.nix")).unwrap();
        });
    });
}

#[test]
fn links() {
    let set_up = |rig: &Rig| {
        rig.write("default.nix", "{ a = import ./link; b = builtins.readFile ./down/file; }");
        for (name, text) in [("one.nix", "1"), ("two.nix", "2"), ("x/file", "x"), ("y/file", "y")] {
            rig.write(name, text);
        }
        symlink("one.nix", rig.at("link")).unwrap();
        symlink("x", rig.at("down")).unwrap();
    };
    let point = |rig: &Rig, link: &str, target: &str| {
        fs::remove_file(rig.at(link)).unwrap();
        symlink(target, rig.at(link)).unwrap();
    };
    changes(set_up, |rig| point(rig, "link", "two.nix"));
    // A link above the file.
    changes(set_up, |rig| point(rig, "down", "y"));
}

#[test]
fn existence_and_types() {
    let set_up = |rig: &Rig| {
        rig.write(
            "default.nix",
            "{ a = builtins.pathExists ./maybe; b = builtins.readFileType ./thing; c = builtins.pathExists ./x/y/z; }",
        );
        rig.write("thing", "");
        rig.write("x/f", "");
    };
    changes(set_up, |rig| rig.write("maybe", ""));
    changes(set_up, |rig| rig.write("x/y/z", ""));
    changes(set_up, |rig| {
        fs::remove_file(rig.at("thing")).unwrap();
        fs::create_dir(rig.at("thing")).unwrap();
    });
}

#[test]
fn listings() {
    let set_up = |rig: &Rig| {
        rig.write("default.nix", "{ a = builtins.readDir ./folder; }");
        rig.write("folder/x", "");
        rig.write("folder/y", "");
    };
    changes(set_up, |rig| rig.write("folder/z", ""));
    changes(set_up, |rig| fs::remove_file(rig.at("folder/x")).unwrap());
    changes(set_up, |rig| {
        fs::remove_file(rig.at("folder/x")).unwrap();
        fs::create_dir(rig.at("folder/x")).unwrap();
    });
}

#[test]
fn variables_and_search_path() {
    let set_up = |rig: &Rig| {
        rig.write("default.nix", "{ a = builtins.getEnv \"COLOUR\"; b = toString ~/x; }");
    };
    let set = |rig: &mut Rig, name: &str, value: &str| drop(rig.variables.insert(name.to_owned(), value.to_owned()));
    changes(set_up, |rig| set(rig, "COLOUR", "red"));
    changes(set_up, |rig| set(rig, "HOME", "/elsewhere"));

    let mut rig = Rig::new();
    rig.write("default.nix", "{ a = import <found>; b = 1; }");
    rig.write("two/found/default.nix", "2");
    fs::create_dir(rig.at("one")).unwrap();
    rig.search_path = vec![rig.at("one"), rig.at("two")];
    rig.ask_twice();
    rig.write("one/found/default.nix", "1");
    assert_eq!(rig.ask().evaluated, 1, "a new file earlier on the search path");
    rig.search_path.reverse();
    assert_eq!(rig.ask().evaluated, 2, "another search path is another question");
}

#[test]
fn sources() {
    let set_up = |rig: &Rig| {
        rig.write(
            "default.nix",
            "{ a = \"${./src}\"; b = builtins.filterSource (p: t: baseNameOf p != \"left\") ./src; }",
        );
        rig.write("src/file", "one");
        rig.write("src/left", "out");
        symlink("file", rig.at("src/link")).unwrap();
    };
    changes(set_up, |rig| {
        let modified = fs::metadata(rig.at("src/file")).unwrap().modified().unwrap();
        rig.write("src/file", "two");
        fs::File::options().write(true).open(rig.at("src/file")).unwrap().set_modified(modified).unwrap();
    });
    changes(set_up, |rig| rig.write("src/new/file", ""));
    changes(set_up, |rig| {
        fs::set_permissions(rig.at("src/file"), fs::Permissions::from_mode(0o755)).unwrap();
    });
    changes(set_up, |rig| {
        fs::remove_file(rig.at("src/link")).unwrap();
        symlink("left", rig.at("src/link")).unwrap();
    });
    // What the filter leaves out changes nothing but the unfiltered copy.
    let rig = Rig::new();
    set_up(&rig);
    rig.ask_twice();
    rig.write("src/left", "more");
    assert_eq!(rig.ask().evaluated, 1);
}

#[test]
fn failed_questions() {
    changes(
        |rig| {
            rig.write("default.nix", "{ a = builtins.pathExists (toString ./link + \"/\"); }");
            symlink("nowhere", rig.at("link")).unwrap();
        },
        |rig| fs::create_dir(rig.at("nowhere")).unwrap(),
    );
}

#[test]
fn a_touched_file_is_the_same() {
    let rig = Rig::new();
    rig.write("default.nix", "{ a = import ./a.nix; b = \"${./a.nix}\"; }");
    rig.write("a.nix", "1");
    rig.settle();
    rig.ask_twice();
    fs::File::options().write(true).open(rig.at("a.nix")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    rig.settle();
    let touched = rig.ask();
    assert!(touched.evaluated == 0 && touched.contents_read > 0, "{touched:?}");
    // Its new stamp was taken over.
    assert_eq!(rig.ask().contents_read, 0);
}

#[test]
fn derivations_that_were_collected_are_written_again() {
    let mut rig = Rig::new();
    rig.read_only = false;
    let derivation = |name| format!("derivation {{ name = \"{name}\"; system = \"s\"; builder = \"/b\"; }}");
    rig.write("default.nix", format!("{{ a = {}; b = {}; }}", derivation("a"), derivation("b")));
    rig.ask_twice();
    let drvs = || {
        fs::read_dir(rig.folder.path().join("store/nix/store")).map_or(0, |all| {
            all.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "drv")).count()
        })
    };
    assert_eq!(drvs(), 2);
    fs::remove_dir_all(rig.folder.path().join("store")).unwrap();
    let (_, effort) = rig.ask_while(&mut |_| {});
    assert_eq!((effort.unwrap().evaluated, drvs()), (2, 2));
}

#[test]
fn store_paths_that_are_gone_are_asked_for_again() {
    let mut rig = Rig::new();
    rig.read_only = false;
    rig.write("src", "text");
    let path = evaluate(&rig.session(), &format!("\"${{{}}}\"", rig.at("src").display()));
    rig.write("default.nix", format!("{{ a = builtins.stringLength (builtins.storePath \"{path}\"); }}"));
    rig.ask_twice();
    fs::remove_dir_all(rig.folder.path().join("store")).unwrap();
    let (told, _) = rig.ask_while(&mut |_| {});
    assert!(told.answers.unwrap_err().contains("is not valid"));
}

#[test]
fn messages_are_told_again_and_errors_are_not_remembered() {
    let rig = Rig::new();
    rig.write(
        "default.nix",
        "builtins.trace \"begin\" { a = builtins.trace \"one\" 1; b = builtins.warn \"two\" 2; c = 3; }",
    );
    rig.ask_twice();

    let rig = Rig::new();
    rig.write("default.nix", "{ a = 1; b = throw \"no\"; }");
    rig.ask();
    rig.ask();
    assert_eq!(rig.records(), 0);
}

#[test]
fn the_time_of_day_is_never_remembered() {
    let rig = Rig::new();
    rig.write("default.nix", "{ a = builtins.isInt builtins.currentTime; b = 2; }");
    assert_eq!((rig.ask().evaluated, rig.ask().evaluated, rig.records()), (2, 2, 0));
    // Only who looks at it is concerned.
    rig.write("default.nix", "{ a = builtins ? currentTime; b = 2; }");
    rig.ask_twice();
}

#[test]
fn what_changes_while_it_is_read_is_not_remembered() {
    let rig = Rig::new();
    rig.write("default.nix", "{ a = builtins.readFile ./f; b = builtins.readFile ./f; }");
    rig.write("f", "one");
    rig.ask_while(&mut |part| {
        if part == 1 {
            rig.write("f", "two");
        }
    });
    assert_eq!(rig.records(), 0);
    rig.ask_twice();
}

#[test]
fn broken_and_foreign_records_are_evaluated_anew() {
    let rig = Rig::new();
    rig.write("default.nix", "{ a = 1; }");
    rig.ask_twice();
    let folder = rig.folder.path().join("cache/firn-evaluation/answers");
    let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&file).unwrap();
    for broken in [&b""[..], b"garbage", &whole[..whole.len() - 1], &[&whole[..], b"x"].concat()] {
        fs::write(&file, broken).unwrap();
        assert_eq!(rig.ask().evaluated, 1);
    }
    // Another process opens the same folder.
    let other = Rig { memory: open_memory(rig.folder.path()), ..rig };
    assert_eq!(other.ask().evaluated, 0);
}
