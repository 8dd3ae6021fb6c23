//! Events of work as lines on standard error: plain lines, a live display on a terminal, or Nix's JSON.
//!
//! Data: [`activity::Event`] → [`Progress::report`] → lines. The live display is drawn by indicatif, starts after
//! 250 ms and is throttled; everything that is a line of its own goes above it. Its text is made in `display.rs`, JSON in
//! `json_log.rs`. Absent: any knowledge of what the work is.

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use activity::{ActivityId, ActivityKind, Event, Field, Reporter, ResultKind, Verbosity};
use builder::{History, Suspension};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use store::render_size;

use super::display;
use super::graph::BuildGraph;
use super::json_log::{JsonLog, as_json};

/// How events are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines, builders' output left out.
    Raw,
    /// Lines, builders' output among them.
    RawWithLogs,
    /// A live line where there is a terminal, else lines.
    Bar,
    /// The same with the builders' output.
    BarWithLogs,
    /// A live display with a line for each thing that runs.
    Multiline,
    /// The same with the builders' output.
    MultilineWithLogs,
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
            "bar-with-logs" => Self::BarWithLogs,
            "multiline" => Self::Multiline,
            "multiline-with-logs" => Self::MultilineWithLogs,
            "internal-json" => Self::Json,
            _ => return None,
        })
    }

    fn logs(self) -> bool {
        matches!(self, Self::RawWithLogs | Self::BarWithLogs | Self::MultilineWithLogs)
    }
}

/// One running activity.
struct Running {
    kind: ActivityKind,
    name: String,
    /// What it works on, as it was told: a derivation, a URL.
    subject: String,
    /// The phase of a build.
    phase: Option<String>,
    /// What such a build took earlier.
    expected: Option<Duration>,
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
    /// Whether standard error is one; asked once.
    terminal: bool,
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
    graph: BuildGraph,
    history: Option<History>,
    /// Stands still while builders are stopped.
    clock: Arc<Suspension>,
    json_log: Option<JsonLog>,
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
        let terminal = std::io::stderr().is_terminal();
        let state = State {
            terminal,
            format: if legacy { LogFormat::RawWithLogs } else { LogFormat::Multiline },
            // On a terminal the live display says what runs.
            verbosity: match legacy || !terminal {
                true => Verbosity::Info,
                false => Verbosity::Notice,
            },
            legacy,
            started: Instant::now(),
            running: HashMap::new(),
            order: Vec::new(),
            amounts: HashMap::new(),
            progress: HashMap::new(),
            bar: None,
            closed: false,
            graph: BuildGraph::default(),
            history: None,
            clock: Arc::default(),
            json_log: None,
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
            (LogFormat::Multiline | LogFormat::MultilineWithLogs, true) => LogFormat::MultilineWithLogs,
            (LogFormat::Multiline | LogFormat::MultilineWithLogs, false) => LogFormat::Multiline,
            (LogFormat::Json, _) => LogFormat::Json,
        };
    }

    /// Whether there is a live display, so that it is worth finding out more for it.
    pub fn is_live(&self) -> bool {
        self.state().live()
    }

    /// Tells what is going to be built.
    pub fn set_graph(&self, graph: BuildGraph) {
        self.state().graph = graph;
    }

    /// What waits for a derivation, by name.
    pub fn waiting(&self, path: &str) -> Vec<String> {
        self.state().graph.waiting(path).into_iter().map(str::to_owned).collect()
    }

    /// The clock that times of builds are taken from.
    pub fn set_clock(&self, clock: &Arc<Suspension>) {
        self.state().clock = Arc::clone(clock);
    }

    /// Where to look for the times of earlier builds.
    pub fn set_history(&self, history: History) {
        self.state().history = Some(history);
    }

    /// Copies every event to a log.
    pub fn set_json_log(&self, log: JsonLog) {
        self.state().json_log = Some(log);
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
        let verbosity = state.verbosity;
        if let Some(log) = &mut state.json_log {
            log.write(event, verbosity);
        }
        if state.format == LogFormat::Json {
            if let Some(line) = as_json(event, verbosity) {
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
        use LogFormat::{Bar, BarWithLogs, Multiline, MultilineWithLogs};
        matches!(self.format, Bar | BarWithLogs | Multiline | MultilineWithLogs) && self.terminal
    }

    fn line(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| write_line(text)),
            None if self.terminal => write_line(text),
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
            Verbosity::Warn => {
                let text = super::diagnostic::without_numbers(text);
                let hint = super::error::way_out(&text).filter(|hint| !text.contains(hint));
                format!("warning: {text}{}", hint.map_or(String::new(), |hint| format!("\n{hint}")))
            }
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
        let subject = match fields.first() {
            Some(Field::Text(subject)) => subject.clone(),
            _ => String::new(),
        };
        let history = self.history.as_ref().filter(|_| kind == ActivityKind::Build);
        let expected = history.and_then(|history| history.expected(&name));
        let started = self.clock.now();
        self.running.insert(id, Running { kind, name, subject, phase: None, expected, started, parent });
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
            ResultKind::SetPhase => {
                if let (Some(running), Some(Field::Text(phase))) = (self.running.get_mut(&id), fields.first()) {
                    running.phase = Some(phase.clone());
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
            bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
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
        let parts = self.live_parts();
        if parts.is_empty() {
            return None;
        }
        let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
        let size = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
        let (width, height) = size.map_or((80, 24), |size| (usize::from(size.ws_col), usize::from(size.ws_row)));
        // The last column stays free: a full line would begin another one.
        let width = width - 1;
        let head = self.counts(ActivityKind::Build);
        Some(match self.format {
            LogFormat::Bar | LogFormat::BarWithLogs => {
                display::assemble(&format!("{head}{}", parts.join(", ")), &[], width, height)
            }
            _ => display::assemble(&head, &parts, width, height),
        })
    }

    fn live_parts(&self) -> Vec<String> {
        let tree = matches!(self.format, LogFormat::Multiline | LogFormat::MultilineWithLogs);
        let (mut builds, mut others) = (Vec::new(), Vec::new());
        for id in &self.order {
            let Some(running) = self.running.get(id) else { continue };
            let elapsed = self.clock.now().saturating_duration_since(running.started);
            match running.kind {
                ActivityKind::Build if tree => {
                    let (name, path) = (running.name.as_str(), running.subject.as_str());
                    let (phase, expected) = (running.phase.as_deref(), running.expected);
                    let line = display::BuildLine { name, path, phase, elapsed, expected };
                    builds.push(display::build(&line, &self.graph));
                }
                ActivityKind::Build | ActivityKind::Substitute => {
                    builds.push(format!("{} {}s", running.name, elapsed.as_secs()));
                }
                ActivityKind::FileTransfer => {
                    let amounts = self.progress.get(id).copied().unwrap_or_default();
                    let share = (amounts.done.min(amounts.expected) * 100).checked_div(amounts.expected);
                    let mut share = share.map(|percent| format!(" {percent}%")).unwrap_or_default();
                    if tree && !share.is_empty() {
                        share +=
                            &format!(" of {}", render_size(i64::try_from(amounts.expected).unwrap_or(i64::MAX), 0));
                    }
                    if !self.inside_build(running.parent) || !share.is_empty() {
                        others.push(format!("{}{share}", running.name));
                    }
                }
                ActivityKind::BuildWaiting if tree => others.push(running.name.clone()),
                _ => {}
            }
        }
        builds.append(&mut others);
        builds
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
