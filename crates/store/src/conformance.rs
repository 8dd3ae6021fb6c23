//! What every store must do, as one suite over a fresh, empty store.
//!
//! Each implementation's tests call [`check`] with a store of theirs. A deviation is an `Err` that says which promise is
//! broken. Absent: what only some stores have (durability, locks).

use crate::closure::closure;
use crate::{
    AddTree, BuildLogs, Error, GarbageCollector, GcAction, GcOptions, GcResults, Result, TemporaryRoots, TreeObject,
    WritableStore, WriteOptions,
};
use activity::Activity;
use file_tree::{MemoryNode, MemoryTree, TreePath, nar};
use std::collections::BTreeSet;
use std::io::Write;
use store_model::derivation::TextObject;
use store_model::{
    ContentAddress, ContentAddressMethod, Derivation, DerivationOutput, Hash, HashAlgorithm, PathInfo, References,
    StorePath,
};

/// Runs the suite.
pub fn check<S: WritableStore + TemporaryRoots + BuildLogs + GarbageCollector>(store: &S) -> Result<(), String> {
    let suite = Suite { store, activity: Activity::silent() };
    suite.an_empty_store_knows_nothing()?;
    let (source, text) = suite.texts_refer()?;
    suite.trees_have_their_addresses()?;
    suite.archives_are_checked(&source)?;
    suite.batches_are_written_whole(&source)?;
    suite.derivations_have_outputs(&text)?;
    suite.registration_is_all_or_nothing(&source)?;
    suite.logs_are_kept(&text)?;
    suite.what_is_rooted_is_kept(&text)
}

struct Suite<'a, S> {
    store: &'a S,
    activity: Activity,
}

fn promise(kept: bool, what: &str) -> Result<(), String> {
    if kept { Ok(()) } else { Err(what.to_owned()) }
}

fn worked<T>(result: Result<T>, what: &str) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error}"))
}

impl<S: WritableStore + TemporaryRoots + BuildLogs + GarbageCollector> Suite<'_, S> {
    fn nowhere(&self) -> StorePath {
        let hash = Hash::of(HashAlgorithm::Sha256, b"nowhere");
        let path = self.store.store_dir().source_path("nowhere", &hash, &References::default());
        path.unwrap_or_else(|error| unreachable!("the name is valid: {error}"))
    }

    fn an_empty_store_knows_nothing(&self) -> Result<(), String> {
        let a = &self.activity;
        let path = [self.nowhere()];
        promise(worked(self.store.all_valid_paths(a), "all paths")?.is_empty(), "an empty store has no paths")?;
        promise(worked(self.store.path_infos(a, &path), "infos")? == [None], "an unknown path has no info")?;
        promise(worked(self.store.valid_paths(a, &path), "valid")?.is_empty(), "an unknown path is not valid")?;
        promise(worked(self.store.referrers(a, &path[0]), "referrers")?.is_empty(), "nothing refers to it")?;
        worked(self.store.add_temp_roots(a, &path), "rooting what is not there")?;
        promise(self.store.nar(a, &path[0], &mut Vec::new()).is_err(), "an unknown path has no archive")
    }

    fn text(&self, name: &str, contents: &str, references: &[&StorePath]) -> Result<TextObject, String> {
        let references = references.iter().map(|path| (*path).clone()).collect();
        TextObject::new(self.store.store_dir(), name, contents.into(), references).map_err(|error| error.to_string())
    }

    fn texts_refer(&self) -> Result<(StorePath, StorePath), String> {
        let a = &self.activity;
        let options = WriteOptions::default();
        let first = self.text("first", "hello", &[])?;
        let second = self.text("second", "see first", &[&first.path])?;
        let early = self.store.add_text(a, &second, &options);
        promise(early.is_err(), "what a text refers to must be valid")?;
        for object in [&first, &first, &second] {
            worked(self.store.add_text(a, object, &options), "adding a text")?;
        }
        let paths = [first.path.clone(), second.path.clone()];
        let infos = worked(self.store.path_infos(a, &paths), "infos")?;
        for (info, object) in infos.iter().zip([&first, &second]) {
            let info = info.as_ref().ok_or("a text that was added is valid")?;
            promise(info.references == object.references, "the references are kept")?;
            promise(info.is_content_addressed(self.store.store_dir()), "a text proves itself")?;
            let mut archive = Vec::new();
            worked(self.store.nar(a, &info.path, &mut archive), "the archive")?;
            promise(Hash::of(HashAlgorithm::Sha256, &archive) == info.nar_hash, "the archive has the hash")?;
            promise(archive.len() as u64 == info.nar_size, "the archive has the size")?;
        }
        let referrers = worked(self.store.referrers(a, &first.path), "referrers")?;
        promise(referrers == BTreeSet::from([second.path.clone()]), "the referrer is found")?;
        let whole = worked(closure(self.store, a, &paths[1..]), "closure")?;
        promise(whole == BTreeSet::from(paths), "the closure is both")?;
        let found = worked(self.store.path_from_hash_part(a, first.path.hash_part()), "hash part")?;
        promise(found.as_ref() == Some(&first.path), "a path is found by its hash part")?;
        let none = worked(self.store.path_from_hash_part(a, self.nowhere().hash_part()), "hash part")?;
        promise(none.is_none(), "an unknown hash part finds nothing")?;
        Ok((first.path, second.path))
    }

    fn trees_have_their_addresses(&self) -> Result<(), String> {
        let a = &self.activity;
        let tree = MemoryTree::new(MemoryNode::directory([
            ("bin", MemoryNode::directory([("run", MemoryNode::executable("#!/bin/sh\n"))])),
            ("left-out", MemoryNode::file("x")),
            ("link", MemoryNode::symlink("bin/run")),
        ]));
        let file = TreePath::normalise(b"bin/run");
        let root = TreePath::root();
        let cases = [
            (&root, ContentAddressMethod::NixArchive, HashAlgorithm::Sha256),
            (&root, ContentAddressMethod::NixArchive, HashAlgorithm::Sha1),
            (&file, ContentAddressMethod::Flat, HashAlgorithm::Sha256),
            (&file, ContentAddressMethod::Flat, HashAlgorithm::Md5),
            (&file, ContentAddressMethod::Text, HashAlgorithm::Sha256),
        ];
        let mut paths = BTreeSet::new();
        for (path, method, algorithm) in cases {
            let mut filter = |path: &TreePath, _| Ok(path.as_bytes() != b"left-out");
            let mut request = AddTree {
                name: "tree",
                accessor: &tree,
                path,
                method,
                algorithm,
                references: References::default(),
                filter: &mut filter,
            };
            let info = worked(self.store.add_tree(a, &mut request, &WriteOptions::default()), "adding a tree")?;
            let again = worked(self.store.add_tree(a, &mut request, &WriteOptions::default()), "adding it again")?;
            promise(info.path == again.path && info.nar_hash == again.nar_hash, "adding twice is the same")?;
            promise(info.is_content_addressed(self.store.store_dir()), "a tree proves itself")?;
            let mut archive = Vec::new();
            worked(self.store.nar(a, &info.path, &mut archive), "the archive")?;
            promise(Hash::of(HashAlgorithm::Sha256, &archive) == info.nar_hash, "the archive has the hash")?;
            promise(!archive.windows(8).any(|w| w == b"left-out"), "the filter is obeyed")?;
            paths.insert(info.path);
        }
        promise(paths.len() == cases.len(), "each method and algorithm gives another path")?;
        let mut all = |_: &TreePath, _| Ok(true);
        let mut flat = AddTree {
            name: "tree",
            accessor: &tree,
            path: &root,
            method: ContentAddressMethod::Flat,
            algorithm: HashAlgorithm::Sha256,
            references: References::default(),
            filter: &mut all,
        };
        let refused = self.store.add_tree(a, &mut flat, &WriteOptions::default());
        promise(refused.is_err(), "a folder cannot be added as a flat file")
    }

    fn tree(&self, node: MemoryNode, flat: Option<&[u8]>) -> Result<TreeObject, String> {
        let mut archive = Vec::new();
        let all = &mut |_: &TreePath, _| Ok(true);
        worked(
            nar::dump(&MemoryTree::new(node), &TreePath::root(), all, &mut archive).map_err(Error::from),
            "archive",
        )?;
        let (method, hashed) = match flat {
            Some(contents) => (ContentAddressMethod::Flat, contents),
            None => (ContentAddressMethod::NixArchive, archive.as_slice()),
        };
        let address = ContentAddress { method, hash: Hash::of(HashAlgorithm::Sha256, hashed) };
        let path = self.store.store_dir().content_addressed_path("batched", &address, &References::default());
        Ok(TreeObject { path: path.map_err(|error| error.to_string())?, address, archive })
    }

    fn batches_are_written_whole(&self, valid: &StorePath) -> Result<(), String> {
        let a = &self.activity;
        let file = MemoryNode::executable(b"#!x".to_vec());
        let folder = MemoryNode::directory([("run", file), ("link", MemoryNode::symlink("run"))]);
        let folder = self.tree(folder, None)?;
        let flat = self.tree(MemoryNode::file(b"flat".to_vec()), Some(b"flat"))?;
        let trees = [folder.clone(), flat, folder];
        let first = self.text("batched-1", "first", &[valid, &trees[0].path])?;
        let second = self.text("batched-2", "second", &[&first.path, &trees[1].path])?;
        let absent = self.text("batched-3", "third", &[&self.nowhere()])?;
        let refused = self.store.write_batch(a, &[], &[absent]);
        promise(refused.is_err(), "what a text of a batch refers to must be valid or in it")?;
        // The text that refers to another stands before it; the second time all is valid.
        let texts = [second, first];
        for _ in 0..2 {
            worked(self.store.write_batch(a, &trees, &texts), "writing a batch")?;
            worked(self.store.write_batch(a, &trees[..1], &[]), "writing a part of it")?;
        }
        let paths: Vec<StorePath> =
            trees.iter().map(|tree| tree.path.clone()).chain(texts.iter().map(|text| text.path.clone())).collect();
        for info in worked(self.store.path_infos(a, &paths), "infos")? {
            let info = info.ok_or("all of a batch is valid")?;
            promise(info.is_content_addressed(self.store.store_dir()), "what a batch brings proves itself")?;
            let mut archive = Vec::new();
            worked(self.store.nar(a, &info.path, &mut archive), "the archive")?;
            promise(Hash::of(HashAlgorithm::Sha256, &archive) == info.nar_hash, "the archive has the hash")?;
            promise(archive.len() as u64 == info.nar_size, "and the size")?;
        }
        let referrers = worked(self.store.referrers(a, &trees[0].path), "referrers")?;
        promise(referrers == BTreeSet::from([texts[1].path.clone()]), "references among a batch are kept")
    }

    fn archives_are_checked(&self, reference: &StorePath) -> Result<(), String> {
        let a = &self.activity;
        let options = WriteOptions::default();
        let mut archive = Vec::new();
        worked(nar::dump_bytes(b"contents", &mut archive).map_err(Error::from), "packing")?;
        let path = StorePath::from_parts([7; 20], "from-nar").map_err(|error| error.to_string())?;
        let mut info = PathInfo::new(path, Hash::of(HashAlgorithm::Sha256, &archive), archive.len() as u64);
        info.references.insert(reference.clone());
        info.references.insert(info.path.clone());
        let mut wrong = info.clone();
        wrong.nar_hash = Hash::of(HashAlgorithm::Sha256, b"other");
        let refused = self.store.add_nar(a, &wrong, &mut archive.as_slice(), &options);
        promise(matches!(refused, Err(Error::HashMismatch { .. })), "another hash is refused")?;
        let truncated = self.store.add_nar(a, &info, &mut &archive[..archive.len() - 1], &options);
        promise(truncated.is_err(), "a truncated archive is refused")?;
        let known = [info.path.clone()];
        promise(worked(self.store.valid_paths(a, &known), "valid")?.is_empty(), "nothing was registered")?;
        let untrusted = WriteOptions { trusted_keys: Some(Default::default()), ..WriteOptions::default() };
        let refused = self.store.add_nar(a, &info, &mut archive.as_slice(), &untrusted);
        promise(matches!(refused, Err(Error::Untrusted(_))), "unsigned paths are refused when keys are asked for")?;
        for _ in 0..2 {
            worked(self.store.add_nar(a, &info, &mut archive.as_slice(), &options), "adding an archive")?;
        }
        let found = worked(self.store.path_infos(a, &known), "infos")?;
        let found = found[0].as_ref().ok_or("the path is valid")?;
        promise(found.references == info.references, "references to itself are kept")?;
        let referrers = worked(self.store.referrers(a, &info.path), "referrers")?;
        promise(referrers.contains(&info.path), "a path may refer to itself")?;
        self.what_is_valid_stays(&info, &archive)
    }

    /// Other contents for a path, and contents that refer to nothing, even where it is to be replaced.
    fn what_is_valid_stays(&self, info: &PathInfo, archive: &[u8]) -> Result<(), String> {
        let a = &self.activity;
        let mut others = Vec::new();
        worked(nar::dump_bytes(b"other contents", &mut others).map_err(Error::from), "packing")?;
        let mut other = PathInfo::new(info.path.clone(), Hash::of(HashAlgorithm::Sha256, &others), others.len() as u64);
        let stays = |when: &str| {
            let mut nar = Vec::new();
            worked(self.store.nar(a, &info.path, &mut nar), "reading")?;
            let known = worked(self.store.path_infos(a, std::slice::from_ref(&info.path)), "infos")?;
            let same = known[0].as_ref().is_some_and(|known| known.nar_hash == info.nar_hash);
            promise(same && nar == archive, when)
        };
        worked(self.store.add_nar(a, &other, &mut others.as_slice(), &WriteOptions::default()), "adding again")?;
        stays("what is valid is not replaced")?;
        other.references.insert(self.nowhere());
        let repair = WriteOptions { repair: true, ..WriteOptions::default() };
        let refused = self.store.add_nar(a, &other, &mut others.as_slice(), &repair);
        promise(refused.is_err(), "a reference to nothing is refused")?;
        stays("what is valid stays when its replacement is refused")
    }

    fn derivations_have_outputs(&self, source: &StorePath) -> Result<(), String> {
        let a = &self.activity;
        let dir = self.store.store_dir();
        let model = |error: store_model::Error| error.to_string();
        let mut inner = Derivation {
            name: "inner".to_owned(),
            platform: b"x86_64-linux".to_vec(),
            builder: b"/bin/sh".to_vec(),
            outputs: FromIterator::from_iter([("out".to_owned(), DerivationOutput::Deferred)]),
            input_srcs: BTreeSet::from([source.clone()]),
            env: FromIterator::from_iter([(b"out".to_vec(), Vec::new())]),
            ..Derivation::default()
        };
        inner.fill_in_output_paths(dir, &mut |_| Err(store_model::Error::NoOutputs)).map_err(model)?;
        let inner_object = inner.to_text_object(dir).map_err(model)?;
        let modulo = store_model::derivation::hash_modulo::hash_modulo(dir, &inner, false, &mut |_| {
            Err(store_model::Error::NoOutputs)
        })
        .map_err(model)?;
        let mut outer = inner.clone();
        outer.name = "outer".to_owned();
        outer.input_drvs =
            FromIterator::from_iter([(inner_object.path.clone(), store_model::InputOutputs::of(["out"]))]);
        outer.outputs = FromIterator::from_iter([("out".to_owned(), DerivationOutput::Deferred)]);
        outer.env = FromIterator::from_iter([(b"out".to_vec(), Vec::new())]);
        outer.fill_in_output_paths(dir, &mut |_| Ok::<_, store_model::Error>(modulo.clone())).map_err(model)?;
        let outer_object = outer.to_text_object(dir).map_err(model)?;
        let objects = [outer_object, inner_object];
        worked(self.store.write_batch(a, &[], &objects), "writing derivations in any order")?;
        worked(self.store.write_batch(a, &[], &objects), "writing them again")?;
        let drv = &objects[0].path;
        promise(worked(self.store.read_derivation(a, drv), "reading one")? == outer, "it is read as it was written")?;
        let outputs = worked(self.store.derivation_outputs(a, drv), "its outputs")?;
        let out = outputs.get("out").cloned().flatten().ok_or("the output's path is known")?;
        let derivers = worked(self.store.valid_derivers(a, &out), "derivers")?;
        promise(derivers == BTreeSet::from([drv.clone()]), "the deriver is found by the output")
    }

    fn registration_is_all_or_nothing(&self, good: &StorePath) -> Result<(), String> {
        let a = &self.activity;
        let infos = worked(self.store.path_infos(a, std::slice::from_ref(good)), "infos")?;
        let mut known = infos[0].clone().ok_or("the path is valid")?;
        known.ultimate = true;
        let mut broken = PathInfo::new(self.nowhere(), known.nar_hash, known.nar_size);
        broken.references.insert(StorePath::from_parts([9; 20], "absent").map_err(|error| error.to_string())?);
        let refused = self.store.register(a, &[known.clone(), broken]);
        promise(refused.is_err(), "a reference that is not valid is refused")?;
        let infos = worked(self.store.path_infos(a, std::slice::from_ref(good)), "infos")?;
        promise(infos[0].as_ref().is_some_and(|info| !info.ultimate), "and nothing else was changed")?;
        worked(self.store.register(a, &[known]), "registering a valid path again")?;
        let infos = worked(self.store.path_infos(a, std::slice::from_ref(good)), "infos")?;
        promise(infos[0].as_ref().is_some_and(|info| info.ultimate), "takes the new metadata")
    }

    fn what_is_rooted_is_kept(&self, rooted: &StorePath) -> Result<(), String> {
        let a = &self.activity;
        let before = worked(self.store.all_valid_paths(a), "all paths")?;
        let places = worked(self.store.find_roots(a, false), "finding roots")?;
        promise(places.get(rooted).is_some_and(|places| !places.is_empty()), "what was written is rooted")?;
        let censored = worked(self.store.find_roots(a, true), "finding roots")?;
        let hidden = censored.values().flatten().all(|place| place.as_os_str() == "{censored}");
        promise(hidden && censored.keys().eq(places.keys()), "censored roots tell no places")?;
        let collect = |action: GcAction| {
            let mut results = GcResults::default();
            let options = GcOptions { action, ..GcOptions::default() };
            self.store.collect_garbage(a, &options, &mut results).map(|()| results)
        };
        let dead = worked(collect(GcAction::ReturnDead), "telling what is dead")?;
        let deleted = worked(collect(GcAction::DeleteDead), "collecting")?;
        promise(dead.paths == deleted.paths, "what is told to be dead is what is deleted")?;
        let after = worked(self.store.all_valid_paths(a), "all paths")?;
        promise(after.contains(rooted) && after.is_subset(&before), "a collection keeps what is rooted")?;
        let certain = collect(GcAction::DeleteSpecific(BTreeSet::from([rooted.clone()])));
        promise(matches!(certain, Err(Error::StillAlive(_))), "what is rooted cannot be deleted")
    }

    fn logs_are_kept(&self, drv: &StorePath) -> Result<(), String> {
        let a = &self.activity;
        promise(worked(self.store.build_log(a, drv), "no log")?.is_none(), "there is no log before a build")?;
        let mut log = worked(self.store.create_log(drv), "a log")?;
        log.write_all(b"line\n").map_err(|error| error.to_string())?;
        worked(log.finish(), "finishing a log")?;
        let text = worked(self.store.build_log(a, drv), "the log")?;
        promise(text.as_deref() == Some(b"line\n"), "the log is read as it was written")
    }
}
