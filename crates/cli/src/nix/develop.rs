//! `nix develop`: a shell in which a build's own setup has run.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::PathBuf;

use clap::Parser;
use evaluator::with_large_stack;
use session::shell::development::{self, BuildEnvironment, word};
use store::{BuildMode, Profile, Store as _, WritableStore as _, WriteOptions};
use store_model::{DerivedPath, OutputsSpec, SingleDerivedPath, StorePath};

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::environment::EnvironmentArgs;
use crate::input::installable::InstallableArgs;
use crate::output::build::{Opened, store_error};

/// Start a shell in which a derivation could be built, its own setup run, or run a command or a phase there
#[derive(Parser, Debug)]
#[command(name = "nix develop")]
struct Args {
    /// Run this command instead of a shell; every word after it belongs to it
    #[arg(short = 'c', long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true)]
    command: Option<Vec<OsString>>,
    /// Run this phase of the build
    #[arg(long, value_name = "PHASE", conflicts_with = "command")]
    phase: Option<String>,
    /// Run the phase `unpack`
    #[arg(long, conflicts_with = "phase")]
    unpack: bool,
    /// Run the phase `configure`
    #[arg(long, conflicts_with = "phase")]
    configure: bool,
    /// Run the phase `build`
    #[arg(long, conflicts_with = "phase")]
    build: bool,
    /// Run the phase `check`
    #[arg(long, conflicts_with = "phase")]
    check: bool,
    /// Run the phase `install`
    #[arg(long, conflicts_with = "phase")]
    install: bool,
    /// Run the phase `installCheck`
    #[arg(long, conflicts_with = "phase")]
    installcheck: bool,
    #[command(flatten)]
    captured: CapturedArgs,
    #[command(flatten)]
    environment: EnvironmentArgs,
    #[command(flatten)]
    installables: InstallableArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Attribute path, store path of a derivation, or environment that was captured before
    argument: Option<String>,
}

/// What is done with the captured environment.
#[derive(clap::Args, Debug)]
pub struct CapturedArgs {
    /// A profile to keep the environment in
    #[arg(long, value_name = "PATH")]
    profile: Option<PathBuf>,
    /// Let what refers to a store path refer to another folder: STORE-PATH FOLDER; may be repeated
    #[arg(long, num_args = 2, value_names = ["STORE-PATH", "FOLDER"])]
    redirect: Vec<String>,
}

impl Args {
    fn phase(&self) -> Option<&str> {
        let named = [
            (self.unpack, "unpack"),
            (self.configure, "configure"),
            (self.build, "build"),
            (self.check, "check"),
            (self.install, "install"),
            (self.installcheck, "installCheck"),
        ];
        self.phase.as_deref().or_else(|| named.iter().find(|(given, _)| *given).map(|(_, name)| *name))
    }
}

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let words = parse::<Args>(words, &["-c", "--command"])?;
    let args = words.args;
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let captured = capture(&opened, &args.installables, args.argument.as_ref(), &args.captured)?;
    let settings = &opened.session.settings;
    let mut text = captured.to_bash(&opened)?;
    let file = std::env::temp_dir().join(format!("nix-shell-{}.rc", std::process::id()));
    text.push_str(&format!("command rm -f {}\n", word(file.as_os_str())));
    let is_interactive = args.phase().is_none() && args.command.is_none();
    if let Some(phase) = args.phase() {
        // The build phase sets it where it finds one.
        text.push_str(&format!("foundMakefile=1\nrunHook {}\n", word(OsStr::new(&format!("{phase}Phase")))));
    } else if let Some(command) = &args.command {
        let command: Vec<String> = command.iter().map(|one| word(one)).collect();
        text.push_str(&format!("exec {}\n", command.join(" ")));
    } else {
        text = format!(
            "[ -n \"$PS1\" ] && [ -e ~/.bashrc ] && source ~/.bashrc\nshopt -u expand_aliases\n{text}\nshopt -s expand_aliases\n"
        );
        let setting = |name: &str| Some(settings.text(name)).filter(|text| !text.is_empty()).map(OsStr::new);
        if let Some(prompt) = setting("bash-prompt") {
            text.push_str(&format!("[ -n \"$PS1\" ] && PS1={}\n", word(prompt)));
        }
        if let Some(prefix) = setting("bash-prompt-prefix") {
            text.push_str(&format!("[ -n \"$PS1\" ] && PS1={}\"$PS1\"\n", word(prefix)));
        }
        if let Some(suffix) = setting("bash-prompt-suffix") {
            text.push_str(&format!("[ -n \"$PS1\" ] && PS1+={}\n", word(suffix)));
        }
    }
    text.push_str("SHELL=bash\n");
    let mut rc = std::fs::OpenOptions::new();
    let rc = rc.write(true).create_new(true).open(&file).and_then(|mut rc| rc.write_all(text.as_bytes()));
    rc.map_err(|error| CommandError::failed(format!("writing '{}': {error}", file.display())))?;
    let mut variables = args.environment.apply(settings.around.variables.clone())?;
    // A collector looks at the environments of processes.
    variables.insert("NIX_GCROOT".into(), opened.show(&captured.path).into());
    variables.insert("SHELL".into(), "bash".into());
    if !variables.contains_key(OsStr::new("PATH"))
        && let Some(path) = settings.around.variable("PATH")
    {
        // Bash itself has to be found.
        variables.insert("PATH".into(), path.clone());
    }
    let mut arguments = vec![file.clone().into_os_string()];
    if is_interactive {
        arguments.insert(0, "--rcfile".into());
    }
    surface.progress.close();
    let error = opened.session.become_program(OsStr::new("bash"), &arguments, &variables);
    let _ = std::fs::remove_file(&file);
    Err(error.into())
}

/// A captured environment, and where it lies.
pub struct Captured {
    /// The environment.
    pub environment: BuildEnvironment,
    path: StorePath,
    redirects: Vec<(String, String)>,
}

impl Captured {
    /// Bash that sets the environment; the files it names are written.
    pub fn to_bash(&self, opened: &Opened<'_>) -> Result<String, CommandError> {
        let outputs = std::env::current_dir()?.join("outputs");
        let folder = opened.session.settings.places.cache.join("firn-shells").join(self.path.hash_part());
        for (name, contents) in self.environment.files() {
            let file = folder.join(name);
            let written = file_tree::replace_file(&file, contents.as_bytes());
            written.map_err(|error| CommandError::failed(format!("writing '{}': {error}", file.display())))?;
        }
        let mut text = self.environment.to_bash(&outputs, &folder);
        for (path, folder) in &self.redirects {
            if text.contains(path) {
                let message = format!("redirecting '{path}' to '{folder}'");
                opened.activity().message(activity::Verbosity::Info, &message);
                text = text.replace(path, folder);
            } else {
                opened.surface.warn(&format!("'{path}' is not used by this build environment"));
            }
        }
        Ok(text)
    }
}

/// Captures the environment of what the word means.
pub fn capture(
    opened: &Opened<'_>,
    installables: &InstallableArgs,
    argument: Option<&String>,
    args: &CapturedArgs,
) -> Result<Captured, CommandError> {
    let words: Vec<String> = argument.into_iter().cloned().collect();
    let mut redirects = Vec::new();
    for pair in args.redirect.chunks_exact(2) {
        let path = opened.session.store_path(&pair[0])?;
        redirects.push((opened.show(&path), std::path::absolute(&pair[1])?.display().to_string()));
    }
    let found = installables.resolve(opened, &words)?;
    let path = match found.into_iter().next().map(|found| found.path) {
        Some(DerivedPath::Opaque(path)) if path.name().ends_with("-env") => path,
        Some(DerivedPath::Opaque(drv) | DerivedPath::Built { drv: SingleDerivedPath::Opaque(drv), .. })
            if drv.is_derivation() =>
        {
            with_large_stack(|| build(opened, &drv))?
        }
        _ => return Err(CommandError::failed("this is no derivation")),
    };
    let activity = opened.activity();
    if let Some(profile) = &args.profile {
        let profile = Profile::new(std::path::absolute(profile)?);
        let store = opened.store()?;
        profile.set(activity, &store, &path, None).map_err(store_error)?;
    }
    let here = crate::input::evaluation::here()?;
    let key = [here, format!("{:?} {:?} {words:?}", installables.file, installables.expr).into_bytes()].join(&0);
    opened.keep_for_shell(&key, std::slice::from_ref(&path))?;
    let file = opened.session.real_path(&path);
    let bytes =
        std::fs::read(&file).map_err(|error| CommandError::failed(format!("reading '{}': {error}", file.display())))?;
    Ok(Captured { environment: BuildEnvironment::parse(&bytes)?, path, redirects })
}

/// Builds the environment of a derivation.
fn build(opened: &Opened<'_>, drv: &StorePath) -> Result<StorePath, CommandError> {
    let (store, activity, store_dir) = (opened.store()?, opened.activity(), opened.session.store_dir());
    let derivation = store.read_derivation(activity, drv).map_err(store_error)?;
    let script = development::script(store_dir)?;
    store.add_text(activity, &script, &WriteOptions::default()).map_err(store_error)?;
    let mut capturing = development::capturing(store_dir, &derivation, &script)?;
    capturing.fill_in_output_paths(store_dir, &mut |input| store.hash_modulo(activity, input)).map_err(store_error)?;
    let object = capturing.to_text_object(store_dir).map_err(|error| CommandError::failed(error.to_string()))?;
    store.add_text(activity, &object, &WriteOptions::default()).map_err(store_error)?;
    let drv = SingleDerivedPath::Opaque(object.path);
    let wanted = DerivedPath::Built { drv, outputs: OutputsSpec::All };
    opened.build(std::slice::from_ref(&wanted), BuildMode::Normal)?;
    // The script writes to the output that stands first in its own list.
    let outputs = opened.outputs(&wanted)?;
    let full = |path: &StorePath| std::fs::metadata(opened.session.real_path(path)).is_ok_and(|found| found.len() > 0);
    let found = outputs.into_iter().map(|(_, path)| path).find(full);
    found.ok_or_else(|| CommandError::failed("the build did not write its environment"))
}
