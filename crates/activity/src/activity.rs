//! A running activity: opens children, reports, checks for cancellation, ends when dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cancel::{CancelToken, Cancelled};
use crate::event::{ActivityId, ActivityKind, Event, Field, ResultKind, Verbosity};
use crate::reporter::{Reporter, Silent};

/// One piece of work in progress. It is handed down by reference; its end is reported when it is dropped.
pub struct Activity {
    id: ActivityId,
    shared: Arc<Shared>,
    cancel: CancelToken,
}

struct Shared {
    reporter: Arc<dyn Reporter>,
    next: Arc<AtomicU64>,
}

impl Activity {
    /// The activity of a whole request. It has no number of its own and is not reported.
    pub fn root(reporter: Arc<dyn Reporter>, cancel: CancelToken) -> Self {
        Self { id: 0, shared: Arc::new(Shared { reporter, next: Arc::new(AtomicU64::new(1)) }), cancel }
    }

    /// A root that reports nothing and is never cancelled.
    pub fn silent() -> Self {
        Self::root(Arc::new(Silent), CancelToken::new())
    }

    /// Opens a child whose text is worth a line at [`Verbosity::Info`].
    pub fn child(&self, kind: ActivityKind, text: &str, fields: &[Field]) -> Self {
        self.child_at(Verbosity::Info, kind, text, fields)
    }

    /// Opens a child with a level of its own.
    pub fn child_at(&self, level: Verbosity, kind: ActivityKind, text: &str, fields: &[Field]) -> Self {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        self.emit(&Event::Start { id, parent: self.id, level, kind, text, fields });
        Self { id, shared: Arc::clone(&self.shared), cancel: self.cancel.clone() }
    }

    /// The same activity with another token: work that can be cancelled alone, as when a first failure ends its
    /// siblings. The copy is not reported and has no end of its own.
    pub fn with_token(&self, cancel: CancelToken) -> Self {
        Self { id: 0, shared: Arc::clone(&self.shared), cancel }
    }

    /// The same activity whose events go to another reporter, which may pass them on to this one's. Numbers stay unique
    /// over both. The copy is not reported and has no end of its own.
    pub fn redirected(&self, reporter: Arc<dyn Reporter>) -> Self {
        let shared = Shared { reporter, next: Arc::clone(&self.shared.next) };
        Self { id: 0, shared: Arc::new(shared), cancel: self.cancel.clone() }
    }

    /// Where its events go.
    pub fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::clone(&self.shared.reporter)
    }

    /// Its number, 0 for a root.
    pub fn id(&self) -> ActivityId {
        self.id
    }

    /// `Err` once the user asked for the end; long loops call it often.
    ///
    /// # Errors
    /// [`Cancelled`].
    #[inline]
    pub fn check(&self) -> Result<(), Cancelled> {
        self.cancel.check()
    }

    /// The token behind [`Activity::check`].
    pub fn cancel_token(&self) -> &CancelToken {
        &self.cancel
    }

    /// Reports amounts, in the unit of the activity's kind (bytes, paths, builds).
    pub fn progress(&self, done: u64, expected: u64, running: u64, failed: u64) {
        let fields = [Field::Int(done), Field::Int(expected), Field::Int(running), Field::Int(failed)];
        self.result(ResultKind::Progress, &fields);
    }

    /// Announces how much of a kind of work below this activity is to be expected.
    pub fn expect(&self, kind: ActivityKind, amount: u64) {
        self.result(ResultKind::SetExpected, &[Field::Int(kind as u64), Field::Int(amount)]);
    }

    /// Reports one line of a builder's output, without its line feed.
    pub fn log_line(&self, line: &[u8]) {
        let text = String::from_utf8_lossy(line).into_owned();
        self.result(ResultKind::BuildLogLine, &[Field::Text(text)]);
    }

    /// Reports that a builder entered a phase.
    pub fn phase(&self, name: &str) {
        self.result(ResultKind::SetPhase, &[Field::from(name)]);
    }

    /// Reports anything else of the closed set.
    pub fn result(&self, kind: ResultKind, fields: &[Field]) {
        self.emit(&Event::Result { id: self.id, kind, fields });
    }

    /// Tells the user something.
    pub fn message(&self, level: Verbosity, text: &str) {
        self.emit(&Event::Message { level, text });
    }

    /// Warns the user. The reporter adds the word `warning:`.
    pub fn warn(&self, text: &str) {
        self.message(Verbosity::Warn, text);
    }

    /// Tells the user of a failure that will not be the one reported at the end: `error: ` before the first line, the
    /// others below it.
    pub fn error(&self, text: &str) {
        let lines: Vec<&str> = text.trim_end().lines().collect();
        self.message(Verbosity::Error, &format!("error: {}", lines.join("\n       ")));
    }

    fn emit(&self, event: &Event<'_>) {
        self.shared.reporter.report(event);
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        if self.id != 0 {
            self.emit(&Event::Stop { id: self.id });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reporter::{Recorded, Recorder};

    #[test]
    fn children_are_reported_with_parent_and_end() {
        let recorder = Arc::new(Recorder::default());
        let root = Activity::root(recorder.clone(), CancelToken::new());
        {
            let builds = root.child(ActivityKind::Builds, "", &[]);
            let build = builds.child(ActivityKind::Build, "building x", &[Field::from("x")]);
            build.log_line(b"a\xffb");
        }
        assert_eq!(
            recorder.take(),
            [
                Recorded::Start(1, 0, ActivityKind::Builds, String::new(), vec![]),
                Recorded::Start(2, 1, ActivityKind::Build, "building x".into(), vec![Field::from("x")]),
                Recorded::Result(2, ResultKind::BuildLogLine, vec![Field::from("a\u{fffd}b")]),
                Recorded::Stop(2),
                Recorded::Stop(1),
            ]
        );
    }

    #[test]
    fn a_token_of_its_own_does_not_stop_the_rest() {
        let root = Activity::silent();
        let part = root.with_token(CancelToken::new());
        part.cancel_token().cancel();
        assert_eq!(part.check(), Err(Cancelled));
        assert_eq!(root.check(), Ok(()));
    }
}
