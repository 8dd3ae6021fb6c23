//! One remembered evaluation: its key, what it read, and for each part what that gave.
//!
//! The reads that stand first, `shared` of them, belong to every part; the others to those that name them.

use activity::Verbosity;
use store_model::StorePath;

use super::bytes::{Put as _, Take};
use super::messages::Message;
use super::seen::Seen;
use super::{Answer, Found};

/// One remembered evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Record {
    /// Everything that the question consists of.
    pub(super) key: Vec<u8>,
    /// What was read.
    pub(super) reads: Vec<Seen>,
    /// How many of these belong to every part.
    pub(super) shared: usize,
    /// The parts.
    pub(super) parts: Vec<Part>,
    /// What was said meanwhile.
    pub(super) messages: Vec<Message>,
    /// Whether parts may be evaluated without the others.
    pub(super) separable: bool,
    /// Whether all answers were shown at the end.
    pub(super) at_end: bool,
}

/// One part of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Part {
    /// Its name.
    pub(super) name: String,
    /// Which reads, beside the shared ones, it depends on.
    pub(super) reads: Vec<u32>,
    /// Parts that must be evaluated together with it.
    pub(super) linked: Vec<u32>,
    /// Store paths that must be valid for the answer to be of use.
    pub(super) needs: Vec<StorePath>,
    /// What it gave.
    pub(super) answer: Answer,
}

impl Record {
    /// Its bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.string(&self.key);
        out.push(u8::from(self.separable));
        out.push(u8::from(self.at_end));
        out.number(self.reads.len() as u64);
        self.reads.iter().for_each(|seen| seen.put(&mut out));
        out.number(self.shared as u64);
        out.number(self.messages.len() as u64);
        for message in &self.messages {
            out.number(message.turn as u64);
            out.push(message.level as u8);
            out.string(message.text.as_bytes());
        }
        out.number(self.parts.len() as u64);
        self.parts.iter().for_each(|part| part.put(&mut out));
        out
    }

    /// Reads it, if it is the one with this key.
    pub(super) fn decode(body: &[u8], key: &[u8]) -> Option<Self> {
        let mut take = Take(body);
        if take.string()? != key {
            return None;
        }
        let separable = take.byte()? == 1;
        let at_end = take.byte()? == 1;
        let reads = take.many(Seen::take)?;
        let shared = usize::try_from(take.number()?).ok().filter(|shared| *shared <= reads.len())?;
        let messages = take.many(|take| {
            let turn = usize::try_from(take.number()?).ok()?;
            let level = Verbosity::from_number(u64::from(take.byte()?));
            Some(Message { turn, level, text: take.text()? })
        })?;
        let parts = take.many(Part::take)?;
        let fits = parts.iter().all(|part| {
            part.reads.iter().all(|read| (*read as usize) < reads.len())
                && part.linked.iter().all(|other| (*other as usize) < parts.len())
        });
        (fits && take.0.is_empty()).then_some(Self {
            key: key.to_vec(),
            reads,
            shared,
            parts,
            messages,
            separable,
            at_end,
        })
    }
}

impl Part {
    fn put(&self, out: &mut Vec<u8>) {
        out.string(self.name.as_bytes());
        // Rising numbers as steps.
        out.number(self.reads.len() as u64);
        let mut last = 0;
        for read in &self.reads {
            out.number(u64::from(read.wrapping_sub(last)));
            last = *read;
        }
        out.number(self.linked.len() as u64);
        self.linked.iter().for_each(|part| out.number(u64::from(*part)));
        out.number(self.needs.len() as u64);
        self.needs.iter().for_each(|path| out.string(path.as_str().as_bytes()));
        match &self.answer {
            Answer::Text(text) => {
                out.push(0);
                out.string(text);
            }
            Answer::Derivations(found) => {
                out.push(1);
                out.number(found.len() as u64);
                for one in found {
                    out.string(one.drv_path.as_str().as_bytes());
                    out.string(one.output_name.as_bytes());
                    out.number(one.outputs.len() as u64);
                    one.outputs.iter().for_each(|name| out.string(name.as_bytes()));
                    out.push(u8::from(one.main_program.is_some()));
                    out.string(one.main_program.as_deref().unwrap_or_default().as_bytes());
                }
            }
        }
    }

    fn take(take: &mut Take<'_>) -> Option<Self> {
        let name = take.text()?;
        let mut last = 0u32;
        let reads = take.many(|take| {
            last = last.checked_add(u32::try_from(take.number()?).ok()?)?;
            Some(last)
        })?;
        let linked = take.many(|take| u32::try_from(take.number()?).ok())?;
        let needs = take.many(Take::store_path)?;
        let answer = match take.byte()? {
            0 => Answer::Text(take.string()?.to_vec()),
            1 => Answer::Derivations(take.many(|take| {
                let (drv_path, output_name) = (take.store_path()?, take.text()?);
                let outputs = take.many(Take::text)?;
                let has_program = take.byte()? == 1;
                let main_program = Some(take.text()?).filter(|_| has_program);
                Some(Found { drv_path, output_name, outputs, main_program })
            })?),
            _ => return None,
        };
        Some(Self { name, reads, linked, needs, answer })
    }
}

#[cfg(test)]
mod tests {
    use super::super::seen::{Asked, Contents, Copied};
    use super::super::stamp::Stamp;
    use super::*;
    use evaluator::PathType;
    use store_model::ContentAddressMethod;

    fn record() -> Record {
        let path = StorePath::parse("00000000000000000000000000000000-a.drv").unwrap();
        let stamp = Some(Stamp::of(&std::fs::metadata("/").unwrap()));
        let copied = Copied {
            path: b"/s".to_vec(),
            name: "s".to_owned(),
            method: ContentAddressMethod::NixArchive,
            refused: Some(vec![b"x".to_vec()]),
            shape: [3; 32],
            stamps: Some([4; 32]),
            result: path.clone(),
        };
        let reads = vec![
            Seen::Kind(b"/a".to_vec(), Some(PathType::Symlink)),
            Seen::Kind(b"/b".to_vec(), None),
            Seen::File(b"/c".to_vec(), Contents { digest: [1; 32], stamp }),
            Seen::Listing(b"/d".to_vec(), Contents { digest: [2; 32], stamp: None }),
            Seen::Link(b"/e".to_vec(), [5; 32]),
            Seen::Failed(Asked::Listing, b"/f".to_vec()),
            Seen::Variable(b"V".to_vec(), Some([6; 32])),
            Seen::Copy(Box::new(copied)),
            Seen::Valid(path.clone()),
        ];
        let found = Found {
            drv_path: path.clone(),
            output_name: "out".to_owned(),
            outputs: vec!["dev".to_owned()],
            main_program: Some("a".to_owned()),
        };
        let part = |name: &str, answer| Part {
            name: name.to_owned(),
            reads: vec![3, 4, 8],
            linked: vec![1],
            needs: vec![path.clone()],
            answer,
        };
        let message = Message { turn: 1, level: Verbosity::Warn, text: "trace: x".to_owned() };
        Record {
            key: b"key".to_vec(),
            reads,
            shared: 2,
            parts: vec![part("a", Answer::Text(b"1\n".to_vec())), part("b", Answer::Derivations(vec![found]))],
            messages: vec![message],
            separable: true,
            at_end: false,
        }
    }

    #[test]
    fn records_read_back_and_belong_to_their_key() {
        let record = record();
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes, b"key"), Some(record));
        assert_eq!(Record::decode(&bytes, b"other"), None);
    }

    #[test]
    fn broken_records_are_no_records() {
        let bytes = record().encode();
        for at in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..at], b"key"), None);
            for change in [1, 0x80, 0xff] {
                let mut broken = bytes.clone();
                broken[at] ^= change;
                // Whatever it is taken for, nothing in it points outside.
                if let Some(read) = Record::decode(&broken, b"key") {
                    let inside = |reads: &[u32]| reads.iter().all(|read| (*read as usize) < bytes.len());
                    assert!(read.parts.iter().all(|part| inside(&part.reads) && inside(&part.linked)));
                }
            }
        }
    }
}
