//! Remembered evaluation: what an evaluation read is kept with what it gave, and asked again before it is believed.
//!
//! Path of data: a command describes its question ([`Request`]) and how it would be answered ([`Work`]) → [`run`] looks
//! for a [`Record`] of the same question → `check` asks again everything that was read → if all is the same the answers
//! are shown, with the messages there were; else the parts that read something else are evaluated over a `Recorder`, and
//! a new record is written. A part is an attribute: a thing to be answered on its own. Which of the reads a part depends
//! on the evaluator tells (`evaluator::ReadLog`); what is read before the parts begin belongs to all of them.
//!
//! Promises: an answer is never older than what can be read; an error is never remembered; an answer that names store
//! paths is given only when these are rooted and valid; nothing fails because the cache does.
//!
//! Absent on purpose: flakes (locked trees have keys of their own), printing, what commands do with an answer.

mod asked;
mod bytes;
mod check;
mod folder;
mod messages;
mod pack;
mod record;
mod recorder;
mod seen;
mod stamp;
mod tree;
mod turns;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use activity::{Activity, Verbosity};
use evaluator::{EvalOptions, Evaluator, ProgramCache, ReadLog, World};
use store_model::StorePath;

use crate::session::Session;
use crate::world::SessionWorld;
use asked::Asked;
use bytes::Put as _;
use folder::{Folder, Kept, Limits};
use record::Record;
use stamp::{Clock, Stamp};
use turns::Turns;

/// Local file systems count time in steps of at most 10 ms; clocks that are corrected jump by less than the rest.
const GRAIN: Duration = Duration::from_millis(100);

/// What is asked: all that decides the answer, beside what evaluation reads.
#[derive(Clone, Debug)]
pub struct Request {
    /// The command, its arguments, the working directory: anything, as long as other questions have other words.
    pub words: Vec<Vec<u8>>,
    /// What the tree is known by: questions about the same one share its compiled files.
    pub tree: Vec<u8>,
    /// How to evaluate.
    pub options: EvalOptions,
    /// Whether a part's answer is the same when it is evaluated without the other parts.
    pub separable: bool,
}

/// What a part gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Text to be printed.
    Text(Vec<u8>),
    /// Derivations.
    Derivations(Vec<Found>),
}

impl Default for Answer {
    fn default() -> Self {
        Answer::Text(Vec::new())
    }
}

/// A derivation that evaluation found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its path.
    pub drv_path: StorePath,
    /// The output that was selected; empty if the value does not say.
    pub output_name: String,
    /// Further outputs that are wanted, where the command asks for them.
    pub outputs: Vec<String>,
    /// The program that it is run by, where the command asks for it.
    pub main_program: Option<String>,
}

/// What a step of [`Work`] came to.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The part's answer, in its last pass.
    pub answer: Option<Answer>,
    /// For each derivation of the answer, a number that tells the same value from another one. A value met in several
    /// parts belongs to the first. Only for answers that are shown at the end; empty where it makes no difference.
    pub identities: Vec<u64>,
}

/// What an evaluation starts from.
pub struct Start {
    /// All that it may see.
    pub world: Arc<dyn World>,
    /// Where its messages go.
    pub activity: Activity,
    /// To be followed by the evaluator, if there is one.
    pub reads: Option<Arc<ReadLog>>,
    /// Where compiled files are kept.
    pub programs: Option<Arc<dyn ProgramCache>>,
}

impl Start {
    /// An evaluator over this start.
    pub fn evaluator(self, options: EvalOptions) -> Evaluator {
        let mut evaluator = Evaluator::new(self.world, options, self.activity);
        if let Some(reads) = self.reads {
            evaluator.follow_reads(reads);
        }
        if let Some(programs) = self.programs {
            evaluator.keep_programs(programs);
        }
        evaluator
    }
}

/// How a question is answered by evaluating.
pub trait Work {
    /// Why it could not be.
    type Error;

    /// Evaluates what all parts share; gives their names.
    fn begin(&mut self, start: Start) -> Result<Vec<String>, Self::Error>;

    /// How often each part has its turn; answers are shown as they come if it is once, else all at the end.
    fn passes(&self) -> usize {
        1
    }

    /// A part's turn.
    fn step(&mut self, pass: usize, part: usize) -> Result<Step, Self::Error>;

    /// The evaluator, once begun.
    fn evaluator(&mut self) -> Option<&mut Evaluator>;

    /// Takes a part's answer, in the order of parts. What was written for it is to be flushed first.
    fn show(&mut self, part: usize, answer: Answer) -> Result<(), Self::Error>;
}

/// What answering took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Parts that were asked for.
    pub parts: usize,
    /// Parts that were evaluated.
    pub evaluated: usize,
    /// Files and source trees whose contents were read.
    pub contents_read: u64,
}

/// Answers a question from memory, as far as that holds, else by evaluating. With `eval-cache = false`, or without a
/// folder to remember in, always by evaluating.
///
/// # Errors
/// What evaluating or showing says.
pub fn run<W: Work>(
    session: &Arc<Session>,
    activity: &Activity,
    request: &Request,
    work: &mut W,
) -> Result<Effort, W::Error> {
    let settings = &session.settings;
    let memory = match settings.flag("eval-cache") {
        true => Memory::open(&settings.places.cache, settings.around.user, GRAIN),
        false => None,
    };
    match memory {
        Some(memory) => memory.run(session, activity, request, work),
        None => run_without(session, activity, work),
    }
}

/// Answers a question by evaluating, and keeps nothing.
///
/// # Errors
/// What evaluating or showing says.
pub fn run_without<W: Work>(session: &Arc<Session>, activity: &Activity, work: &mut W) -> Result<Effort, W::Error> {
    let world = Arc::new(SessionWorld::new(Arc::clone(session)));
    let activity = activity.with_token(activity.cancel_token().clone());
    let names = work.begin(Start { world, activity, reads: None, programs: None })?;
    let all: Vec<usize> = (0..names.len()).collect();
    Turns { work, messages: None, parts: names.len() }.take_and_show(&all)?;
    Ok(Effort { parts: names.len(), evaluated: names.len(), contents_read: 0 })
}

/// A folder of remembered evaluations.
pub struct Memory {
    folder: Arc<Folder>,
    clock: Arc<Clock>,
}

impl Memory {
    /// Opens the memory below a user's cache folder; `None` if that cannot be. `grain` is the longest time in which the
    /// clock of a file system may stand still.
    pub fn open(cache: &Path, user: u32, grain: Duration) -> Option<Self> {
        let folder = Folder::open(cache, user, Limits::default())?;
        Some(Self { folder: Arc::new(folder), clock: Arc::new(Clock::new(grain)) })
    }

    /// As the function [`run`], with this memory.
    ///
    /// # Errors
    /// What evaluating or showing says.
    pub fn run<W: Work>(
        &self,
        session: &Arc<Session>,
        activity: &Activity,
        request: &Request,
        work: &mut W,
    ) -> Result<Effort, W::Error> {
        let Some(key) = key(session, request) else { return run_without(session, activity, work) };
        let place = bytes::digest(&key);
        let record = self.folder.read(Kept::Answers, &place).and_then(|body| Record::decode(&body, &key));
        // What pure evaluation may read depends on what was copied before, by whichever part.
        let separable = request.separable && !request.options.pure && !request.options.restricted;
        let tree = tree(request);
        let asked = Asked { memory: self, session, activity, key, place, tree, separable };
        let effort = match record {
            Some(record) => asked.recall(record, work)?,
            None => asked.evaluate(work)?,
        };
        let Effort { parts, evaluated, contents_read } = effort;
        let text = format!("remembered evaluation: {evaluated} of {parts} parts evaluated");
        activity.message(Verbosity::Debug, &text);
        activity.message(Verbosity::Vomit, &format!("remembered evaluation: contents read {contents_read} times"));
        Ok(effort)
    }
}

/// The place of a tree's compiled files, which only our own binary can read.
fn tree(request: &Request) -> bytes::Digest {
    let mut binary = Vec::new();
    if let Ok(found) = std::fs::metadata(crate::options::OWN_BINARY) {
        Stamp::of(&found).put(&mut binary);
    }
    bytes::digest_of([&b"programs"[..], &binary, &request.tree])
}

/// All that a question consists of, our own binary included. `None` if that cannot be told.
fn key(session: &Session, request: &Request) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    Stamp::of(&std::fs::metadata(crate::options::OWN_BINARY).ok()?).put(&mut key);
    let place = session.place();
    key.string(format!("{:?}", (&place.store_dir, &place.real_dir, &place.state_dir)).as_bytes());
    key.push(u8::from(session.read_only()));
    key.push(u8::from(request.separable));
    key.string(format!("{:?}", request.options).as_bytes());
    request.words.iter().for_each(|word| key.string(word));
    Some(key)
}
