//! Compiled files that are kept: every file of the library gives the same from its kept form.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use activity::Activity;
use evaluator::{EvalOptions, Evaluator, ProgramCache, TestWorld};

/// Keeps programs, and counts how often it was of use.
#[derive(Default)]
struct Kept {
    programs: Mutex<HashMap<[u8; 32], Vec<u8>>>,
    hits: Mutex<usize>,
}

impl ProgramCache for Kept {
    fn get(&self, key: &[u8; 32]) -> Option<Vec<u8>> {
        let found = self.programs.lock().unwrap().get(key).cloned();
        *self.hits.lock().unwrap() += usize::from(found.is_some());
        found
    }

    fn put(&self, key: &[u8; 32], program: Vec<u8>) {
        self.programs.lock().unwrap().insert(*key, program);
    }
}

fn files(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|end| end == "nix") {
            found.push(std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// What a file gives, or why it gives nothing, with its places.
fn told(text: &str, kept: &Arc<Kept>, options: EvalOptions) -> String {
    let world = TestWorld::new().file("/f.nix", text.as_bytes());
    let mut evaluator = Evaluator::new(Arc::new(world), options, Activity::silent());
    evaluator.keep_programs(kept.clone());
    let value = evaluator.eval_file(b"/f.nix").and_then(|value| evaluator.force_deep(&value).map(|()| value));
    match value.and_then(|value| evaluator.print_plain(&value)) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => format!("{:?}", evaluator.report(&error)),
    }
}

#[test]
fn files_give_the_same_from_their_kept_form() {
    let mut texts = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../library"), &mut texts);
    assert!(texts.len() > 10);
    let kept = Arc::new(Kept::default());
    let first: Vec<String> = texts.iter().map(|text| told(text, &kept, EvalOptions::default())).collect();
    assert_eq!(*kept.hits.lock().unwrap(), 0);
    let programs = kept.programs.lock().unwrap().len();
    assert!(programs > texts.len() / 2, "{programs} of {} files are kept", texts.len());
    let second: Vec<String> = texts.iter().map(|text| told(text, &kept, EvalOptions::default())).collect();
    assert_eq!(first, second);
    assert_eq!(*kept.hits.lock().unwrap(), programs);
}

#[test]
fn other_rules_make_other_programs() {
    let text = format!("# {}\nbuiltins ? fetchTree", "x".repeat(600));
    let kept = Arc::new(Kept::default());
    assert_eq!(told(&text, &kept, EvalOptions::default()), "false");
    let experimental_features = ["flakes".to_owned()].into();
    assert_eq!(told(&text, &kept, EvalOptions { experimental_features, ..EvalOptions::default() }), "true");
    assert_eq!((kept.programs.lock().unwrap().len(), *kept.hits.lock().unwrap()), (2, 0));
    // What is broken is compiled anew.
    kept.programs.lock().unwrap().values_mut().for_each(|program| program.truncate(3));
    assert_eq!(told(&text, &kept, EvalOptions::default()), "false");
}
