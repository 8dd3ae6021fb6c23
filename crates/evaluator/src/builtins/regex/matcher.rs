//! Runs a compiled pattern over a text in libstdc++'s order.
//!
//! Backtracking with a stack of its own, so long texts cost memory, never native stack. A repetition tries once more
//! first and stops there if that led to a match; both sides of a `|` are always tried, and the longer match counts. That
//! is neither POSIX nor Perl, and the groups it yields are visible. Where only one match can count (the whole text is
//! asked for, the match reaches the end, the pattern has no `|`) the first one found ends the search.
//!
//! Steps and stack are limited: a pattern that would take for ever is refused.

use super::pattern::{Instruction, Pattern};

/// Where a group matched; `None` for a group that took no part.
pub(crate) type Group = Option<(usize, usize)>;

/// A match that cannot be decided within the limits, or a caller who wants to stop.
#[derive(Debug)]
pub(crate) enum Stopped<E> {
    /// Too many steps or too much memory.
    Limit,
    /// What the poll said.
    Poll(E),
}

/// The most steps of one attempt.
const MOST_STEPS: u64 = 1_000_000_000;
/// The most things to try again that are remembered at a time.
const MOST_FRAMES: usize = 1 << 24;
/// The poll is asked every so many steps.
pub(crate) const POLL: u64 = 1 << 12;

#[derive(Clone, Copy)]
struct Slot {
    start: usize,
    end: usize,
    matched: bool,
}

#[derive(Clone, Copy)]
struct Guard {
    count: u32,
    at: usize,
}

/// What to do on the way back.
#[derive(Clone, Copy)]
enum Frame {
    /// Forget a group's start.
    Start { group: u32, old: usize },
    /// Forget a group's end.
    End { group: u32, old: usize, matched: bool },
    /// Take a byte less, down to `least`.
    Span { next: u32, least: usize, at: usize },
    /// Leave a repetition, unless a match was found in it.
    Out { next: u32, at: usize },
    /// The right side of a `|`.
    Second { next: u32, at: usize },
    /// After both sides: whether the left one matched.
    Joined(bool),
    /// Restore a repeat counter.
    Count { guard: u32, old: Guard },
}

/// How an attempt is made.
#[derive(Clone, Copy)]
pub(crate) struct Attempt {
    /// Where it begins.
    pub(crate) start: usize,
    /// It must reach the end of the text.
    pub(crate) whole: bool,
    /// It must not be empty.
    pub(crate) not_empty: bool,
    /// `start` is not the beginning of the text, for `^`.
    pub(crate) inside: bool,
}

/// A pattern at work on one text.
pub(crate) struct Matcher<'p, 't> {
    pattern: &'p Pattern,
    text: &'t [u8],
    slots: Vec<Slot>,
    best: Vec<Slot>,
    /// The end of the best match so far.
    best_end: Option<usize>,
    guards: Vec<Guard>,
    frames: Vec<Frame>,
    found: bool,
    steps: u64,
}

impl<'p, 't> Matcher<'p, 't> {
    pub(crate) fn new(pattern: &'p Pattern, text: &'t [u8]) -> Matcher<'p, 't> {
        Matcher {
            pattern,
            text,
            slots: Vec::new(),
            best: Vec::new(),
            best_end: None,
            guards: Vec::new(),
            frames: Vec::new(),
            found: false,
            steps: 0,
        }
    }

    /// The groups of the match found last.
    pub(crate) fn groups(&self) -> impl ExactSizeIterator<Item = Group> + '_ {
        self.best.iter().map(|slot| slot.matched.then_some((slot.start, slot.end)))
    }

    /// Whether the text ends here.
    pub(crate) fn at_end(&self, at: usize) -> bool {
        at >= self.text.len()
    }

    /// Matches the whole text.
    pub(crate) fn whole<E>(&mut self, poll: &mut dyn FnMut() -> Result<(), E>) -> Result<bool, Stopped<E>> {
        let attempt = Attempt { start: 0, whole: true, not_empty: false, inside: false };
        Ok(self.attempt(attempt, poll)?.is_some())
    }

    /// Finds the first match that begins at or after `start`: where it begins and ends.
    pub(crate) fn search<E>(
        &mut self,
        start: usize,
        mut inside: bool,
        poll: &mut dyn FnMut() -> Result<(), E>,
    ) -> Result<Group, Stopped<E>> {
        let mut at = start;
        loop {
            if let Some(first) = &self.pattern.first {
                match self.text[at..].iter().position(|byte| first.has(*byte)) {
                    Some(0) => {}
                    Some(skipped) => {
                        at += skipped;
                        inside = true;
                    }
                    None => return Ok(None),
                }
            }
            let attempt = Attempt { start: at, whole: false, not_empty: false, inside };
            if let Some(end) = self.attempt(attempt, poll)? {
                return Ok(Some((at, end)));
            }
            if at >= self.text.len() {
                return Ok(None);
            }
            at += 1;
            inside = true;
        }
    }

    /// Tries one place: the end of the match.
    pub(crate) fn attempt<E>(
        &mut self,
        attempt: Attempt,
        poll: &mut dyn FnMut() -> Result<(), E>,
    ) -> Result<Option<usize>, Stopped<E>> {
        self.slots.clear();
        self.slots.resize(self.pattern.groups as usize, Slot { start: 0, end: 0, matched: false });
        self.guards.clear();
        self.guards.resize(self.pattern.guards as usize, Guard { count: 0, at: 0 });
        self.frames.clear();
        self.best_end = None;
        self.found = false;
        let (mut pc, mut at) = (0, attempt.start);
        loop {
            if !self.run(attempt, pc, at, poll)? {
                return Ok(self.best_end);
            }
            match self.back() {
                Some(next) => (pc, at) = next,
                None => return Ok(self.best_end),
            }
        }
    }

    #[inline(always)]
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    /// Goes forward until a step fails or a match is found; false if nothing else can matter.
    fn run<E>(
        &mut self,
        attempt: Attempt,
        mut pc: u32,
        mut at: usize,
        poll: &mut dyn FnMut() -> Result<(), E>,
    ) -> Result<bool, Stopped<E>> {
        let pattern = self.pattern;
        loop {
            self.steps += 1;
            if self.steps.is_multiple_of(POLL) {
                poll().map_err(Stopped::Poll)?;
                if self.steps > MOST_STEPS || self.frames.len() > MOST_FRAMES {
                    return Err(Stopped::Limit);
                }
            }
            match pattern.instructions[pc as usize] {
                Instruction::Byte(byte) => {
                    if self.byte(at) != Some(byte) {
                        return Ok(true);
                    }
                    at += 1;
                    pc += 1;
                }
                Instruction::Set(set) => {
                    if !self.byte(at).is_some_and(|byte| pattern.sets[set as usize].has(byte)) {
                        return Ok(true);
                    }
                    at += 1;
                    pc += 1;
                }
                Instruction::Span { set, least, most } => {
                    let set = &pattern.sets[set as usize];
                    let room = &self.text[at..];
                    let room = &room[..room.len().min(most as usize)];
                    let taken = room.iter().position(|byte| !set.has(*byte)).unwrap_or(room.len());
                    if taken < least as usize {
                        return Ok(true);
                    }
                    pc += 1;
                    if taken > least as usize {
                        self.frames.push(Frame::Span { next: pc, least: at + least as usize, at: at + taken });
                    }
                    at += taken;
                }
                Instruction::GroupStart(group) => {
                    let slot = &mut self.slots[group as usize];
                    self.frames.push(Frame::Start { group, old: slot.start });
                    slot.start = at;
                    pc += 1;
                }
                Instruction::GroupEnd(group) => {
                    let slot = &mut self.slots[group as usize];
                    self.frames.push(Frame::End { group, old: slot.end, matched: slot.matched });
                    (slot.end, slot.matched) = (at, true);
                    pc += 1;
                }
                Instruction::Begin => {
                    if at != attempt.start || attempt.inside {
                        return Ok(true);
                    }
                    pc += 1;
                }
                Instruction::End => {
                    if at != self.text.len() {
                        return Ok(true);
                    }
                    pc += 1;
                }
                Instruction::Repeat { more, out, guard } => {
                    self.frames.push(Frame::Out { next: out, at });
                    if let Some(guard) = guard
                        && !self.count(guard, at)
                    {
                        return Ok(true);
                    }
                    pc = more;
                }
                Instruction::Alternative { first, second } => {
                    self.frames.push(Frame::Second { next: second, at });
                    pc = first;
                }
                Instruction::Jump(target) => pc = target,
                Instruction::Accept => return Ok(!self.accept(attempt, at)),
            }
        }
    }

    /// Counts one more round of a body that may be empty; false if there were two at this place.
    fn count(&mut self, guard: u32, at: usize) -> bool {
        let entry = &mut self.guards[guard as usize];
        let old = *entry;
        if old.count == 0 || old.at != at {
            *entry = Guard { count: 1, at };
        } else if old.count < 2 {
            entry.count += 1;
        } else {
            return false;
        }
        self.frames.push(Frame::Count { guard, old });
        true
    }

    /// A match ends here; true if no other can count.
    fn accept(&mut self, attempt: Attempt, at: usize) -> bool {
        if (attempt.whole && at != self.text.len()) || (attempt.not_empty && at == attempt.start) {
            return false;
        }
        self.found = true;
        if self.best_end.is_none_or(|best| best < at) {
            self.best_end = Some(at);
            self.best.clear();
            self.best.extend_from_slice(&self.slots);
        }
        attempt.whole || at == self.text.len() || !self.pattern.alternatives
    }

    /// Goes back to the last place where there is something else to try.
    fn back(&mut self) -> Option<(u32, usize)> {
        loop {
            match self.frames.pop()? {
                Frame::Start { group, old } => self.slots[group as usize].start = old,
                Frame::End { group, old, matched } => {
                    let slot = &mut self.slots[group as usize];
                    (slot.end, slot.matched) = (old, matched);
                }
                Frame::Span { next, least, at } => {
                    if self.found {
                        continue;
                    }
                    let mut at = at - 1;
                    // Only places where the next byte fits are worth a try.
                    if let Instruction::Byte(byte) = self.pattern.instructions[next as usize] {
                        while at > least && self.text[at] != byte {
                            at -= 1;
                        }
                        self.steps += 1;
                    }
                    if at > least {
                        self.frames.push(Frame::Span { next, least, at });
                    }
                    return Some((next, at));
                }
                Frame::Out { next, at } => {
                    if !self.found {
                        return Some((next, at));
                    }
                }
                Frame::Second { next, at } => {
                    self.frames.push(Frame::Joined(self.found));
                    self.found = false;
                    return Some((next, at));
                }
                Frame::Joined(found) => self.found |= found,
                Frame::Count { guard, old } => self.guards[guard as usize] = old,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::PatternError;
    use super::*;

    fn whole(pattern: &str, text: &str) -> Option<Vec<Option<String>>> {
        let pattern = Pattern::compile(pattern.as_bytes()).expect("a good pattern");
        let mut matcher = Matcher::new(&pattern, text.as_bytes());
        let mut poll = || Ok::<(), ()>(());
        let matched = matcher.whole(&mut poll).expect("within the limits");
        matched.then(|| matcher.groups().map(|group| group.map(|(a, b)| text[a..b].to_string())).collect())
    }

    fn groups(expected: &[Option<&str>]) -> Option<Vec<Option<String>>> {
        Some(expected.iter().map(|group| group.map(str::to_string)).collect())
    }

    /// Answers of C++ Nix 2.34.8.
    #[test]
    fn groups_are_those_of_the_order_tried() {
        assert_eq!(whole("(a|ab)(c|bcd)(d*)", "abcd"), groups(&[Some("a"), Some("bcd"), Some("")]));
        assert_eq!(whole("(a*)+", "aa"), groups(&[Some("")]));
        assert_eq!(whole("(a)|b", "b"), groups(&[None]));
        assert_eq!(whole(".", "é"), None);
        assert_eq!(whole("[[:space:]]+([[:upper:]]+)[[:space:]]+", "  FOO   "), groups(&[Some("FOO")]));
        assert_eq!(whole("(.*)\\.nix", "a.b.nix"), groups(&[Some("a.b")]));
        assert_eq!(whole("[[.tilde.][.DEL.]]+", "~\u{7f}"), groups(&[]));
        assert_eq!(whole("a{2,3}", "aaaa"), None);
        assert_eq!(whole("(ab){2,}", "ababab"), groups(&[Some("ab")]));
    }

    #[test]
    fn searching_takes_the_longest_at_the_first_place() {
        let pattern = Pattern::compile(b"a|ab").expect("a good pattern");
        let mut matcher = Matcher::new(&pattern, b"xabx");
        let found = matcher.search(0, false, &mut || Ok::<(), ()>(())).expect("within the limits");
        assert_eq!(found, Some((1, 3)));
    }

    #[test]
    fn bad_patterns_are_refused() {
        for pattern in ["\\d", "\\<", "(?:a)", "[[:foo:]]", "*", "a|*", "(", ")", "a{", "a{2,1}", "[z-a]", "[a", "\\"] {
            assert!(Pattern::compile(pattern.as_bytes()).is_err(), "{pattern}");
        }
        assert!(Pattern::compile(b"[[.hyphen.]]").is_ok());
        assert!(Pattern::compile("(".repeat(100_000).as_bytes()).is_err());
        assert!(Pattern::compile("a{1000}".repeat(90).as_bytes()).is_ok());
        for (good, bad) in [
            ("a{99993}", "a{99994}"),
            ("a{0,49996}", "a{0,49997}"),
            ("(ab){19997}", "(ab){19998}"),
            ("(a|b){12498}", "(a|b){12499}"),
        ] {
            assert!(Pattern::compile(good.as_bytes()).is_ok(), "{good}");
            assert_eq!(Pattern::compile(bad.as_bytes()).err(), Some(PatternError::TooLarge), "{bad}");
        }
    }

    #[test]
    fn long_texts_need_no_native_stack() {
        let text = "ab".repeat(100_000);
        assert_eq!(whole("(a|b)*c", &text), None);
        assert_eq!(whole("(a|b)*", &text), groups(&[Some("b")]));
    }
}
