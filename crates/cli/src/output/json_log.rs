//! Events in Nix's JSON, one line each: on standard error for `--log-format internal-json`, and in the file or socket that
//! the setting `json-log-path` names.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use activity::{Event, Field, Verbosity};
use serde_json::json;

/// Where a copy of all events goes.
pub struct JsonLog(Box<dyn Write + Send>);

impl JsonLog {
    /// Opens a file, which is appended to, or connects to a socket.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let is_socket = path.metadata().is_ok_and(|found| found.file_type().is_socket());
        Ok(Self(match is_socket {
            true => Box::new(UnixStream::connect(path)?),
            false => Box::new(OpenOptions::new().append(true).create(true).open(path)?),
        }))
    }

    /// Writes an event. A log that breaks must not break the work.
    pub fn write(&mut self, event: &Event<'_>, verbosity: Verbosity) {
        if let Some(line) = as_json(event, verbosity) {
            let _ = self.0.write_all(format!("{line}\n").as_bytes());
        }
    }
}

/// An event as JSON; `None` for a message of less importance than is wanted.
pub fn as_json(event: &Event<'_>, verbosity: Verbosity) -> Option<String> {
    let list = |fields: &[Field]| -> Vec<serde_json::Value> {
        let one = |field: &Field| match field {
            Field::Int(number) => json!(number),
            Field::Text(text) => json!(text),
        };
        fields.iter().map(one).collect()
    };
    let value = match *event {
        Event::Start { id, parent, level, kind, text, fields } => json!({
            "action": "start", "id": id, "level": level as u8, "type": kind as u16, "text": text, "parent": parent,
            "fields": list(fields),
        }),
        Event::Stop { id } => json!({"action": "stop", "id": id}),
        Event::Result { id, kind, fields } => {
            json!({"action": "result", "id": id, "type": kind as u16, "fields": list(fields)})
        }
        Event::Message { level, .. } if level > verbosity => return None,
        Event::Message { level, text } => json!({"action": "msg", "level": level as u8, "msg": text}),
    };
    Some(value.to_string())
}
