//! Git repositories made by the git program; expectations about their trees are those of C++ Nix 2.34.8.

use std::path::Path;
use std::process::Command;

use fetchers::{Attribute, Fetched};

use crate::depot::Rig;

/// A repository of a test.
struct Repo<'a> {
    rig: &'a Rig,
    name: &'a str,
    time: std::cell::Cell<u32>,
}

impl<'a> Repo<'a> {
    fn new(rig: &'a Rig, name: &'a str) -> Self {
        std::fs::create_dir_all(rig.path(name)).unwrap();
        let repo = Self { rig, name, time: std::cell::Cell::new(1_600_000_000) };
        repo.git(&["init", "-q", "-b", "main"]);
        repo
    }

    fn git(&self, arguments: &[&str]) {
        self.time.set(self.time.get() + 100);
        let date = format!("{} +0200", self.time.get());
        let ended = Command::new("git")
            .args(["-c", "protocol.file.allow=always"])
            .args(arguments)
            .current_dir(self.rig.path(self.name))
            .env("HOME", self.rig.folder.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_DATE"), date.clone())))
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "n".to_owned())))
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "e".to_owned())))
            .output()
            .expect("the git program");
        assert!(ended.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
    }

    fn write(&self, path: &str, text: &str) {
        let file = self.rig.path(self.name).join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    fn commit(&self) {
        self.git(&["add", "."]);
        self.git(&["commit", "-q", "-m", "m"]);
    }

    fn fetch(&self, more: &[(&str, Attribute)]) -> fetchers::Result<Fetched> {
        let path = self.rig.path(self.name);
        fetch(self.rig, &path, more)
    }
}

fn fetch(rig: &Rig, path: &Path, more: &[(&str, Attribute)]) -> fetchers::Result<Fetched> {
    let url = path.to_string_lossy().into_owned();
    rig.fetch(0, &[&[("type", "git".into()), ("url", url.into())], more].concat())
}

/// A repository with everything that a tree can have.
fn varied<'a>(rig: &'a Rig) -> Repo<'a> {
    let repo = Repo::new(rig, "main");
    for (path, text) in [("a", "a\n"), ("d/e/x", "x\n"), ("secret", "s\n"), ("ign/i", "i\n"), ("d/t.tmp", "t\n")] {
        repo.write(path, text);
    }
    repo.write("run", "#!/bin/sh\n");
    let run = rig.path("main/run");
    std::fs::set_permissions(run, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("/abs/path", rig.path("main/abs")).unwrap();
    repo.write(".gitattributes", "secret export-ignore\nign export-ignore\n*.tmp export-ignore\nd/e/ export-ignore\n");
    repo.commit();
    repo.git(&["tag", "light"]);
    repo.git(&["tag", "-a", "annotated", "-m", "ann"]);
    repo.git(&["checkout", "-q", "-b", "feature"]);
    repo.write("f", "f\n");
    repo.commit();
    repo.git(&["checkout", "-q", "main"]);
    repo.write("c", "c\n");
    repo.commit();
    repo.git(&["merge", "-q", "--no-edit", "feature"]);
    repo
}

fn text(fetched: &Fetched, name: &str) -> Option<String> {
    fetched.locked.text(name).unwrap().map(str::to_owned)
}

#[test]
fn branches_tags_and_revisions_are_found() {
    let rig = Rig::new();
    let repo = varied(&rig);
    let head = repo.fetch(&[]).unwrap();
    assert_eq!(text(&head, "ref").as_deref(), Some("refs/heads/main"));
    assert_eq!(head.locked.number("revCount").unwrap(), Some(4));
    let everything = [
        ".gitattributes",
        "a",
        "abs -> /abs/path",
        "c",
        "d/",
        "d/e/",
        "d/e/x",
        "d/t.tmp",
        "f",
        "ign/",
        "ign/i",
        "run*",
        "secret",
    ];
    assert_eq!(rig.listing(&head.kept), everything);
    for (name, count) in [("main", 4), ("HEAD", 4), ("feature", 2), ("light", 1), ("annotated", 1)] {
        let found = repo.fetch(&[("ref", name.into())]).unwrap();
        assert_eq!(found.locked.number("revCount").unwrap(), Some(count), "{name}");
        let rev = text(&found, "rev").unwrap();
        let again = repo.fetch(&[("rev", rev.as_str().into())]).unwrap();
        assert_eq!(again.kept, found.kept);
    }
    let shallow = repo.fetch(&[("ref", "main".into()), ("shallow", true.into())]).unwrap();
    assert_eq!((&shallow.kept, shallow.locked.number("revCount").unwrap()), (&head.kept, None));
    let lfs = [("ref", Attribute::from("main")), ("lfs", true.into())];
    assert_eq!(repo.fetch(&lfs).unwrap().kept, head.kept);
    let error = repo.fetch(&[("ref", "nope".into())]).unwrap_err().to_string();
    assert_eq!(error, "resolving Git reference 'nope': revspec 'nope' not found (libgit2 error code = 4)");
    let error = repo.fetch(&[("rev", "01".repeat(20).into())]).unwrap_err().to_string();
    assert!(error.starts_with("getting Git object '0101"), "{error}");
}

#[test]
fn files_kept_elsewhere_are_refused_where_they_are_wanted() {
    let rig = Rig::new();
    let repo = Repo::new(&rig, "lfs");
    repo.write("d/.gitattributes", "*.bin filter=lfs\n");
    repo.git(&["-c", "filter.lfs.clean=cat", "add", "."]);
    repo.git(&["commit", "-q", "-m", "m"]);
    let main = ("ref", Attribute::from("main"));
    assert!(repo.fetch(std::slice::from_ref(&main)).is_ok());
    let error = repo.fetch(&[main, ("lfs", true.into())]).unwrap_err().to_string();
    assert_eq!(error, "fetching Git LFS files is not there yet");
}

#[test]
fn what_is_not_for_export_is_left_out() {
    let rig = Rig::new();
    let repo = varied(&rig);
    let ignore = ("exportIgnore", Attribute::Bool(true));
    let commit = repo.fetch(&[("ref", "main".into()), ignore.clone()]).unwrap();
    let left = [".gitattributes", "a", "abs -> /abs/path", "c", "d/", "f", "run*"];
    assert_eq!(rig.listing(&commit.kept), left);
    let tree = repo.fetch(&[ignore]).unwrap();
    assert_eq!(tree.kept, commit.kept);
}

#[test]
fn a_work_tree_is_taken_as_it_lies_there() {
    let rig = Rig::new();
    let repo = varied(&rig);
    let clean = repo.fetch(&[]).unwrap();
    // Neither another time nor what is not tracked makes a difference.
    repo.write("untracked", "u");
    let touched = std::fs::File::options().append(true).open(rig.path("main/a")).unwrap();
    touched.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(100)).unwrap();
    assert_eq!(repo.fetch(&[]).unwrap(), clean);
    assert!(rig.warnings().is_empty());
    repo.write("a", "changed\n");
    std::fs::remove_file(rig.path("main/c")).unwrap();
    repo.write("added", "new");
    repo.git(&["add", "added"]);
    let dirty = repo.fetch(&[]).unwrap();
    let shown = rig.path("main").display().to_string();
    assert_eq!(rig.warnings(), [format!("Git tree '{shown}' is dirty")]);
    let rev = text(&clean, "rev").unwrap();
    assert_eq!(text(&dirty, "dirtyRev"), Some(format!("{rev}-dirty")));
    assert_eq!(text(&dirty, "dirtyShortRev"), Some(format!("{}-dirty", &rev[..7])));
    assert_eq!((text(&dirty, "rev"), dirty.locked.number("revCount").unwrap()), (None, None));
    assert_eq!(dirty.locked.number("lastModified").unwrap(), clean.locked.number("lastModified").unwrap());
    let names = rig.listing(&dirty.kept);
    let has = |name: &str| names.iter().any(|other| other == name);
    assert!(has("added") && has("a") && !has("c") && !has("untracked"), "{names:?}");
}

#[test]
fn every_kind_of_change_makes_a_tree_dirty() {
    type Change = fn(&Repo<'_>);
    let changes: [(&str, Change); 7] = [
        ("contents of the same size", |repo| repo.write("a", "b\n")),
        ("mode", |repo| {
            let run = repo.rig.path("main/run");
            std::fs::set_permissions(run, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        }),
        ("link", |repo| {
            std::fs::remove_file(repo.rig.path("main/abs")).unwrap();
            std::os::unix::fs::symlink("/other", repo.rig.path("main/abs")).unwrap();
        }),
        ("kind", |repo| {
            std::fs::remove_file(repo.rig.path("main/a")).unwrap();
            std::os::unix::fs::symlink("c", repo.rig.path("main/a")).unwrap();
        }),
        ("staged", |repo| {
            repo.write("z", "z");
            repo.git(&["add", "z"]);
        }),
        ("removed", |repo| repo.git(&["rm", "-q", "a"])),
        ("intended", |repo| {
            repo.write("q", "q");
            repo.git(&["add", "-N", "q"]);
        }),
    ];
    for (what, change) in changes {
        let rig = Rig::new();
        let repo = varied(&rig);
        assert!(text(&repo.fetch(&[]).unwrap(), "rev").is_some());
        change(&repo);
        assert!(text(&repo.fetch(&[]).unwrap(), "dirtyRev").is_some(), "{what}");
    }
}

#[test]
fn repositories_without_commits_have_no_revision() {
    let rig = Rig::new();
    let empty = Repo::new(&rig, "empty").fetch(&[]).unwrap();
    assert_eq!(text(&empty, "rev"), Some("0".repeat(40)));
    assert_eq!(
        (empty.locked.number("revCount").unwrap(), empty.locked.number("lastModified").unwrap()),
        (Some(0), Some(0))
    );
    assert!(rig.listing(&empty.kept).is_empty());
    let unborn = Repo::new(&rig, "unborn");
    unborn.write("a", "a");
    unborn.git(&["add", "a"]);
    let fetched = unborn.fetch(&[]).unwrap();
    assert_eq!((text(&fetched, "rev"), text(&fetched, "dirtyRev")), (None, None));
    assert_eq!(rig.listing(&fetched.kept), ["a"]);
    assert!(unborn.fetch(&[("ref", "main".into())]).is_err());
    let missing = fetch(&rig, &rig.path("none"), &[]).unwrap_err().to_string();
    assert_eq!(missing, format!("Git repository \"{}\" does not exist.", rig.path("none").display()));
}

#[test]
fn line_ends_are_those_of_the_work_tree_and_of_the_commit() {
    let rig = Rig::new();
    let repo = Repo::new(&rig, "crlf");
    repo.write(".gitattributes", "* text=auto eol=crlf\n");
    repo.write("t", "a\r\nb\r\n");
    repo.commit();
    // A new time makes every byte be looked at, through the filter.
    std::fs::write(rig.path("crlf/t"), "a\r\nb\r\n").unwrap();
    let tree = repo.fetch(&[]).unwrap();
    assert!(text(&tree, "rev").is_some() && rig.warnings().is_empty());
    let store = |fetched: &Fetched| rig.path("store").join(fetched.kept.path.as_str()).join("t");
    assert_eq!(std::fs::read(store(&tree)).unwrap(), b"a\r\nb\r\n");
    let commit = repo.fetch(&[("ref", "main".into())]).unwrap();
    assert_eq!(std::fs::read(store(&commit)).unwrap(), b"a\nb\n");
}

#[test]
fn no_program_of_the_repositorys_choice_is_run() {
    let rig = Rig::new();
    let repo = Repo::new(&rig, "trap");
    repo.write("a", "a");
    repo.commit();
    let trap = format!("touch {}", rig.path("sprung").display());
    repo.git(&["config", "filter.trap.clean", &trap]);
    repo.git(&["config", "filter.trap.process", &trap]);
    repo.git(&["config", "core.fsmonitor", &trap]);
    repo.write(".git/info/attributes", "* filter=trap\n");
    repo.write("a", "b");
    let fetched = repo.fetch(&[]).unwrap();
    assert!(text(&fetched, "dirtyRev").is_some());
    assert!(!rig.path("sprung").exists());
}

#[test]
fn submodules_are_mounted() {
    let rig = Rig::new();
    let sub = Repo::new(&rig, "sub");
    sub.write("s", "s");
    sub.commit();
    let outer = Repo::new(&rig, "super");
    outer.git(&["submodule", "--quiet", "add", &rig.path("sub").display().to_string(), "mods/sub"]);
    outer.write("top", "t");
    outer.commit();
    let wanted = ("submodules", Attribute::Bool(true));
    let with = [".gitmodules", "mods/", "mods/sub/", "mods/sub/s", "top"];
    let tree = outer.fetch(std::slice::from_ref(&wanted)).unwrap();
    assert_eq!(rig.listing(&tree.kept), with);
    let commit = outer.fetch(&[("ref", "main".into()), wanted.clone()]).unwrap();
    assert_eq!(commit.kept, tree.kept);
    let plain = outer.fetch(&[("ref", "main".into())]).unwrap();
    assert_eq!(rig.listing(&plain.kept), [".gitmodules", "mods/", "mods/sub/", "top"]);
    std::fs::write(rig.path("super/mods/sub/s"), "changed").unwrap();
    let dirty = outer.fetch(std::slice::from_ref(&wanted)).unwrap();
    assert!(text(&dirty, "dirtyRev").is_some());
    let error = outer.fetch(&[wanted, ("exportIgnore", true.into())]).unwrap_err().to_string();
    assert_eq!(error, "exportIgnore and submodules are not supported together yet");
}

#[test]
fn bare_repositories_are_fetched_from() {
    let rig = Rig::new();
    let repo = varied(&rig);
    repo.git(&["clone", "-q", "--bare", ".", "../bare.git"]);
    let bare = rig.path("bare.git");
    let local = repo.fetch(&[("ref", "main".into())]).unwrap();
    let fetched = fetch(&rig, &bare, &[]).unwrap();
    assert_eq!(fetched.kept, local.kept);
    assert_eq!(text(&fetched, "ref").as_deref(), Some("refs/heads/main"));
    assert_eq!(fetched.locked.number("revCount").unwrap(), Some(4));
    let feature = fetch(&rig, &bare, &[("ref", "feature".into())]).unwrap();
    assert_eq!(feature.locked.number("revCount").unwrap(), Some(2));
    let error = fetch(&rig, &bare, &[("ref", "nope".into())]).unwrap_err().to_string();
    assert_eq!(error, format!("Failed to fetch git repository 'file://{}'", bare.display()));
    // A branch that was fetched once is used when the repository is gone; a revision needs nobody.
    std::fs::remove_dir_all(&bare).unwrap();
    std::fs::create_dir(&bare).unwrap();
    let again = fetch(&rig, &bare, &[("ref", "feature".into())]).unwrap();
    assert_eq!(again.kept, feature.kept);
    let warned = "could not update local clone of Git repository";
    assert!(rig.warnings().iter().any(|text| text.starts_with(warned)));
    let rev = text(&fetched, "rev").unwrap();
    assert_eq!(fetch(&rig, &bare, &[("rev", rev.into())]).unwrap().kept, fetched.kept);
}
