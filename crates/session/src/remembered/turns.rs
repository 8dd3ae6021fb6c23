//! Giving the parts of a question their turns, and telling which of them go together.

use std::collections::HashMap;

use evaluator::Evaluator;

use super::messages::Messages;
use super::{Answer, Work};

/// A part that was evaluated now.
pub(super) struct Fresh {
    /// Its number.
    pub(super) part: usize,
    /// What it read.
    pub(super) reads: Vec<u32>,
    /// See [`Step::identities`](super::Step::identities).
    pub(super) identities: Vec<u64>,
    /// What it gave.
    pub(super) answer: Answer,
}

/// For each part those that it shares values with.
pub(super) type Links = HashMap<usize, Vec<u32>>;

/// Gives parts their turns.
pub(super) struct Turns<'a, W> {
    /// What is done.
    pub(super) work: &'a mut W,
    /// Is told whose turn it is.
    pub(super) messages: Option<&'a Messages>,
    /// How many parts there are.
    pub(super) parts: usize,
}

impl<W: Work> Turns<'_, W> {
    /// All passes over some parts, their answers shown: as they come where there is one pass, else at the end.
    pub(super) fn take_and_show(&mut self, parts: &[usize]) -> Result<(Vec<Fresh>, Links), W::Error> {
        let at_once = self.work.passes() == 1;
        let mut fresh = self.turns(parts, at_once)?;
        let links = link(&mut fresh);
        if !at_once {
            for one in &fresh {
                self.work.show(one.part, one.answer.clone())?;
            }
        }
        Ok((fresh, links))
    }

    /// All passes over some parts; nothing is shown.
    pub(super) fn take(&mut self, parts: &[usize]) -> Result<(Vec<Fresh>, Links), W::Error> {
        let mut fresh = self.turns(parts, false)?;
        let links = link(&mut fresh);
        Ok((fresh, links))
    }

    fn turns(&mut self, parts: &[usize], show: bool) -> Result<Vec<Fresh>, W::Error> {
        let mut reads: Vec<Vec<u32>> = vec![Vec::new(); parts.len()];
        let mut fresh = Vec::new();
        for pass in 0..self.work.passes() {
            for (at, part) in parts.iter().enumerate() {
                if let Some(messages) = self.messages {
                    messages.enter(1 + pass * self.parts + part);
                }
                let mark = self.work.evaluator().map(Evaluator::begin_part);
                let step = self.work.step(pass, *part)?;
                if let (Some(mark), Some(evaluator)) = (mark, self.work.evaluator()) {
                    reads[at].extend(evaluator.end_part(mark));
                }
                let Some(answer) = step.answer else { continue };
                if show {
                    self.work.show(*part, answer.clone())?;
                }
                let reads = std::mem::take(&mut reads[at]);
                fresh.push(Fresh { part: *part, reads, identities: step.identities, answer });
            }
        }
        Ok(fresh)
    }
}

/// Leaves a value that several parts met to the first of them.
fn link(fresh: &mut [Fresh]) -> Links {
    let mut first: HashMap<u64, usize> = HashMap::new();
    let mut links = Links::new();
    for one in fresh {
        let identities = &one.identities;
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
