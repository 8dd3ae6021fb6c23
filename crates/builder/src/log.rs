//! A builder's output on its way to three places: the store's log, the activity, and the tail for error messages.
//!
//! Bytes go to the log as they came. For people they are cut into lines: a carriage return begins the line anew, as on
//! a terminal. A line `@nix {json}` is a message of the builder about its phases and activities, not output.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use activity::{Activity, ActivityKind, Field, ResultKind, Verbosity};
use bzip2::Compression;
use bzip2::write::BzEncoder;
use serde_json::Value;

/// Longer lines are cut, so that a builder without line feeds does not fill memory.
const LONGEST_LINE: usize = 1 << 20;

/// Takes the output of one builder.
pub(crate) struct BuildLog<'a> {
    activity: &'a Activity,
    line: Vec<u8>,
    column: usize,
    tail: VecDeque<String>,
    keep: usize,
    children: HashMap<u64, Activity>,
    file: Option<LogFile>,
}

impl<'a> BuildLog<'a> {
    /// Lines go to `activity`, the last `keep` of them are remembered, the bytes go to `file`.
    pub(crate) fn new(activity: &'a Activity, keep: usize, file: Option<LogFile>) -> Self {
        Self { activity, line: Vec::new(), column: 0, tail: VecDeque::new(), keep, children: HashMap::new(), file }
    }

    /// Takes the next bytes. A file that cannot be written any more is given up with a warning.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.write(bytes)
        {
            self.activity.warn(&format!("cannot write the build log: {error}"));
            self.file = None;
        }
        for &byte in bytes {
            match byte {
                b'\r' => self.column = 0,
                b'\n' => self.end_line(),
                _ => {
                    if self.column < self.line.len() {
                        self.line[self.column] = byte;
                    } else {
                        self.line.push(byte);
                    }
                    self.column += 1;
                    if self.column >= LONGEST_LINE {
                        self.end_line();
                    }
                }
            }
        }
    }

    /// Ends the last line and the file; answers the tail.
    pub(crate) fn finish(self) -> Vec<String> {
        let activity = self.activity;
        let (tail, file) = self.end();
        file.into_iter().for_each(|file| file.finish(activity));
        tail
    }

    /// Ends the last line; answers the tail, and the file for whoever has the time to finish it.
    pub(crate) fn end(mut self) -> (Vec<String>, Option<LogFile>) {
        if !self.line.is_empty() {
            self.end_line();
        }
        (self.tail.into(), self.file)
    }

    fn end_line(&mut self) {
        self.line.truncate(self.column);
        let line = std::mem::take(&mut self.line);
        self.column = 0;
        if !self.message(&line) {
            self.activity.log_line(&line);
            if self.keep > 0 {
                if self.tail.len() == self.keep {
                    self.tail.pop_front();
                }
                self.tail.push_back(String::from_utf8_lossy(&line).into_owned());
            }
        }
        self.line = line;
        self.line.clear();
    }

    /// Obeys a line `@nix {json}`; false where it is ordinary output. What a builder may say is bounded: it can open
    /// transfers only, and report on those and on itself.
    fn message(&mut self, line: &[u8]) -> bool {
        let Some(json) = line.strip_prefix(b"@nix ") else { return false };
        let complain = |problem: &str| {
            let text = format!("Unable to handle a JSON message from the derivation builder: {problem}");
            self.activity.warn(&text);
            false
        };
        let json = match serde_json::from_slice::<Value>(json) {
            Ok(json) => json,
            Err(error) => return complain(&error.to_string()),
        };
        if !json.get("action").is_some_and(Value::is_string) {
            return complain("it is no object with a text 'action'");
        }
        let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| json.get(name).and_then(Value::as_u64);
        match text("action") {
            "setPhase" => self.activity.phase(text("phase")),
            "msg" => {
                let level = Verbosity::from_number(number("level").unwrap_or(0));
                self.activity.message(level, text("msg"));
            }
            "start" => {
                if let (Some(id), Some(101)) = (number("id"), number("type"))
                    && self.children.len() < 1000
                {
                    let child = self.activity.child_at(
                        Verbosity::from_number(number("level").unwrap_or(3)),
                        ActivityKind::FileTransfer,
                        text("text"),
                        &fields(&json),
                    );
                    self.children.insert(id, child);
                }
            }
            "stop" => drop(number("id").and_then(|id| self.children.remove(&id))),
            "result" => {
                if let Some(child) = number("id").and_then(|id| self.children.get(&id))
                    && number("type") == Some(ResultKind::Progress as u64)
                {
                    child.result(ResultKind::Progress, &fields(&json));
                }
            }
            _ => return false,
        }
        true
    }
}

fn fields(json: &Value) -> Vec<Field> {
    let list = json.get("fields").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|field| field.as_u64().map(Field::Int).or_else(|| field.as_str().map(Field::from))).collect()
}

/// The log on the disk, compressed by bzip2.
///
/// A large block costs milliseconds to set up, more than a small build takes; most logs are small, so they are kept until
/// the end and compressed with the smallest block, which is as good for them.
pub(crate) struct LogFile {
    path: PathBuf,
    pending: Vec<u8>,
    encoder: Option<BzEncoder<File>>,
}

/// What fits into the smallest block.
const SMALL: usize = 96 * 1024;

/// What bzip2 makes of nothing.
const EMPTY: &[u8] = b"BZh9\x17rE8P\x90\0\0\0\0";

impl LogFile {
    /// A log that will lie at `path`. Nothing is opened yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, pending: Vec::new(), encoder: None }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(encoder) = &mut self.encoder {
            return encoder.write_all(bytes);
        }
        self.pending.extend_from_slice(bytes);
        if self.pending.len() > SMALL {
            let mut encoder = BzEncoder::new(self.create()?, Compression::best());
            encoder.write_all(&std::mem::take(&mut self.pending))?;
            self.encoder = Some(encoder);
        }
        Ok(())
    }

    /// A file beside the log's place, so that a reader finds the old log or the new one.
    fn temporary(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".tmp-{}", std::process::id()));
        name.into()
    }

    fn create(&self) -> io::Result<File> {
        let path = self.temporary();
        match File::create(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                path.parent().map_or(Ok(()), fs::create_dir_all)?;
                File::create(&path)
            }
            result => result,
        }
    }

    /// Puts the log in its place. What hinders that is a warning.
    pub(crate) fn finish(self, activity: &Activity) {
        if let Err(error) = self.put_in_place() {
            activity.warn(&format!("cannot write the build log: {error}"));
        }
    }

    fn put_in_place(mut self) -> io::Result<()> {
        if let Some(encoder) = self.encoder.take() {
            encoder.finish()?;
        } else if self.pending.is_empty() {
            self.create()?.write_all(EMPTY)?;
        } else {
            let mut encoder = BzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&self.pending)?;
            let bytes = encoder.finish()?;
            self.create()?.write_all(&bytes)?;
        }
        fs::rename(self.temporary(), &self.path)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use activity::{CancelToken, Recorded, Recorder};

    use super::*;

    fn told(pieces: &[&[u8]], keep: usize) -> (Vec<Recorded>, Vec<String>) {
        let recorder = Arc::new(Recorder::default());
        let root = Activity::root(recorder.clone(), CancelToken::new());
        let build = root.child(ActivityKind::Build, "", &[]);
        let mut log = BuildLog::new(&build, keep, None);
        pieces.iter().for_each(|piece| log.take(piece));
        let tail = log.finish();
        let mut events = recorder.take();
        events.remove(0);
        (events, tail)
    }

    fn line(text: &str) -> Recorded {
        Recorded::Result(1, ResultKind::BuildLogLine, vec![Field::from(text)])
    }

    #[test]
    fn output_is_cut_into_lines_as_a_terminal_shows_them() {
        let (events, tail) = told(&[b"one\ntw", b"o\n50%\r100%\nlong\rab\nlast"], 2);
        assert_eq!(events, ["one", "two", "100%", "ab", "last"].map(line));
        assert_eq!(tail, ["ab", "last"]);
    }

    #[test]
    fn builders_tell_phases_and_transfers_but_nothing_else() {
        let (events, tail) = told(
            &[
                b"@nix {\"action\":\"setPhase\",\"phase\":\"unpack\"}\n",
                b"@nix {\"action\":\"start\",\"id\":7,\"type\":101,\"level\":4,\"text\":\"t\",\"fields\":[\"u\"]}\n",
                b"@nix {\"action\":\"result\",\"id\":7,\"type\":105,\"fields\":[1,2]}\n",
                b"@nix {\"action\":\"stop\",\"id\":7}\n@nix {\"action\":\"start\",\"id\":8,\"type\":105}\n@nix {bad\n@nix [1]\n",
            ],
            9,
        );
        let complaint = |problem: &str| {
            let text = format!("Unable to handle a JSON message from the derivation builder: {problem}");
            Recorded::Message(Verbosity::Warn, text)
        };
        let expected = [
            Recorded::Result(1, ResultKind::SetPhase, vec![Field::from("unpack")]),
            Recorded::Start(2, 1, ActivityKind::FileTransfer, "t".into(), vec![Field::from("u")]),
            Recorded::Result(2, ResultKind::Progress, vec![Field::Int(1), Field::Int(2)]),
            Recorded::Stop(2),
            complaint("key must be a string at line 1 column 2"),
            line("@nix {bad"),
            complaint("it is no object with a text 'action'"),
            line("@nix [1]"),
        ];
        assert_eq!(events, expected);
        assert_eq!(tail, ["@nix {bad", "@nix [1]"]);
    }

    #[test]
    fn logs_of_every_size_can_be_read_back() {
        let dir = tempfile::tempdir().unwrap();
        for size in [0, 1, SMALL, SMALL + 1, 3 * SMALL] {
            let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let path = dir.path().join("deep/er").join(size.to_string());
            let mut file = LogFile::new(path.clone());
            bytes.chunks(5000).for_each(|piece| file.write(piece).unwrap());
            file.put_in_place().unwrap();
            let mut read = Vec::new();
            let mut decoder = bzip2::read::BzDecoder::new(File::open(&path).unwrap());
            io::Read::read_to_end(&mut decoder, &mut read).unwrap();
            assert_eq!(read, bytes);
        }
        assert_eq!(fs::read_dir(dir.path().join("deep/er")).unwrap().count(), 5);
    }
}
