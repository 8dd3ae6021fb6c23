//! A tree, a store and a memory in a throw-away folder, and a question about the tree: all attributes of its
//! `default.nix`, each as JSON, or as a derivation where it is one.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use activity::{Activity, CancelToken, Recorded, Recorder};
use evaluator::{EvalError, EvalOptions, Evaluator, Origin, Rooted, SearchPathEntry};
use session::remembered::{Answer, Effort, Found, Memory, Request, Start, Step, Work, run_without};
use session::settings::Surroundings;
use session::{Session, Settings};

/// Longer than a step of any clock that a local file system uses.
pub const GRAIN: Duration = Duration::from_millis(20);

/// Everything a test needs.
pub struct Rig {
    /// The throw-away folder.
    pub folder: tempfile::TempDir,
    /// What is remembered.
    pub memory: Memory,
    /// The environment.
    pub variables: BTreeMap<String, String>,
    /// The search path: entries without prefix.
    pub search_path: Vec<PathBuf>,
    /// Nothing is written to the store.
    pub read_only: bool,
    /// How often each attribute has its turn.
    pub passes: usize,
}

/// The answers by name, or the error's words; the messages; what it took.
#[derive(Debug, PartialEq)]
pub struct Told {
    /// Names and texts.
    pub answers: Result<Vec<(String, String)>, String>,
    /// What was said.
    pub messages: Vec<String>,
}

impl Rig {
    /// An empty tree.
    pub fn new() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        for name in ["tree", "cache", "store"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let memory = open_memory(folder.path());
        Rig { folder, memory, variables: BTreeMap::new(), search_path: Vec::new(), read_only: true, passes: 1 }
    }

    /// A path in the tree.
    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join("tree").join(name)
    }

    /// Writes a file of the tree.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        std::fs::write(self.at(name), text).unwrap();
    }

    /// Waits until the stamps of everything written so far can be trusted.
    pub fn settle(&self) {
        std::thread::sleep(GRAIN * 2);
    }

    /// A session as a command opens it.
    pub fn session(&self) -> Arc<Session> {
        let mut around = Surroundings::default();
        around.variables.insert("HOME".into(), self.folder.path().into());
        let store = format!("local?root={}", self.folder.path().join("store").display());
        around.variables.insert("NIX_REMOTE".into(), store.into());
        for (name, value) in &self.variables {
            around.variables.insert(name.into(), value.into());
        }
        Session::open(Settings::defaults(around), self.read_only).unwrap()
    }

    fn options(&self) -> EvalOptions {
        let entry =
            |path: &PathBuf| SearchPathEntry { prefix: Vec::new(), value: path.to_str().unwrap().as_bytes().to_vec() };
        EvalOptions { search_path: self.search_path.iter().map(entry).collect(), ..EvalOptions::default() }
    }

    fn tell(&self, remembering: bool, during: &mut dyn FnMut(usize)) -> (Told, Option<Effort>) {
        let recorder = Arc::new(Recorder::default());
        let activity = Activity::root(recorder.clone(), CancelToken::new());
        let file = self.at("default.nix").to_str().unwrap().as_bytes().to_vec();
        let options = self.options();
        let request =
            Request { words: vec![file.clone()], tree: file.clone(), options: options.clone(), separable: true };
        let mut work = Everything {
            file,
            options,
            during,
            passes: self.passes,
            evaluator: None,
            root: None,
            names: Vec::new(),
            told: Vec::new(),
        };
        let session = self.session();
        let effort = match remembering {
            true => self.memory.run(&session, &activity, &request, &mut work),
            false => run_without(&session, &activity, &mut work),
        };
        let messages = recorder.take().into_iter().filter_map(|event| match event {
            Recorded::Message(level, text) if level <= activity::Verbosity::Info => Some(text),
            _ => None,
        });
        let messages = messages.collect();
        match effort {
            Ok(effort) => (Told { answers: Ok(work.told), messages }, Some(effort)),
            Err(error) => (Told { answers: Err(error), messages }, None),
        }
    }

    /// Asks with memory; something may happen before each part.
    pub fn ask_while(&self, during: &mut dyn FnMut(usize)) -> (Told, Option<Effort>) {
        self.tell(true, during)
    }

    /// Asks with memory, and holds the answer against an evaluation without.
    pub fn ask(&self) -> Effort {
        let (told, effort) = self.ask_while(&mut |_| {});
        let (truth, _) = self.tell(false, &mut |_| {});
        assert_eq!(told, truth, "what was remembered is not what is evaluated");
        effort.unwrap_or_default()
    }

    /// Asks twice: the first time something is evaluated, the second time nothing.
    pub fn ask_twice(&self) {
        let first = self.ask();
        assert!(first.evaluated > 0, "{first:?}");
        let second = self.ask();
        assert_eq!(second.evaluated, 0, "{second:?}");
    }

    /// How many records there are.
    pub fn records(&self) -> usize {
        let folder = self.folder.path().join("cache/firn-evaluation/answers");
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    }
}

/// The memory in a folder.
pub fn open_memory(folder: &Path) -> Memory {
    let user = std::fs::metadata(folder).unwrap().uid();
    Memory::open(&folder.join("cache"), user, GRAIN).unwrap()
}

struct Everything<'a> {
    file: Vec<u8>,
    options: EvalOptions,
    during: &'a mut dyn FnMut(usize),
    passes: usize,
    evaluator: Option<Evaluator>,
    root: Option<Rooted>,
    names: Vec<String>,
    told: Vec<(String, String)>,
}

fn words(evaluator: &Evaluator, error: &EvalError) -> String {
    evaluator.report(error).message
}

impl Work for Everything<'_> {
    type Error = String;

    fn begin(&mut self, start: Start) -> Result<Vec<String>, String> {
        let mut evaluator = start.evaluator(self.options.clone());
        let root = evaluator.eval_file(&self.file).map_err(|error| words(&evaluator, &error))?;
        let names = evaluator.attr_names(&root).map_err(|error| words(&evaluator, &error))?;
        (self.evaluator, self.root) = (Some(evaluator), Some(root));
        self.names = names.into_iter().map(|name| String::from_utf8(name).unwrap()).collect();
        Ok(self.names.clone())
    }

    fn passes(&self) -> usize {
        self.passes
    }

    fn step(&mut self, pass: usize, part: usize) -> Result<Step, String> {
        if pass + 1 < self.passes {
            return Ok(Step::default());
        }
        (self.during)(part);
        let evaluator = self.evaluator.as_mut().unwrap();
        let root = self.root.as_ref().unwrap();
        let mut answer = || -> Result<(Answer, Vec<u64>), EvalError> {
            let met = evaluator.walk_attribute(root, &self.names[part], &[])?;
            if let [only] = met.as_slice() {
                let package = evaluator.package(only)?;
                let (output_name, outputs) = (package.output_name, Vec::new());
                let found = Found { drv_path: package.drv_path, output_name, outputs, main_program: None };
                let identities = if self.passes > 1 { vec![only.identity] } else { Vec::new() };
                return Ok((Answer::Derivations(vec![found]), identities));
            }
            let value = evaluator.attr(root, &self.names[part])?.unwrap();
            Ok((Answer::Text(evaluator.to_json(&value, true)?), Vec::new()))
        };
        let answer = answer();
        let (answer, identities) = answer.map_err(|error| words(evaluator, &error))?;
        Ok(Step { answer: Some(answer), identities })
    }

    fn evaluator(&mut self) -> Option<&mut Evaluator> {
        self.evaluator.as_mut()
    }

    fn show(&mut self, part: usize, answer: Answer) -> Result<(), String> {
        if let Some(evaluator) = &self.evaluator {
            evaluator.flush().map_err(|error| error.message)?;
        }
        let text = match answer {
            Answer::Text(text) => String::from_utf8(text).unwrap(),
            Answer::Derivations(found) => {
                found.iter().map(|one| format!("{}!{} ", one.drv_path, one.output_name)).collect()
            }
        };
        self.told.push((part.to_string(), text));
        Ok(())
    }
}

/// Evaluates a text of no file, for what a test needs to know.
pub fn evaluate(session: &Arc<Session>, text: &str) -> String {
    let world = Arc::new(session::SessionWorld::new(Arc::clone(session)));
    let mut evaluator = Evaluator::new(world, EvalOptions::default(), Activity::silent());
    let value = evaluator.eval_text(text.as_bytes(), b"/", Origin::String);
    let value = value.unwrap_or_else(|error| panic!("{}", words(&evaluator, &error)));
    let text = evaluator.string(&value, false).unwrap().0;
    evaluator.flush().unwrap();
    String::from_utf8(text).unwrap()
}
