//! What an evaluation tells the user, kept so that it can be told again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use activity::{Event, Reporter, Verbosity};

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Where it came: 0 before all parts, else in the part before this one by number.
    pub(super) part: usize,
    /// Its importance.
    pub(super) level: Verbosity,
    /// Its lines.
    pub(super) text: String,
}

/// Keeps messages and passes everything on.
pub(super) struct Messages {
    to: Arc<dyn Reporter>,
    part: AtomicUsize,
    kept: Mutex<Vec<Message>>,
}

impl Messages {
    /// Passes on to another reporter.
    pub(super) fn new(to: Arc<dyn Reporter>) -> Self {
        Self { to, part: AtomicUsize::new(0), kept: Mutex::default() }
    }

    /// Messages from now on came there; see [`Message::part`].
    pub(super) fn enter(&self, part: usize) {
        self.part.store(part, Ordering::Relaxed);
    }

    /// Takes what was kept.
    pub(super) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Reporter for Messages {
    fn report(&self, event: &Event<'_>) {
        if let Event::Message { level, text } = *event {
            // What only developers ask for tells of the work, not of the answer.
            if level <= Verbosity::Info {
                let part = self.part.load(Ordering::Relaxed);
                let message = Message { part, level, text: text.to_owned() };
                self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(message);
            }
        }
        self.to.report(event);
    }
}
