//! A question on its way: from memory where that holds, else by evaluating what does not.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use activity::Activity;
use evaluator::{Evaluator, ProgramCache};
use store::{Store as _, TemporaryRoots as _};
use store_model::StorePath;

use super::bytes::Digest;
use super::check::{Checker, Verdict};
use super::folder::Kept;
use super::messages::{Message, Messages};
use super::pack::Pack;
use super::record::{Part, Record};
use super::recorder::{Recorder, Recording};
use super::seen::Seen;
use super::turns::{Fresh, Links, Turns};
use super::{Answer, Effort, Memory, Start, Work};
use crate::session::Session;
use crate::world::SessionWorld;

/// A question on its way.
pub(super) struct Asked<'a> {
    /// What is remembered.
    pub(super) memory: &'a Memory,
    /// Whose store and settings.
    pub(super) session: &'a Arc<Session>,
    /// Where messages go.
    pub(super) activity: &'a Activity,
    /// All that the question consists of.
    pub(super) key: Vec<u8>,
    /// Its digest.
    pub(super) place: Digest,
    /// The place of the tree's compiled files.
    pub(super) tree: Digest,
    /// Whether parts may be evaluated alone.
    pub(super) separable: bool,
}

/// What a record is still good for.
struct Standing {
    stale: Vec<bool>,
    restamped: bool,
    contents_read: u64,
}

/// An evaluation that has begun.
struct Begun {
    recorder: Arc<Recorder>,
    messages: Arc<Messages>,
    pack: Arc<Pack>,
    names: Vec<String>,
    /// How many questions belong to all parts.
    shared: usize,
    apart: bool,
}

impl Asked<'_> {
    /// Answers from a record, as far as it holds.
    pub(super) fn recall<W: Work>(&self, mut record: Record, work: &mut W) -> Result<Effort, W::Error> {
        let Standing { stale, restamped, contents_read } = self.standing(&mut record);
        if stale.contains(&true) {
            let some = match record.separable && stale.contains(&false) {
                true => self.evaluate_some(work, record, &stale)?,
                false => None,
            };
            let mut effort = match some {
                Some(effort) => effort,
                None => self.evaluate(work)?,
            };
            effort.contents_read += contents_read;
            return Ok(effort);
        }
        if restamped {
            self.keep(&record);
        }
        let parts = record.parts.len();
        self.show(work, record)?;
        Ok(Effort { parts, evaluated: 0, contents_read })
    }

    /// Tells a record's messages and shows its answers, in the order in which they came.
    fn show<W: Work>(&self, work: &mut W, record: Record) -> Result<(), W::Error> {
        let mut messages = record.messages.into_iter().peekable();
        for (part, one) in record.parts.into_iter().enumerate() {
            while let Some(message) = messages.next_if(|message| record.at_end || message.turn <= part + 1) {
                self.activity.message(message.level, &message.text);
            }
            work.show(part, one.answer)?;
        }
        messages.for_each(|message| self.activity.message(message.level, &message.text));
        Ok(())
    }

    /// Asks again what a record's evaluation asked; renews its stamps.
    fn standing(&self, record: &mut Record) -> Standing {
        let world = SessionWorld::new(Arc::clone(self.session));
        let (activity, clock) = (self.activity, &*self.memory.clock);
        let checker = Checker { activity, world: &world, clock, contents_read: Cell::new(0) };
        let mut changed = vec![false; record.reads.len()];
        let mut restamped = false;
        let mut all_stale = false;
        for (at, seen) in record.reads.iter_mut().enumerate() {
            // Who wants the end is heard by the evaluation that begins then.
            if activity.check().is_err() {
                all_stale = true;
                break;
            }
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

    /// Begins to evaluate; with `held` messages are only kept.
    fn begin<W: Work>(&self, work: &mut W, held: bool) -> Result<Begun, W::Error> {
        let plain = self.activity.with_token(self.activity.cancel_token().clone());
        let (clock, folder) = (Arc::clone(&self.memory.clock), Arc::clone(&self.memory.folder));
        let recorder = Arc::new(Recorder::new(self.session, plain, clock, folder));
        let messages = Arc::new(Messages::new(self.activity.reporter()));
        if held {
            messages.hold();
        }
        let reporter = Arc::clone(&messages);
        let activity = self.activity.redirected(reporter);
        let reads = Some(Arc::clone(recorder.log()));
        let pack = Arc::new(Pack::open(&self.memory.folder, self.tree));
        let programs: Option<Arc<dyn ProgramCache>> = Some(pack.clone());
        let names = work.begin(Start { world: recorder.clone(), activity, reads, programs });
        // Files that could be compiled are kept even if the evaluation fails.
        let names = names.inspect_err(|_| pack.save())?;
        let apart = self.separable && names.len() > 1;
        if apart && let Some(evaluator) = work.evaluator() {
            Evaluator::begin_parts(evaluator);
        }
        let shared = recorder.questions();
        Ok(Begun { recorder, messages, pack, names, shared, apart })
    }

    /// Answers by evaluating everything.
    pub(super) fn evaluate<W: Work>(&self, work: &mut W) -> Result<Effort, W::Error> {
        let begun = self.begin(work, false)?;
        let parts = begun.names.len();
        let all: Vec<usize> = (0..parts).collect();
        let messages = Some(&*begun.messages);
        let taken = Turns { work, messages, parts }.take_and_show(&all);
        begun.pack.save();
        let (fresh, links) = taken?;
        let effort = Effort { parts, evaluated: parts, contents_read: begun.recorder.contents_read() };
        let messages = begun.messages.take();
        let at_end = work.passes() > 1;
        if let Some(record) = self.record(begun, (fresh, links), (Vec::new(), Vec::new()), messages, at_end) {
            self.keep(&record);
        }
        Ok(effort)
    }

    /// Answers by evaluating the stale parts of a record alone. `None` if that cannot be done, or not without doubt that
    /// all parts together would give the same; then nothing was told or shown.
    fn evaluate_some<W: Work>(&self, work: &mut W, old: Record, stale: &[bool]) -> Result<Option<Effort>, W::Error> {
        // A failure is told as evaluating everything tells it.
        let Ok(begun) = self.begin(work, true) else { return Ok(None) };
        let parts = begun.names.len();
        let at_end = work.passes() > 1;
        if !old.parts.iter().map(|part| &part.name).eq(&begun.names) || at_end != old.at_end {
            return Ok(None);
        }
        let chosen: Vec<usize> = (0..parts).filter(|part| stale[*part]).collect();
        let messages = Some(&*begun.messages);
        let taken = Turns { work, messages, parts }.take(&chosen);
        begun.pack.save();
        let Ok((fresh, links)) = taken else { return Ok(None) };
        let of_stale = |message: &Message| message.turn > 0 && stale[(message.turn - 1) % parts];
        let (mut kept, told): (Vec<Message>, Vec<Message>) =
            old.messages.into_iter().filter(|message| message.turn > 0).partition(|message| !of_stale(message));
        let said = begun.messages.take();
        let parts_kept: Vec<(usize, Part)> =
            old.parts.into_iter().enumerate().filter(|(part, _)| !stale[*part]).collect();
        if meets(&fresh, &parts_kept) || !agree(&kept, &told, &said) {
            return Ok(None);
        }
        let effort = Effort { parts, evaluated: chosen.len(), contents_read: begun.recorder.contents_read() };
        kept.extend(said);
        kept.sort_by_key(|message| message.turn);
        let kept_reads = (parts_kept.clone(), old.reads);
        let fresh_parts = fresh.iter().map(|one| (one.part, one.answer.clone()));
        let mut answers: Vec<(usize, Answer)> =
            fresh_parts.chain(parts_kept.into_iter().map(|(part, one)| (part, one.answer))).collect();
        answers.sort_by_key(|(part, _)| *part);
        let record = self.record(begun, (fresh, links), kept_reads, kept.clone(), at_end);
        let part = |(_, answer)| Part { answer, ..Part::default() };
        let parts = answers.into_iter().map(part).collect();
        self.show(work, Record { messages: kept, parts, at_end, ..Record::default() })?;
        if let Some(record) = record {
            self.keep(&record);
        }
        Ok(Some(effort))
    }

    /// The record of an evaluation, of which some parts may be `kept` from an older one with these reads. `None` if it must
    /// not be remembered.
    fn record(
        &self,
        begun: Begun,
        (fresh, links): (Vec<Fresh>, Links),
        (kept, old_reads): (Vec<(usize, Part)>, Vec<Seen>),
        messages: Vec<Message>,
        at_end: bool,
    ) -> Option<Record> {
        let Begun { recorder, names, shared, apart, .. } = begun;
        let mut recording = recorder.take();
        let uppermost = if self.session.read_only() { Vec::new() } else { recording.uppermost() };
        let own = |mut reads: Vec<u32>| {
            reads.retain(|read| *read as usize >= shared);
            reads.sort_unstable();
            reads.dedup();
            reads
        };
        let mut parts: Vec<(usize, Part)> = Vec::new();
        for one in fresh {
            let needs = match &one.answer {
                _ if self.session.read_only() => Vec::new(),
                Answer::Text(_) => uppermost.clone(),
                Answer::Derivations(found) => found.iter().map(|one| one.drv_path.clone()).collect(),
            };
            let linked = links.get(&one.part).cloned().unwrap_or_default();
            let (name, reads) = (names[one.part].clone(), own(one.reads));
            parts.push((one.part, Part { name, reads, linked, needs, answer: one.answer }));
        }
        let mut numbers: HashMap<u32, u32> = HashMap::new();
        for (at, part) in kept {
            let mut number = |read: u32| number_of(&mut recording, &mut numbers, &old_reads, read);
            let reads = own(part.reads.iter().map(|read| number(*read)).collect());
            parts.push((at, Part { reads, ..part }));
        }
        if recording.spoiled {
            return None;
        }
        parts.sort_by_key(|(at, _)| *at);
        let parts = parts.into_iter().map(|(_, part)| part).collect();
        let shared = if apart { shared } else { recording.reads.len() };
        let (key, reads) = (self.key.clone(), recording.reads);
        Some(Record { key, reads, shared, parts, messages, separable: apart, at_end })
    }

    fn keep(&self, record: &Record) {
        self.memory.folder.write(Kept::Answers, &self.place, &record.encode());
    }
}

/// The number that an old read has now.
fn number_of(recording: &mut Recording, numbers: &mut HashMap<u32, u32>, old: &[Seen], read: u32) -> u32 {
    *numbers.entry(read).or_insert_with(|| recording.add(old[read as usize].clone()))
}

/// Whether a derivation of a fresh part is one of a part that was not evaluated: whether it is the same value, to be
/// counted once, only an evaluation of both can tell.
fn meets(fresh: &[Fresh], kept: &[(usize, Part)]) -> bool {
    let paths = |answer: &Answer| match answer {
        Answer::Derivations(found) => found.iter().map(|one| one.drv_path.clone()).collect(),
        Answer::Text(_) => Vec::new(),
    };
    let known: HashSet<StorePath> = kept.iter().flat_map(|(_, part)| paths(&part.answer)).collect();
    fresh.iter().any(|one| !one.identities.is_empty() && paths(&one.answer).iter().any(|path| known.contains(path)))
}

/// Whether messages stay where they were: a value speaks in the part that meets it first. So what the stale parts `told`
/// they must have `said` again, else it would now come from a later part; and nothing of what they said may be among
/// the messages `kept`, else it would come from one part only.
fn agree(kept: &[Message], told: &[Message], said: &[Message]) -> bool {
    let texts = |messages: &[Message]| -> HashSet<String> {
        messages.iter().filter(|message| message.turn > 0).map(|message| message.text.clone()).collect()
    };
    let (kept, told, said) = (texts(kept), texts(told), texts(said));
    told.is_subset(&said) && said.is_disjoint(&kept)
}
