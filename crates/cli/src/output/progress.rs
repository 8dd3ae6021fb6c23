//! Events of work as lines on standard error: plain lines, a live display on a terminal, or Nix's JSON.
//!
//! Data: [`activity::Event`] → [`Progress::report`] → lines. The live display is drawn by indicatif, starts after
//! 250 ms and is throttled; everything that is a line of its own goes above it. Absent: any knowledge of what the work is.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use activity::{ActivityId, ActivityKind, Event, Field, Reporter, ResultKind, Verbosity};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

/// How events are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines, builders' output left out.
    Raw,
    /// Lines, builders' output among them.
    RawWithLogs,
    /// The live display where there is a terminal, else lines.
    Bar,
    /// The same with the builders' output.
    BarWithLogs,
    /// Nix's JSON, a line an event.
    Json,
}

impl LogFormat {
    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "raw" => Self::Raw,
            "raw-with-logs" => Self::RawWithLogs,
            "bar" => Self::Bar,
            "bar-with-logs" | "multiline-with-logs" => Self::BarWithLogs,
            "multiline" => Self::Bar,
            "internal-json" => Self::Json,
            _ => return None,
        })
    }

    fn logs(self) -> bool {
        matches!(self, Self::RawWithLogs | Self::BarWithLogs)
    }
}

/// One running activity.
struct Running {
    kind: ActivityKind,
    name: String,
    started: Instant,
    parent: ActivityId,
}

/// Amounts of one kind of work.
#[derive(Clone, Copy, Default)]
struct Amounts {
    done: u64,
    expected: u64,
    failed: u64,
}

struct State {
    format: LogFormat,
    verbosity: Verbosity,
    legacy: bool,
    started: Instant,
    running: HashMap<ActivityId, Running>,
    order: Vec<ActivityId>,
    amounts: HashMap<ActivityKind, Amounts>,
    progress: HashMap<ActivityId, Amounts>,
    bar: Option<ProgressBar>,
    closed: bool,
}

/// The reporter of every command.
pub struct Progress {
    state: Mutex<State>,
}

/// Nothing is drawn before this; most commands are done by then.
const PATIENCE: Duration = Duration::from_millis(250);

impl Progress {
    /// A display: the older programs show builders' output and more lines than the newer ones.
    pub fn new(legacy: bool) -> Self {
        let state = State {
            format: if legacy { LogFormat::RawWithLogs } else { LogFormat::Bar },
            verbosity: if legacy { Verbosity::Info } else { Verbosity::Notice },
            legacy,
            started: Instant::now(),
            running: HashMap::new(),
            order: Vec::new(),
            amounts: HashMap::new(),
            progress: HashMap::new(),
            bar: None,
            closed: false,
        };
        Self { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chooses the format.
    pub fn set_format(&self, format: LogFormat) {
        self.state().format = format;
    }

    /// Shows builders' output, or not.
    pub fn set_logs(&self, shown: bool) {
        let mut state = self.state();
        state.format = match (state.format, shown) {
            (LogFormat::Raw | LogFormat::RawWithLogs, true) => LogFormat::RawWithLogs,
            (LogFormat::Raw | LogFormat::RawWithLogs, false) => LogFormat::Raw,
            (LogFormat::Bar | LogFormat::BarWithLogs, true) => LogFormat::BarWithLogs,
            (LogFormat::Bar | LogFormat::BarWithLogs, false) => LogFormat::Bar,
            (LogFormat::Json, _) => LogFormat::Json,
        };
    }

    /// Whether the user sees builders' output as it comes.
    pub fn shows_logs(&self) -> bool {
        self.state().format.logs()
    }

    /// Raises or lowers the level from which messages are shown.
    pub fn change_verbosity(&self, steps: i64) {
        let mut state = self.state();
        let level = (state.verbosity as i64 + steps).clamp(0, 7);
        state.verbosity = Verbosity::from_number(level.unsigned_abs());
    }

    /// Takes the live display away before something else writes to the terminal; it comes back with the next event.
    pub fn pause(&self) {
        if let Some(bar) = self.state().bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Takes the live display away for good.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        if let Some(bar) = state.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Writes a line (or several) to standard error, above the live display.
    pub fn error_line(&self, text: &str) {
        self.state().line(text);
    }
}

impl Reporter for Progress {
    fn report(&self, event: &Event<'_>) {
        let mut state = self.state();
        if state.format == LogFormat::Json {
            if let Some(line) = as_json(event, state.verbosity) {
                state.line(&format!("@nix {line}"));
            }
            return;
        }
        match *event {
            Event::Start { id, parent, level, kind, text, fields } => {
                state.start(id, parent, level, kind, (text, fields))
            }
            Event::Stop { id } => state.stop(id),
            Event::Result { id, kind, fields } => state.result(id, kind, fields),
            Event::Message { level, text } => state.message(level, text),
        }
        state.draw();
    }
}

impl State {
    fn live(&self) -> bool {
        matches!(self.format, LogFormat::Bar | LogFormat::BarWithLogs) && std::io::stderr().is_terminal()
    }

    fn line(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| write_line(text)),
            None if std::io::stderr().is_terminal() => write_line(text),
            None => write_line(&super::plain::plain(text)),
        }
    }

    fn message(&mut self, level: Verbosity, text: &str) {
        if level > self.verbosity {
            return;
        }
        let text = match level {
            // `builtins.warn` says itself what it is, and says nothing of an empty text.
            Verbosity::Warn if text.is_empty() || text.starts_with("evaluation warning: ") => text.to_owned(),
            Verbosity::Warn => format!("warning: {}", super::diagnostic::without_numbers(text)),
            // What is said at this level (traces, notes, complaints) says itself what it is.
            _ => text.to_owned(),
        };
        self.line(&text);
    }

    fn start(
        &mut self,
        id: ActivityId,
        parent: ActivityId,
        level: Verbosity,
        kind: ActivityKind,
        what: (&str, &[Field]),
    ) {
        let (text, fields) = what;
        let name = match (kind, fields.first()) {
            (ActivityKind::Build, Some(Field::Text(path))) => build_name(path),
            (ActivityKind::FileTransfer, Some(Field::Text(url))) => url.rsplit('/').next().unwrap_or(url).to_owned(),
            _ => text.to_owned(),
        };
        // The newer commands show on a pipe what the live display would have shown.
        let important = matches!(kind, ActivityKind::Build | ActivityKind::FileTransfer | ActivityKind::Substitute);
        // A transfer inside a build is that build's own.
        let inside = kind == ActivityKind::FileTransfer && self.inside_build(parent);
        let shown = level <= self.verbosity || (important && !inside && !self.legacy && level <= Verbosity::Info);
        if shown && !text.is_empty() && !self.live() {
            let counts = if self.legacy { String::new() } else { self.counts(kind) };
            let dots = if text.ends_with("...") || text.ends_with('.') { "" } else { "..." };
            self.line(&format!("{counts}{text}{dots}"));
        }
        self.running.insert(id, Running { kind, name, started: Instant::now(), parent });
        self.order.push(id);
    }

    fn stop(&mut self, id: ActivityId) {
        if let Some(running) = self.running.remove(&id) {
            self.order.retain(|other| *other != id);
            self.progress.remove(&id);
            if running.kind == ActivityKind::FileTransfer {
                self.amounts.entry(running.kind).or_default().done += 1;
            }
        }
    }

    fn result(&mut self, id: ActivityId, kind: ResultKind, fields: &[Field]) {
        let number = |at: usize| match fields.get(at) {
            Some(Field::Int(number)) => *number,
            _ => 0,
        };
        match kind {
            ResultKind::BuildLogLine | ResultKind::PostBuildLogLine => {
                if let (true, Some(Field::Text(line))) = (self.format.logs(), fields.first()) {
                    let head = match self.running.get(&id) {
                        Some(running) if !self.legacy => format!("{}> ", running.name),
                        _ => String::new(),
                    };
                    self.line(&format!("{head}{line}"));
                }
            }
            ResultKind::Progress => {
                let amounts = Amounts { done: number(0), expected: number(1), failed: number(3) };
                match self.running.get(&id) {
                    Some(running) if running.kind == ActivityKind::Builds => {
                        self.amounts.insert(ActivityKind::Build, amounts);
                    }
                    _ => drop(self.progress.insert(id, amounts)),
                }
            }
            ResultKind::SetExpected => {
                let transfers = ActivityKind::FileTransfer;
                if number(0) == transfers as u64 {
                    self.amounts.entry(transfers).or_default().expected = number(1);
                }
            }
            _ => {}
        }
    }

    /// `[3/9 built, 12/53 fetched, 4.2s] `, empty where nothing is known.
    fn counts(&self, kind: ActivityKind) -> String {
        let mut parts = Vec::new();
        for (kind_of, word) in [(ActivityKind::Build, "built"), (ActivityKind::FileTransfer, "fetched")] {
            let amounts = self.amounts.get(&kind_of).copied().unwrap_or_default();
            if amounts.expected > 0 || amounts.done > 0 {
                let failed = if amounts.failed > 0 { format!(" ({} failed)", amounts.failed) } else { String::new() };
                parts.push(format!("{}/{} {word}{failed}", amounts.done, amounts.expected.max(amounts.done)));
            }
        }
        if parts.is_empty() && !matches!(kind, ActivityKind::Build | ActivityKind::FileTransfer) {
            return String::new();
        }
        parts.push(format!("{:.1}s", self.started.elapsed().as_secs_f64()));
        format!("[{}] ", parts.join(", "))
    }

    fn draw(&mut self) {
        if self.closed || !self.live() || self.started.elapsed() < PATIENCE {
            return;
        }
        let Some(text) = self.live_text() else {
            if let Some(bar) = self.bar.take() {
                bar.finish_and_clear();
            }
            return;
        };
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            bar.set_style(ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        bar.set_message(text);
        bar.tick();
    }

    fn inside_build(&self, parent: ActivityId) -> bool {
        self.running.get(&parent).is_some_and(|parent| parent.kind == ActivityKind::Build)
    }

    /// Counts, then what runs, each build with its time and each transfer with its share. Nothing when nothing runs:
    /// the display must not come back after a command's result.
    fn live_text(&self) -> Option<String> {
        let mut parts = Vec::new();
        for id in &self.order {
            let Some(running) = self.running.get(id) else { continue };
            let seconds = running.started.elapsed().as_secs();
            match running.kind {
                ActivityKind::Build | ActivityKind::Substitute => parts.push(format!("{} {seconds}s", running.name)),
                ActivityKind::FileTransfer => {
                    let amounts = self.progress.get(id).copied().unwrap_or_default();
                    let share = (amounts.done.min(amounts.expected) * 100).checked_div(amounts.expected);
                    let share = share.map(|percent| format!(" {percent}%")).unwrap_or_default();
                    if !self.inside_build(running.parent) || !share.is_empty() {
                        parts.push(format!("{}{share}", running.name));
                    }
                }
                _ => {}
            }
        }
        (!parts.is_empty()).then(|| format!("{}{}", self.counts(ActivityKind::Build), parts.join(", ")))
    }
}

fn write_line(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(&[&evaluator::text_as_bytes(text), &b"\n"[..]].concat());
}

/// `/nix/store/<hash>-hello-2.10.drv` → `hello-2.10`.
fn build_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.get(33..).unwrap_or(name);
    name.strip_suffix(".drv").unwrap_or(name).to_owned()
}

fn as_json(event: &Event<'_>, verbosity: Verbosity) -> Option<String> {
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
