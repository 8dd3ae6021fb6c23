//! Profiles: what is made, switched and deleted, by several at once and when killed.

use super::open;
use activity::Activity;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use store::{Doomed, LocalStore, Profile, WritableStore, WriteOptions};
use store_model::StorePath;
use store_model::derivation::TextObject;

fn text(store: &LocalStore, contents: &str) -> StorePath {
    let object = TextObject::new(&store.options().store_dir, "env", contents.as_bytes().to_vec(), BTreeSet::new());
    let object = object.unwrap();
    store.add_text(&Activity::silent(), &object, &WriteOptions::default()).unwrap();
    object.path
}

/// A profile with a generation for each text.
fn profile(folder: &Path, contents: &[&str]) -> (LocalStore, Profile) {
    let store = open(folder);
    let profile = Profile::new(folder.join("nix/var/nix/profiles/mine"));
    for one in contents {
        assert!(profile.set(&Activity::silent(), &store, &text(&store, one), None).unwrap());
    }
    (store, profile)
}

fn numbers(profile: &Profile) -> (Vec<u64>, Option<u64>) {
    let generations = profile.generations(&Activity::silent()).unwrap();
    (generations.all.iter().map(|one| one.number).collect(), generations.current)
}

#[test]
fn generations_are_numbered_and_the_same_is_not_made_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (store, profile) = profile(folder.path(), &["a", "b", "b", "a"]);
    assert_eq!(numbers(&profile), (vec![1, 2, 3], Some(3)));
    assert_eq!(profile.target(), Some(PathBuf::from("mine-3-link")));
    let kept = store.permanent_roots(&Activity::silent()).unwrap();
    assert_eq!(kept[&text(&store, "a")].len(), 2);
    // Neither the lock nor a half-made link is left.
    assert_eq!(fs::read_dir(profile.path().parent().unwrap()).unwrap().count(), 5);
}

#[test]
fn names_of_others_are_no_generations() {
    let folder = tempfile::tempdir().unwrap();
    let (_, profile) = profile(folder.path(), &["a"]);
    let beside = |name: &str| profile.path().with_file_name(name);
    for name in ["mine-x-link", "mine-2", "mine-2-linked", "mine--link", "yours-2-link", "mine-99999999999-link"] {
        std::os::unix::fs::symlink("/nowhere", beside(name)).unwrap();
    }
    assert_eq!(numbers(&profile), (vec![1], Some(1)));
}

#[test]
fn switching_goes_back_and_forth() {
    let folder = tempfile::tempdir().unwrap();
    let (store, profile) = profile(folder.path(), &["a", "b", "c"]);
    let a = Activity::silent();
    profile.switch(&a, None, true).unwrap();
    assert_eq!(numbers(&profile).1, Some(3));
    profile.switch(&a, None, false).unwrap();
    profile.switch(&a, None, false).unwrap();
    assert_eq!(numbers(&profile).1, Some(1));
    let error = profile.switch(&a, None, false).unwrap_err().to_string();
    assert_eq!(error, "no profile version older than the current (1) exists");
    let error = profile.switch(&a, Some(7), false).unwrap_err().to_string();
    assert_eq!(error, "profile version 7 does not exist");
    // What is new after going back has a number of its own.
    profile.set(&a, &store, &text(&store, "d"), None).unwrap();
    assert_eq!(numbers(&profile), (vec![1, 2, 3, 4], Some(4)));
}

#[test]
fn who_was_overtaken_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, profile) = profile(folder.path(), &["a"]);
    let a = Activity::silent();
    let seen = profile.target();
    profile.set(&a, &store, &text(&store, "b"), None).unwrap();
    assert!(!profile.set(&a, &store, &text(&store, "c"), Some(&seen)).unwrap());
    assert_eq!(numbers(&profile), (vec![1, 2], Some(2)));
}

#[test]
fn deleting_spares_the_current_generation() {
    let names = ["a", "b", "c", "d", "e"];
    let a = Activity::silent();
    let left = |doomed: &Doomed, back_to: u64| {
        let folder = tempfile::tempdir().unwrap();
        let (_, profile) = profile(folder.path(), &names);
        profile.switch(&a, Some(back_to), false).unwrap();
        let _ = profile.delete(&a, doomed, true);
        assert_eq!(numbers(&profile).0.len(), 5);
        profile.delete(&a, doomed, false).map(|()| numbers(&profile).0).map_err(|error| error.to_string())
    };
    assert_eq!(left(&Doomed::Old, 2), Ok(vec![2]));
    assert_eq!(left(&Doomed::AllButNewest(2), 4), Ok(vec![3, 4, 5]));
    assert_eq!(left(&Doomed::Numbers([1, 5, 9].into()), 2), Ok(vec![2, 3, 4]));
    assert!(matches!(left(&Doomed::Numbers([1, 2].into()), 2), Err(error) if error.contains("cannot delete current")));
    assert_eq!(left(&Doomed::OlderThan(SystemTime::now() - Duration::from_secs(60)), 2), Ok(vec![1, 2, 3, 4, 5]));
    // All are older than a time to come: the newest one was current until then.
    assert_eq!(left(&Doomed::OlderThan(SystemTime::now() + Duration::from_secs(60)), 2), Ok(vec![2, 5]));
}

#[test]
fn words_for_generations() {
    let now = SystemTime::now();
    let parse = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        Doomed::parse(&words, now).map_err(|error| error.to_string())
    };
    assert_eq!(parse(&["old"]), Ok(Doomed::Old));
    assert_eq!(parse(&["2d"]), Ok(Doomed::OlderThan(now - Duration::from_secs(2 * 86400))));
    assert_eq!(parse(&["+5"]), Ok(Doomed::AllButNewest(5)));
    assert_eq!(parse(&["1", "3"]), Ok(Doomed::Numbers([1, 3].into())));
    for (words, message) in [
        (&["0d"][..], "invalid number of days specifier '0d'"),
        (&["d2"], "invalid number of days specifier 'd2', expected something like '14d'"),
        (&["99999999999999999999d"], "invalid number of days specifier '99999999999999999999d'"),
        (&["+"], "invalid number of generations '+'"),
        (&["+x"], "invalid number of generations to keep '+x'"),
        (&["old", "1"], "invalid generation number 'old'"),
        (&["1", "-2"], "invalid generation number '-2'"),
    ] {
        assert_eq!(parse(words), Err(message.to_owned()), "{words:?}");
    }
}

#[test]
fn many_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, profile) = profile(folder.path(), &[]);
    let paths: Vec<StorePath> = (0..8).map(|number| text(&store, &number.to_string())).collect();
    std::thread::scope(|scope| {
        for path in &paths {
            let (store, profile) = (&store, profile.clone());
            scope.spawn(move || profile.set(&Activity::silent(), store, path, None).unwrap());
        }
    });
    assert_eq!(numbers(&profile), ((1..=8).collect(), Some(8)));
}
