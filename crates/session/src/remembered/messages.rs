//! What an evaluation tells the user, kept so that it can be told again.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use activity::{Event, Reporter, Verbosity};

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// When it came: 0 before all parts, then in the order of their turns: with one pass 1 for the first part.
    pub(super) turn: usize,
    /// Its importance.
    pub(super) level: Verbosity,
    /// Its lines.
    pub(super) text: String,
}

/// Keeps messages and passes everything on.
pub(super) struct Messages {
    to: Arc<dyn Reporter>,
    turn: AtomicUsize,
    held: AtomicBool,
    kept: Mutex<Vec<Message>>,
}

impl Messages {
    /// Passes on to another reporter.
    pub(super) fn new(to: Arc<dyn Reporter>) -> Self {
        Self { to, turn: AtomicUsize::new(0), held: AtomicBool::new(false), kept: Mutex::default() }
    }

    /// Begins a turn.
    pub(super) fn enter(&self, turn: usize) {
        self.turn.store(turn, Ordering::Relaxed);
    }

    /// From now on messages are kept, and told to nobody.
    pub(super) fn hold(&self) {
        self.held.store(true, Ordering::Relaxed);
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
                let turn = self.turn.load(Ordering::Relaxed);
                let message = Message { turn, level, text: text.to_owned() };
                self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(message);
                if self.held.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
        self.to.report(event);
    }
}
