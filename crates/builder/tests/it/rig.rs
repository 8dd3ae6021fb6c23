//! A throw-away store with a builder, and derivations made by hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use activity::{Activity, CancelToken, Recorded, Recorder, ResultKind};
use builder::{BuilderOptions, LocalBuilder, SandboxMode, SandboxPath};
use store::{BuildMode, Builder, FaultPoints, LocalStore, LocalStoreOptions, Store, WritableStore};
use store_model::derivation::StructuredAttrs;
use store_model::{
    BuildResult, ContentAddress, ContentAddressMethod, Derivation, DerivationOutput, DerivedPath, Hash, InputOutputs,
    OutputsSpec, StoreDir, StorePath,
};
use transfer::{Transfer, TransferOptions};

/// Where a rig lies: removed with it, or not.
pub enum Folder {
    Own(tempfile::TempDir),
    Lent(PathBuf),
}

impl Folder {
    pub fn path(&self) -> &Path {
        match self {
            Self::Own(dir) => dir.path(),
            Self::Lent(dir) => dir,
        }
    }
}

pub struct Rig {
    pub dir: Folder,
    pub store: Arc<LocalStore>,
    pub options: BuilderOptions,
    pub recorder: Arc<Recorder>,
    pub token: CancelToken,
    pub activity: Activity,
    /// What a program would end with after the last `build_in`, if it failed.
    pub exit_status: AtomicI32,
}

impl Rig {
    /// A store at its logical path, builders without isolation.
    pub fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store_dir = dir.path().join("store");
        Self::at(Folder::Own(dir), &store_dir.clone(), &store_dir, SandboxMode::Disabled)
    }

    /// A store that lies elsewhere than its paths say, builders shut in.
    pub fn boxed() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        Self::at(Folder::Own(dir), Path::new("/nix/store"), &real, SandboxMode::Enabled)
    }

    /// The same in a folder of somebody else's.
    pub fn boxed_in(dir: &Path) -> Self {
        let real = dir.join("real");
        Self::at(Folder::Lent(dir.to_owned()), Path::new("/nix/store"), &real, SandboxMode::Enabled)
    }

    fn at(dir: Folder, store_dir: &Path, real: &Path, sandbox: SandboxMode) -> Self {
        let activity = Activity::silent();
        let options = LocalStoreOptions {
            fsync_store_paths: false,
            ..LocalStoreOptions::new(
                StoreDir::new(store_dir.to_str().unwrap()).unwrap(),
                real,
                dir.path().join("state"),
                dir.path().join("log"),
            )
        };
        let store = Arc::new(LocalStore::open(&activity, options).unwrap());
        let mut options = BuilderOptions::new(std::env::current_exe().unwrap(), "x86_64-linux");
        options.sandbox = sandbox;
        options.max_jobs = 4;
        options.sandbox_paths = ["/bin", "/usr", "/lib?", "/lib64?"].map(SandboxPath::parse).into();
        let recorder = Arc::new(Recorder::default());
        let token = CancelToken::new();
        let activity = Activity::root(recorder.clone(), token.clone());
        Self { dir, store, options, recorder, token, activity, exit_status: AtomicI32::new(0) }
    }

    /// Opens the same store once more, with hooks.
    pub fn reopen(&mut self, faults: FaultPoints) {
        let options = LocalStoreOptions { faults, ..self.store.options().clone() };
        self.store = Arc::new(LocalStore::open(&self.activity, options).unwrap());
    }

    pub fn builder(&self) -> LocalBuilder {
        let transfer = Transfer::new(TransferOptions { attempts: 1, ..TransferOptions::default() });
        LocalBuilder::new(Arc::clone(&self.store), self.options.clone(), Arc::new(transfer))
    }

    /// A derivation whose builder is the shell, written to the store.
    pub fn shell(&self, name: &str, script: &str) -> Drv<'_> {
        let mut drv = Drv::new(self, name, "/bin/sh");
        drv.derivation.args = vec![b"-ec".to_vec(), script.into()];
        drv.set("PATH", "/bin:/usr/bin")
    }

    pub fn builtin(&self, name: &str, builtin: &str) -> Drv<'_> {
        let mut drv = Drv::new(self, name, builtin);
        drv.derivation.platform = b"builtin".to_vec();
        drv
    }

    pub fn build_in(&self, mode: BuildMode, drvs: &[&StorePath]) -> store::Result<Vec<BuildResult>> {
        let wanted: Vec<_> = drvs.iter().map(|path| DerivedPath::all_outputs((*path).clone())).collect();
        let builder = self.builder();
        let results = builder.build(&self.activity, &wanted, mode);
        self.exit_status.store(builder.exit_status(), Ordering::SeqCst);
        results
    }

    pub fn exit_status(&self) -> i32 {
        self.exit_status.load(Ordering::SeqCst)
    }

    pub fn build(&self, drv: &StorePath) -> BuildResult {
        self.build_in(BuildMode::Normal, &[drv]).unwrap().remove(0)
    }

    /// Builds and reads the output `out`, which is a file.
    pub fn made(&self, drv: &StorePath) -> String {
        let result = self.build(drv);
        assert!(result.status.is_success(), "{:?} {}", result.status, result.error_message);
        std::fs::read_to_string(self.real(&result.built_outputs.get("out").unwrap().out_path)).unwrap()
    }

    pub fn output(&self, drv: &StorePath, name: &str) -> StorePath {
        self.store.derivation_outputs(&self.activity, drv).unwrap().get(name).unwrap().clone().unwrap()
    }

    pub fn real(&self, path: &StorePath) -> PathBuf {
        self.store.real_path(path)
    }

    pub fn is_valid(&self, path: &StorePath) -> bool {
        !self.store.valid_paths(&self.activity, std::slice::from_ref(path)).unwrap().is_empty()
    }

    pub fn log_lines(&self) -> Vec<String> {
        let line = |event| match event {
            Recorded::Result(_, ResultKind::BuildLogLine, fields) => match fields.into_iter().next() {
                Some(activity::Field::Text(text)) => Some(text),
                _ => None,
            },
            _ => None,
        };
        self.recorder.take().into_iter().filter_map(line).collect()
    }

    /// What builds leave beside their outputs: nothing, this says.
    pub fn assert_clean(&self) {
        let names = |path: &Path| -> Vec<String> {
            let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let strays: Vec<_> = names(self.store.real_dir())
            .into_iter()
            .filter(|name| {
                [".lock", ".chroot", ".tmp", ".check"].iter().any(|end| name.ends_with(end)) || name.starts_with("tmp-")
            })
            .chain(names(&self.dir.path().join("state/builds")))
            .collect();
        assert_eq!(strays, Vec::<String>::new());
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.dir.path().to_str().unwrap()));
    }
}

pub struct Drv<'a> {
    rig: &'a Rig,
    pub derivation: Derivation,
}

impl<'a> Drv<'a> {
    fn new(rig: &'a Rig, name: &str, builder: &str) -> Self {
        let derivation = Derivation {
            name: name.to_owned(),
            platform: b"x86_64-linux".to_vec(),
            builder: builder.into(),
            outputs: FromIterator::from_iter([("out".to_owned(), DerivationOutput::Deferred)]),
            ..Derivation::default()
        };
        Self { rig, derivation }
    }

    pub fn set(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.derivation.env.insert(name.into(), value.into());
        self
    }

    pub fn outputs(mut self, names: &[&str]) -> Self {
        self.derivation.outputs = names.iter().map(|name| ((*name).to_owned(), DerivationOutput::Deferred)).collect();
        self
    }

    pub fn fixed(mut self, method: ContentAddressMethod, hash: Hash) -> Self {
        let output = DerivationOutput::CAFixed(ContentAddress { method, hash });
        self.derivation.outputs = FromIterator::from_iter([("out".to_owned(), output)]);
        self
    }

    pub fn structured(mut self, json: &str) -> Self {
        self.derivation.structured_attrs = Some(StructuredAttrs::parse(json.as_bytes()).unwrap());
        self
    }

    /// Uses the output `out` of another one.
    pub fn uses(mut self, drv: &StorePath) -> Self {
        self.derivation.input_drvs.insert(drv.clone(), InputOutputs::of(["out"]));
        self
    }

    pub fn source(mut self, path: &StorePath) -> Self {
        self.derivation.input_srcs.insert(path.clone());
        self
    }

    pub fn write(mut self) -> StorePath {
        let (store, activity) = (&self.rig.store, &self.rig.activity);
        let names: Vec<_> = self.derivation.outputs.keys().cloned().collect();
        if self.derivation.structured_attrs.is_none() {
            for name in names {
                self.derivation.env.entry(name.into_bytes()).or_default();
            }
        }
        self.derivation
            .fill_in_output_paths(store.store_dir(), &mut |input| store.hash_modulo(activity, input))
            .unwrap();
        let object = self.derivation.to_text_object(store.store_dir()).unwrap();
        store.write_batch(activity, &[], std::slice::from_ref(&object)).unwrap();
        object.path
    }
}

/// One output of a derivation, as something wanted.
pub fn output_of(drv: &StorePath, name: &str) -> DerivedPath {
    DerivedPath::Built {
        drv: store_model::SingleDerivedPath::Opaque(drv.clone()),
        outputs: OutputsSpec::Names([name.to_owned()].into()),
    }
}
