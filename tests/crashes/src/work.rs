//! What is done in a store, drawn by chance, and what each finished command has announced.
//!
//! A promise holds from the moment in which the command that made it ended with success until a later command begins that may
//! end it. Moments are whatever the campaign counts: blocks written to a disk, or commands.
//!
//! Absent: looking whether promises are kept (`check.rs`).

use crate::Result;
use crate::random::Random;
use crate::world::{Side, World};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// A derivation of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct What {
    /// Derivations with another one are other derivations.
    pub salt: usize,
    /// How much must be built before.
    pub layer: usize,
    /// Which of its layer.
    pub n: usize,
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A derivation is built, with a link of that number to the result.
    Build(usize, What),
    /// A derivation is written.
    Instantiate(What),
    /// A tree is added; its number decides its contents.
    Add(u64),
    /// All garbage is deleted.
    Collect,
    /// Some garbage is deleted.
    CollectSome(usize),
    /// Old generations are deleted, and all garbage.
    CollectOld,
    /// A path without a root is deleted.
    Delete(String),
    /// Equal files are linked.
    Optimise,
    /// All is checked.
    Verify,
    /// A path is damaged, and repaired from the cache.
    Repair(String),
    /// A package is installed into a profile.
    Install(usize),
    /// The profile goes back by one generation.
    RollBack,
    /// A path is copied into a binary cache.
    Copy(String),
    /// A path is fetched from the binary cache.
    Substitute(String),
    /// A link to a result is taken away.
    Unlink(usize),
}

/// What was announced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// The path is valid.
    Valid(String),
    /// The link leads to a valid path. The name is below the disk.
    Link(String, String),
    /// The path is in the cache.
    Cached(String),
}

/// A promise and when it holds.
#[derive(Debug, Clone)]
pub struct Held {
    /// What was announced.
    pub promise: Promise,
    /// From when on.
    pub since: usize,
    /// Until when.
    pub until: usize,
}

/// A command that was run.
#[derive(Debug, Clone)]
pub struct Done {
    /// What it was for.
    pub step: Step,
    /// The moment before it began.
    pub start: usize,
    /// The moment after it ended.
    pub end: usize,
}

/// What has been done so far.
#[derive(Debug, Default)]
pub struct Work {
    /// All commands.
    pub done: Vec<Done>,
    /// All promises, also those that hold no longer.
    pub held: Vec<Held>,
}

const PROFILE: &str = "var/nix/profiles/person";

impl Work {
    /// Draws the next step. Some need what earlier ones left.
    pub fn draw(&self, random: &mut Random) -> Step {
        let (valid, cached): (Vec<String>, Vec<String>) = (self.valid_now(), self.cached_now());
        loop {
            let what = What { salt: random.below(3), layer: random.below(3), n: random.below(6) };
            let step = match random.below(22) {
                0..5 => Step::Build(random.below(4), what),
                5 => Step::Instantiate(what),
                6..9 => Step::Add(random.number() % 12),
                9 => Step::Collect,
                10 => Step::CollectSome(random.below(100_000)),
                11 => Step::CollectOld,
                12 => match random.pick(&self.plain_now()) {
                    Some(path) => Step::Delete(path.clone()),
                    None => continue,
                },
                13 => Step::Optimise,
                14 => Step::Verify,
                15 => match random.pick(&valid.iter().filter(|path| cached.contains(path)).collect::<Vec<_>>()) {
                    Some(path) => Step::Repair((*path).clone()),
                    None => continue,
                },
                16 | 17 => Step::Install(random.below(6)),
                18 if self
                    .held_now()
                    .any(|held| matches!(&held.promise, Promise::Link(name, _) if name == PROFILE)) =>
                {
                    Step::RollBack
                }
                19 => match random.pick(&valid) {
                    Some(path) => Step::Copy(path.clone()),
                    None => continue,
                },
                20 => match random.pick(&cached) {
                    Some(path) => Step::Substitute(path.clone()),
                    None => continue,
                },
                21 => Step::Unlink(random.below(4)),
                _ => continue,
            };
            return step;
        }
    }

    fn held_now(&self) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(|held| held.until == usize::MAX)
    }

    fn valid_now(&self) -> Vec<String> {
        let paths = self.held_now().filter_map(|held| match &held.promise {
            Promise::Valid(path) | Promise::Link(_, path) => Some(path.clone()),
            Promise::Cached(_) => None,
        });
        paths.filter(|path| !path.ends_with("-user-environment")).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Valid paths that nothing keeps.
    fn plain_now(&self) -> Vec<String> {
        self.valid_now().into_iter().filter(|path| path.contains("-tree-")).collect()
    }

    fn cached_now(&self) -> Vec<String> {
        let paths = self.held_now().filter_map(|held| match &held.promise {
            Promise::Cached(path) => Some(path.clone()),
            _ => None,
        });
        paths.collect()
    }

    /// A step begins: what it may end is promised no longer.
    fn begin(&mut self, step: &Step, now: usize) {
        for held in self.held.iter_mut().filter(|held| held.until == usize::MAX) {
            let ends = match (step, &held.promise) {
                (Step::Collect | Step::CollectSome(_) | Step::CollectOld, Promise::Valid(_)) => true,
                (Step::Delete(path), Promise::Valid(valid)) => path == valid,
                (Step::Build(link, _) | Step::Unlink(link), Promise::Link(name, _)) => *name == link_name(*link),
                (Step::Install(_) | Step::RollBack, Promise::Link(name, _)) => name == PROFILE,
                _ => false,
            };
            if ends {
                held.until = now;
            }
        }
    }

    /// A step has ended with success.
    fn succeed(&mut self, world: &World, step: &Step, output: &Output, now: usize) -> Result<()> {
        let printed = || String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let mut promise = |promise| self.held.push(Held { promise, since: now, until: usize::MAX });
        match step {
            Step::Build(link, _) => promise(Promise::Link(link_name(*link), printed())),
            Step::Instantiate(_) | Step::Add(_) => promise(Promise::Valid(printed())),
            Step::Substitute(path) => promise(Promise::Valid(path.clone())),
            Step::Copy(path) => promise(Promise::Cached(path.clone())),
            Step::Install(_) | Step::RollBack => {
                let target = fs::canonicalize(world.disk().join(PROFILE)).map_err(|e| format!("the profile: {e}"))?;
                promise(Promise::Link(PROFILE.to_owned(), target.display().to_string()));
            }
            _ => {}
        }
        Ok(())
    }

    /// The step as a command; some need preparation, which is done here. None: there is nothing more to do.
    ///
    /// # Errors
    /// If the preparation fails.
    pub fn prepare(&mut self, world: &World, step: &Step, now: usize) -> Result<Option<Vec<String>>> {
        self.begin(step, now);
        match step {
            Step::Add(number) => make_tree(world, *number)?,
            Step::Repair(path) => damage(world, Path::new(path)).map_err(|e| format!("damaging {path}: {e}"))?,
            Step::Unlink(link) => {
                let _ = fs::remove_file(world.disk().join(link_name(*link)));
                return Ok(None);
            }
            _ => {}
        }
        Ok(Some(words(world, step)))
    }

    /// Does a step to its end; the moments are asked of `now`. False if it did not succeed although nothing stopped it.
    ///
    /// # Errors
    /// If it hangs, or fails without a reason that is allowed.
    pub fn perform(&mut self, world: &World, step: &Step, now: &dyn Fn() -> usize) -> Result<()> {
        let start = now();
        if let Some(words) = self.prepare(world, step, start)? {
            let output = world.run(Side::Firn, &words)?;
            self.ended(world, step, &output, now())?;
        }
        self.done.push(Done { step: step.clone(), start, end: now() });
        Ok(())
    }

    /// What a finished command means.
    ///
    /// # Errors
    /// If it failed without a reason that is allowed.
    pub fn ended(&mut self, world: &World, step: &Step, output: &Output, now: usize) -> Result<()> {
        if output.status.success() {
            return self.succeed(world, step, output, now);
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let allowed = match step {
            Step::RollBack => said.contains("no profile version older"),
            // It was deleted before its deletion was stopped.
            Step::Delete(_) => said.contains("not valid") || said.contains("does not exist"),
            // An older generation, or what was meant to be copied, had not been promised yet.
            _ => false,
        };
        if !allowed {
            return Err(format!("{step:?} failed: {}: {said}", output.status));
        }
        // A rollback that was stopped may have been done: where the profile leads is not promised any more.
        Ok(())
    }

    /// What is promised at a moment.
    pub fn promised(&self, moment: usize) -> Vec<Promise> {
        let held = self.held.iter().filter(|held| held.since <= moment && moment < held.until);
        held.map(|held| held.promise.clone()).collect()
    }

    /// Links that were being replaced at a moment: they lead to the one or the other, and are never away.
    pub fn in_between(&self, moment: usize) -> BTreeMap<String, BTreeSet<String>> {
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for old in &self.held {
            let Promise::Link(name, target) = &old.promise else { continue };
            if old.until > moment {
                continue;
            }
            // The next of that name, if nothing else took the link away.
            let next = self.held.iter().find(|new| {
                matches!(&new.promise, Promise::Link(other, _) if other == name)
                    && new.since > moment
                    && new.since > old.until
            });
            let unlinked = self.done.iter().any(|done| {
                matches!(&done.step, Step::Unlink(link) if link_name(*link) == *name) && done.start == old.until
            });
            let during = self.done.iter().any(|done| {
                done.start == old.until && moment < done.end && next.is_some_and(|next| next.since <= done.end)
            });
            if let (Some(next), true, false) = (next, during, unlinked)
                && let Promise::Link(_, later) = &next.promise
            {
                all.insert(name.clone(), BTreeSet::from([target.clone(), later.clone()]));
            }
        }
        all
    }
}

fn link_name(link: usize) -> String {
    format!("roots/r{link}")
}

/// The cache's address.
pub fn cache_of(world: &World) -> String {
    format!("file://{}", world.disk().join("cache").display())
}

/// The command of a step.
pub fn words(world: &World, step: &Step) -> Vec<String> {
    let at = |name: &str| world.place.join(name).display().to_string();
    let on_disk = |name: &str| world.disk().join(name).display().to_string();
    let make = |What { salt, layer, n }: &What| {
        format!("(import {} {{ salt = \"{salt}\"; }}).make {layer} {n}", at("world.nix"))
    };
    let own = |text: &[&str]| text.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    match step {
        Step::Build(link, what) => own(&["nix-build", "-o", &on_disk(&link_name(*link)), "-E", &make(what)]),
        Step::Instantiate(what) => own(&["nix-instantiate", "-E", &make(what)]),
        Step::Add(number) => own(&["nix-store", "--add", &at(&format!("in/tree-{number}"))]),
        Step::Collect => own(&["nix-store", "--gc"]),
        Step::CollectSome(bytes) => own(&["nix-store", "--gc", "--max-freed", &bytes.to_string()]),
        Step::CollectOld => own(&["nix-collect-garbage", "-d"]),
        Step::Delete(path) => own(&["nix-store", "--delete", path]),
        Step::Optimise => own(&["nix-store", "--optimise"]),
        Step::Verify => own(&["nix-store", "--verify", "--check-contents"]),
        Step::Repair(_) => {
            let cache = cache_of(world);
            own(&["nix-store", "--verify", "--check-contents", "--repair", "--option", "substituters", &cache])
        }
        Step::Install(n) => {
            let package = format!("f: (f {{ salt = \"0\"; }}).packages.x{n}");
            own(&["nix-env", "-p", &on_disk(PROFILE), "-f", &at("world.nix"), "-i", "-E", &package])
        }
        Step::RollBack => own(&["nix-env", "-p", &on_disk(PROFILE), "--rollback"]),
        Step::Copy(path) => own(&["nix", "copy", "--to", &format!("{}?compression=none", cache_of(world)), path]),
        Step::Substitute(path) => own(&["nix-store", "--realise", path, "--option", "substituters", &cache_of(world)]),
        Step::Unlink(_) => Vec::new(),
    }
}

/// The tree of a number, beside the disk. Some files are the same in all trees.
fn make_tree(world: &World, number: u64) -> Result<()> {
    let folder = world.place.join(format!("in/tree-{number}"));
    if folder.exists() {
        return Ok(());
    }
    let make = || -> std::io::Result<()> {
        fs::create_dir_all(folder.join("deep/er"))?;
        let mut random = Random::new(number);
        for name in ["a", "deep/b", "deep/er/c", "deep/er/d"] {
            let length = [10, 3_000, 40_000, 200_000][random.below(4)];
            let bytes: Vec<u8> = (0..length).map(|_| random.number().to_le_bytes()[0]).collect();
            fs::write(folder.join(name), bytes)?;
        }
        fs::write(folder.join("common"), vec![b'c'; 30_000])?;
        fs::write(folder.join("empty"), b"")?;
        std::os::unix::fs::symlink("deep/b", folder.join("link"))
    };
    make().map_err(|e| e.to_string())
}

/// Changes a byte of a file of an object; others that the file is linked to keep theirs.
fn damage(world: &World, path: &Path) -> std::io::Result<()> {
    let Some(file) = first_file(path)? else { return Ok(()) };
    let mut bytes = fs::read(&file)?;
    match bytes.first_mut() {
        Some(byte) => *byte ^= 1,
        None => return Ok(()),
    }
    let folder = file.parent().unwrap_or(path);
    let temporary = world.disk().join("damaged");
    let _ = fs::remove_file(&temporary);
    fs::write(&temporary, bytes)?;
    fs::set_permissions(&temporary, fs::metadata(&file)?.permissions())?;
    let closed = fs::metadata(folder)?.permissions();
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs::rename(&temporary, &file)?;
    fs::set_permissions(folder, closed)
}

fn first_file(path: &Path) -> std::io::Result<Option<PathBuf>> {
    let found = fs::symlink_metadata(path)?;
    if found.is_file() {
        return Ok((found.len() > 0).then(|| path.to_owned()));
    }
    if found.is_dir() {
        let mut names: Vec<PathBuf> = fs::read_dir(path)?.flatten().map(|entry| entry.path()).collect();
        names.sort();
        for name in names {
            if let Some(file) = first_file(&name)? {
                return Ok(Some(file));
            }
        }
    }
    Ok(None)
}
