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

mod bytes;
mod check;
mod folder;
mod messages;
mod record;
mod recorder;
mod seen;
mod stamp;
mod tree;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use activity::{Activity, Verbosity};
use evaluator::{EvalOptions, Evaluator, ReadLog, World};
use store::{Store as _, TemporaryRoots as _};
use store_model::StorePath;

use crate::session::Session;
use crate::world::SessionWorld;
use bytes::Put as _;
use check::{Checker, Verdict};
use folder::{Folder, Kept, Limits};
use messages::Messages;
use record::{Part, Record};
use recorder::{Recorder, Recording};
use seen::Seen;
use stamp::{Clock, Stamp};

/// Local file systems count time in steps of at most 10 ms; clocks that are corrected jump by less than the rest.
const GRAIN: Duration = Duration::from_millis(100);

/// What is asked: all that decides the answer, beside what evaluation reads.
#[derive(Clone, Debug)]
pub struct Request {
    /// The command, its arguments, the working directory: anything, as long as other questions have other words.
    pub words: Vec<Vec<u8>>,
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
}

impl Start {
    /// An evaluator over this start.
    pub fn evaluator(self, options: EvalOptions) -> Evaluator {
        let mut evaluator = Evaluator::new(self.world, options, self.activity);
        if let Some(reads) = self.reads {
            evaluator.follow_reads(reads);
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
    let names = work.begin(Start { world, activity, reads: None })?;
    let all: Vec<usize> = (0..names.len()).collect();
    let mut turns = Turns { work, messages: None, shown: true };
    let fresh = turns.take(&all)?;
    turns.show_rest(fresh)?;
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
        let asked = Asked { memory: self, session, activity, key, place, separable };
        let effort = match record {
            Some(record) => asked.recall(record, work)?,
            None => asked.evaluate(work, None, 0)?,
        };
        let Effort { parts, evaluated, contents_read } = effort;
        let text = format!(
            "remembered evaluation: {evaluated} of {parts} parts evaluated, contents read {contents_read} times"
        );
        activity.message(Verbosity::Debug, &text);
        Ok(effort)
    }
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

/// A part that was evaluated now.
struct Fresh {
    part: usize,
    reads: Vec<u32>,
    identities: Vec<u64>,
    answer: Answer,
}

/// Gives parts their turns.
struct Turns<'a, W> {
    work: &'a mut W,
    messages: Option<&'a Messages>,
    /// Whether answers are shown as they come, where the work allows it.
    shown: bool,
}

impl<W: Work> Turns<'_, W> {
    /// All passes over some parts.
    fn take(&mut self, parts: &[usize]) -> Result<Vec<Fresh>, W::Error> {
        let passes = self.work.passes();
        let mut reads: Vec<Vec<u32>> = vec![Vec::new(); parts.len()];
        let mut fresh = Vec::new();
        for pass in 0..passes {
            for (at, part) in parts.iter().enumerate() {
                if let Some(messages) = self.messages {
                    messages.enter(if passes == 1 { part + 1 } else { 1 });
                }
                let mark = self.work.evaluator().map(Evaluator::begin_part);
                let step = self.work.step(pass, *part)?;
                if let (Some(mark), Some(evaluator)) = (mark, self.work.evaluator()) {
                    reads[at].extend(evaluator.end_part(mark));
                }
                let Some(answer) = step.answer else { continue };
                if passes == 1 && self.shown {
                    self.work.show(*part, answer.clone())?;
                }
                let reads = std::mem::take(&mut reads[at]);
                fresh.push(Fresh { part: *part, reads, identities: step.identities, answer });
            }
        }
        Ok(fresh)
    }

    /// Shows what was not shown as it came.
    fn show_rest(&mut self, mut fresh: Vec<Fresh>) -> Result<Vec<Fresh>, W::Error> {
        let _ = link(&mut fresh);
        if self.work.passes() > 1 {
            for one in &fresh {
                self.work.show(one.part, one.answer.clone())?;
            }
        }
        Ok(fresh)
    }
}

/// Leaves a value that several parts met to the first of them. Gives for each part those that it shares values with.
fn link(fresh: &mut [Fresh]) -> HashMap<usize, Vec<u32>> {
    let mut first: HashMap<u64, usize> = HashMap::new();
    let mut links: HashMap<usize, Vec<u32>> = HashMap::new();
    for one in fresh {
        let identities = std::mem::take(&mut one.identities);
        let Answer::Derivations(found) = &mut one.answer else { continue };
        let mut at = 0;
        found.retain(|_| {
            let identity = identities.get(at);
            at += 1;
            let Some(identity) = identity else { return true };
            let owner = *first.entry(*identity).or_insert(one.part);
            if owner != one.part {
                links.entry(one.part).or_default().push(owner as u32);
                links.entry(owner).or_default().push(one.part as u32);
            }
            owner == one.part
        });
    }
    links
}

/// A question on its way.
struct Asked<'a> {
    memory: &'a Memory,
    session: &'a Arc<Session>,
    activity: &'a Activity,
    key: Vec<u8>,
    place: bytes::Digest,
    separable: bool,
}

/// What a record is still good for.
struct Standing {
    stale: Vec<bool>,
    restamped: bool,
    contents_read: u64,
}

impl Asked<'_> {
    /// Answers from a record, as far as it holds.
    fn recall<W: Work>(&self, mut record: Record, work: &mut W) -> Result<Effort, W::Error> {
        let standing = self.standing(&mut record);
        let contents_read = standing.contents_read;
        if standing.stale.contains(&true) {
            let quiet = record.messages.iter().all(|message| message.part == 0);
            let some = record.separable && quiet && standing.stale.contains(&false);
            return self.evaluate(work, some.then_some((record, standing.stale)), contents_read);
        }
        if standing.restamped {
            self.keep(&record);
        }
        let effort = Effort { parts: record.parts.len(), evaluated: 0, contents_read };
        let mut messages = record.messages.into_iter().peekable();
        for (part, one) in record.parts.into_iter().enumerate() {
            while let Some(message) = messages.next_if(|message| message.part <= part + 1) {
                self.activity.message(message.level, &message.text);
            }
            work.show(part, one.answer)?;
        }
        messages.for_each(|message| self.activity.message(message.level, &message.text));
        Ok(effort)
    }

    /// Asks again what a record's evaluation asked; renews its stamps.
    fn standing(&self, record: &mut Record) -> Standing {
        let world = SessionWorld::new(Arc::clone(self.session));
        let checker = Checker { world: &world, clock: &self.memory.clock, contents_read: Cell::new(0) };
        let mut changed = vec![false; record.reads.len()];
        let mut restamped = false;
        let mut all_stale = false;
        for (at, seen) in record.reads.iter_mut().enumerate() {
            match checker.check(seen) {
                Verdict::Same => {}
                Verdict::Restamped(now) => {
                    *seen = now;
                    restamped = true;
                }
                Verdict::Changed => changed[at] = true,
            }
            if changed[at] && at < record.shared {
                all_stale = true;
                break;
            }
        }
        let contents_read = checker.contents_read.get();
        let mut stale: Vec<bool> = record.parts.iter().map(|_| all_stale).collect();
        if all_stale {
            // A question without parts is to be asked again too.
            stale.push(true);
            return Standing { stale, restamped, contents_read };
        }
        let missing = self.missing(record);
        for (at, seen) in record.reads.iter().enumerate() {
            changed[at] |= matches!(seen, Seen::Valid(path) if missing.contains(path));
        }
        let shared = changed[..record.shared].contains(&true);
        for (part, stale) in record.parts.iter().zip(&mut stale) {
            *stale = shared
                || part.reads.iter().any(|read| changed[*read as usize])
                || part.needs.iter().any(|path| missing.contains(path));
        }
        // Parts that share a value go together.
        while let Some(linked) = (0..stale.len())
            .find(|part| !stale[*part] && record.parts[*part].linked.iter().any(|other| stale[*other as usize]))
        {
            stale[linked] = true;
        }
        Standing { stale, restamped, contents_read }
    }

    /// Roots the store paths that a record names, then asks which of them are not valid.
    fn missing(&self, record: &Record) -> HashSet<StorePath> {
        let read = record.reads.iter().filter_map(|seen| match seen {
            Seen::Valid(path) => Some(path),
            _ => None,
        });
        let named: HashSet<StorePath> = record.parts.iter().flat_map(|part| &part.needs).chain(read).cloned().collect();
        if named.is_empty() {
            return named;
        }
        let paths: Vec<StorePath> = named.iter().cloned().collect();
        let Ok(store) = self.session.store(self.activity) else { return named };
        if !self.session.read_only() && store.add_temp_roots(self.activity, &paths).is_err() {
            return named;
        }
        match store.valid_paths(self.activity, &paths) {
            Ok(valid) => named.into_iter().filter(|path| !valid.contains(path)).collect(),
            Err(_) => named,
        }
    }

    /// Answers by evaluating: all parts, or those that are stale in an older record.
    fn evaluate<W: Work>(
        &self,
        work: &mut W,
        old: Option<(Record, Vec<bool>)>,
        contents_read: u64,
    ) -> Result<Effort, W::Error> {
        let plain = self.activity.with_token(self.activity.cancel_token().clone());
        let (clock, folder) = (Arc::clone(&self.memory.clock), Arc::clone(&self.memory.folder));
        let recorder = Arc::new(Recorder::new(self.session, plain, clock, folder));
        let mut messages = None;
        let activity = self.activity.redirected(|to| {
            let reporter = Arc::new(Messages::new(to));
            messages = Some(Arc::clone(&reporter));
            reporter
        });
        let messages = messages.as_deref();
        let reads = Some(Arc::clone(recorder.log()));
        let names = work.begin(Start { world: recorder.clone(), activity, reads })?;
        let apart = self.separable && names.len() > 1;
        if apart && let Some(evaluator) = work.evaluator() {
            evaluator.begin_parts();
        }
        let shared = recorder.questions();
        let old = old.filter(|(record, _)| record.parts.iter().map(|part| &part.name).eq(&names));
        let chosen: Vec<usize> =
            (0..names.len()).filter(|part| old.as_ref().is_none_or(|(_, stale)| stale[*part])).collect();
        let mut turns = Turns { work, messages, shown: old.is_none() };
        let mut fresh = turns.take(&chosen)?;
        let mut kept: Vec<(usize, Part)> = Vec::new();
        let mut old_reads = Vec::new();
        if let Some((record, stale)) = old {
            kept = record.parts.into_iter().enumerate().filter(|(part, _)| !stale[*part]).collect();
            old_reads = record.reads;
            if meets(&fresh, &kept) {
                // Whether it is the same value only an evaluation of both can tell.
                let rest: Vec<usize> = kept.drain(..).map(|(part, _)| part).collect();
                fresh.extend(turns.take(&rest)?);
                fresh.sort_by_key(|one| one.part);
            }
        }
        let evaluated = fresh.len();
        let links = link(&mut fresh);
        if !turns.shown || turns.work.passes() > 1 {
            show_all(turns.work, &fresh, &kept)?;
        }
        let effort = Effort { parts: names.len(), evaluated, contents_read: contents_read + recorder.contents_read() };
        let recording = recorder.take();
        let said = messages.map(Messages::take).unwrap_or_default();
        let gathered = Gathered { names, shared, apart, fresh, kept, old_reads, links };
        if let Some(record) = self.record(recording, gathered, said) {
            self.keep(&record);
        }
        Ok(effort)
    }

    /// The record of an evaluation; `None` if it must not be remembered.
    fn record(&self, mut recording: Recording, gathered: Gathered, messages: Vec<messages::Message>) -> Option<Record> {
        let Gathered { names, shared, apart, fresh, kept, old_reads, links } = gathered;
        let uppermost = if self.session.read_only() { Vec::new() } else { recording.uppermost() };
        let mut parts: Vec<(usize, Part)> = Vec::new();
        for one in fresh {
            let mut reads = one.reads;
            reads.retain(|read| *read as usize >= shared);
            reads.sort_unstable();
            reads.dedup();
            let needs = match &one.answer {
                _ if self.session.read_only() => Vec::new(),
                Answer::Text(_) => uppermost.clone(),
                Answer::Derivations(found) => found.iter().map(|one| one.drv_path.clone()).collect(),
            };
            let linked = links.get(&one.part).cloned().unwrap_or_default();
            parts.push((one.part, Part { name: names[one.part].clone(), reads, linked, needs, answer: one.answer }));
        }
        let mut numbers: HashMap<u32, u32> = HashMap::new();
        for (at, mut part) in kept {
            for read in &mut part.reads {
                *read = *numbers.entry(*read).or_insert_with(|| recording.add(old_reads[*read as usize].clone()));
            }
            part.reads.retain(|read| *read as usize >= shared);
            part.reads.sort_unstable();
            part.reads.dedup();
            parts.push((at, part));
        }
        if recording.spoiled {
            return None;
        }
        parts.sort_by_key(|(at, _)| *at);
        let parts = parts.into_iter().map(|(_, part)| part).collect();
        let shared = if apart { shared } else { recording.reads.len() };
        Some(Record { key: self.key.clone(), reads: recording.reads, shared, parts, messages, separable: apart })
    }

    fn keep(&self, record: &Record) {
        self.memory.folder.write(Kept::Answers, &self.place, &record.encode());
    }
}

/// What an evaluation came to.
struct Gathered {
    names: Vec<String>,
    shared: usize,
    apart: bool,
    fresh: Vec<Fresh>,
    kept: Vec<(usize, Part)>,
    old_reads: Vec<Seen>,
    links: HashMap<usize, Vec<u32>>,
}

/// Whether a derivation of a fresh part is one of a part that was not evaluated.
fn meets(fresh: &[Fresh], kept: &[(usize, Part)]) -> bool {
    let paths = |answer: &Answer| match answer {
        Answer::Derivations(found) => found.iter().map(|one| one.drv_path.clone()).collect(),
        Answer::Text(_) => Vec::new(),
    };
    let known: HashSet<StorePath> = kept.iter().flat_map(|(_, part)| paths(&part.answer)).collect();
    fresh.iter().any(|one| !one.identities.is_empty() && paths(&one.answer).iter().any(|path| known.contains(path)))
}

fn show_all<W: Work>(work: &mut W, fresh: &[Fresh], kept: &[(usize, Part)]) -> Result<(), W::Error> {
    let fresh = fresh.iter().map(|one| (one.part, &one.answer));
    let mut all: Vec<(usize, &Answer)> = fresh.chain(kept.iter().map(|(at, part)| (*at, &part.answer))).collect();
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().try_for_each(|(at, answer)| work.show(at, answer.clone()))
}
