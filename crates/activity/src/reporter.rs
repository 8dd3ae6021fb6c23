//! Where events go: the trait, a silent reporter, a recording one for tests, a tee.

use std::sync::{Arc, Mutex, PoisonError};

use crate::event::{ActivityId, ActivityKind, Event, Field, ResultKind, Verbosity};

/// Receives every event of a request, from any thread, in the order of each thread.
pub trait Reporter: Send + Sync {
    /// Takes one event. It must not block for long: work waits for it.
    fn report(&self, event: &Event<'_>);
}

/// Drops everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _: &Event<'_>) {}
}

/// Hands every event to two reporters, the first one first.
pub struct Tee(
    /// The first receiver.
    pub Arc<dyn Reporter>,
    /// The second receiver.
    pub Arc<dyn Reporter>,
);

impl Reporter for Tee {
    fn report(&self, event: &Event<'_>) {
        self.0.report(event);
        self.1.report(event);
    }
}

/// An event as the [`Recorder`] keeps it: the same data, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// See [`Event::Start`].
    Start(ActivityId, ActivityId, ActivityKind, String, Vec<Field>),
    /// See [`Event::Stop`].
    Stop(ActivityId),
    /// See [`Event::Result`].
    Result(ActivityId, ResultKind, Vec<Field>),
    /// See [`Event::Message`].
    Message(Verbosity, String),
}

/// Keeps everything, for tests.
#[derive(Debug, Default)]
pub struct Recorder {
    events: Mutex<Vec<Recorded>>,
}

impl Recorder {
    /// Takes what was recorded so far and starts anew.
    pub fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Reporter for Recorder {
    fn report(&self, event: &Event<'_>) {
        let kept = match *event {
            Event::Start { id, parent, kind, text, fields, .. } => {
                Recorded::Start(id, parent, kind, text.to_owned(), fields.to_vec())
            }
            Event::Stop { id } => Recorded::Stop(id),
            Event::Result { id, kind, fields } => Recorded::Result(id, kind, fields.to_vec()),
            Event::Message { level, text } => Recorded::Message(level, text.to_owned()),
        };
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
    }
}
