//! `nix-env`: packages of a user's profile, and the profile's generations, by an operation and its flags.

pub mod environment;
pub mod generations;
pub mod install;
mod query;
mod words;
mod xml;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use clap::error::{ContextKind, ErrorKind};
use evaluator::with_large_stack;
use store::Profile;

use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse_claiming};
use crate::input::evaluation::EvaluationArgs;
use crate::output::build::Opened;

/// Manage the packages of a profile
///
/// Exactly one operation is given; the other options belong to it. Packages are named by patterns (extended regular
/// expressions for the whole name, with `-VERSION` where one version is meant), and come from ~/.nix-defexpr unless another
/// place is given.
#[derive(Parser, Debug)]
#[command(name = "nix-env", disable_version_flag = true)]
pub struct Args {
    /// Operation: install packages
    #[arg(short = 'i', long)]
    install: bool,
    /// Operation: uninstall packages
    #[arg(short = 'e', long)]
    uninstall: bool,
    /// Operation: upgrade packages, all of them if none is named
    #[arg(short = 'u', long)]
    upgrade: bool,
    /// Operation: list packages
    #[arg(short = 'q', long)]
    query: bool,
    /// Operation: make a package the whole profile
    #[arg(long)]
    set: bool,
    /// Operation: say something of installed packages (`active`, `keep`, `priority`): NAME VALUE PACKAGE...
    #[arg(long)]
    set_flag: bool,
    /// Operation: make another profile the user's current one
    #[arg(short = 'S', long)]
    switch_profile: bool,
    /// Operation: go to a generation
    #[arg(short = 'G', long)]
    switch_generation: bool,
    /// Operation: go to the generation before the current one
    #[arg(long)]
    rollback: bool,
    /// Operation: list the generations of the profile
    #[arg(long)]
    list_generations: bool,
    /// Operation: delete generations: `old`, `14d` (older than so many days), `+5` (all but the last ones), or numbers
    #[arg(long)]
    delete_generations: bool,

    /// The profile to work on
    #[arg(short = 'p', long, value_name = "PATH")]
    profile: Option<PathBuf>,
    /// Where packages come from, instead of ~/.nix-defexpr
    #[arg(short = 'f', long, value_name = "FILE", allow_hyphen_values = true)]
    file: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Of available packages only those for this system; `*` for all
    #[arg(long, value_name = "SYSTEM", default_value = "*")]
    system_filter: String,
    /// Only packages that need no building
    #[arg(short = 'b', long)]
    prebuilt_only: bool,
    /// The name that the package gets
    #[arg(long, value_name = "NAME", hide = true)]
    force_name: Option<String>,

    /// With -i, -u, --set: the arguments are attribute paths. With -q: `-A PATH` lists only packages below a path
    #[arg(short = 'A', long)]
    attr: bool,
    /// What `-A PATH` of a query becomes
    #[arg(long, value_name = "PATH", hide = true)]
    attr_below: Option<String>,
    /// With -i, -u, --set: the arguments are functions, called with what packages come from
    #[arg(short = 'E', long)]
    from_expression: bool,
    /// With -i, -u, --set: packages come from another profile
    #[arg(long, value_name = "PATH")]
    from_profile: Option<PathBuf>,
    /// With -i (also -P): do not replace packages of the same name
    #[arg(long)]
    preserve_installed: bool,
    /// With -i: remove all other packages
    #[arg(short = 'r', long)]
    remove_all: bool,
    /// With -i: the priority of the packages; a file of the one with the smaller number hides another's
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    priority: Option<String>,

    /// With -u: to newer versions (so it is without any of these)
    #[arg(long)]
    lt: bool,
    /// With -u: to newer or equal versions
    #[arg(long)]
    leq: bool,
    /// With -u: to equal versions
    #[arg(long)]
    eq: bool,
    /// With -u: to whatever version there is
    #[arg(long)]
    always: bool,

    /// With -q: list what is available, not what is installed
    #[arg(short = 'a', long)]
    available: bool,
    /// With -q: list what is installed
    #[arg(long)]
    installed: bool,
    /// With -q: say whether a package is installed (I), present (P), substitutable (S)
    #[arg(short = 's', long)]
    status: bool,
    /// With -q -a (also -P): print attribute paths
    #[arg(long)]
    attr_path: bool,
    /// With -q: compare with the versions available, or with -a installed
    #[arg(short = 'c', long)]
    compare_versions: bool,
    /// With -q: print systems
    #[arg(long)]
    system: bool,
    /// With -q: print derivations
    #[arg(long)]
    drv_path: bool,
    /// With -q: print the paths of outputs
    #[arg(long)]
    out_path: bool,
    /// With -q: print descriptions
    #[arg(long)]
    description: bool,
    /// With -q and --json or --xml: print everything that is said of packages
    #[arg(long)]
    meta: bool,
    /// With -q: print no names
    #[arg(long)]
    no_name: bool,
    /// With -q: print JSON
    #[arg(long)]
    json: bool,
    /// With -q: print XML
    #[arg(long)]
    xml: bool,

    /// Build again what is broken
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    evaluation: EvaluationArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// What the operation takes
    arguments: Vec<String>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Install,
    Uninstall,
    Upgrade,
    Query,
    Set,
    SetFlag,
    SwitchProfile,
    SwitchGeneration,
    Rollback,
    ListGenerations,
    DeleteGenerations,
}

use Operation::{
    DeleteGenerations, Install, ListGenerations, Query, Rollback, Set, SetFlag, SwitchGeneration, SwitchProfile,
    Uninstall, Upgrade,
};

impl Args {
    fn operation(&self) -> Result<Operation, CommandError> {
        let all = [
            (self.install, Install),
            (self.uninstall, Uninstall),
            (self.upgrade, Upgrade),
            (self.query, Query),
            (self.set, Set),
            (self.set_flag, SetFlag),
            (self.switch_profile, SwitchProfile),
            (self.switch_generation, SwitchGeneration),
            (self.rollback, Rollback),
            (self.list_generations, ListGenerations),
            (self.delete_generations, DeleteGenerations),
        ];
        let mut given = all.into_iter().filter(|(given, _)| *given).map(|(_, operation)| operation);
        let operation = given.next().ok_or_else(|| CommandError::usage("no operation specified"))?;
        match given.next() {
            None => Ok(operation),
            Some(_) => Err(CommandError::usage("only one operation may be specified")),
        }
    }

    /// An error for the first flag that does not belong to the operation.
    fn check_flags(&self, operation: Operation) -> Result<(), CommandError> {
        let sources: &[Operation] = &[Install, Upgrade, Set];
        let flags: [(bool, &str, &[Operation]); 25] = [
            (self.attr, "--attr", sources),
            (self.attr_below.is_some(), "--attr", &[Query]),
            (self.from_expression, "--from-expression", sources),
            (self.from_profile.is_some(), "--from-profile", sources),
            (self.preserve_installed, "--preserve-installed", &[Install]),
            (self.remove_all, "--remove-all", &[Install]),
            (self.priority.is_some(), "--priority", &[Install]),
            (self.lt, "--lt", &[Upgrade]),
            (self.leq, "--leq", &[Upgrade]),
            (self.eq, "--eq", &[Upgrade]),
            (self.always, "--always", &[Upgrade]),
            (self.available, "--available", &[Query]),
            (self.installed, "--installed", &[Query]),
            (self.status, "--status", &[Query]),
            (self.attr_path, "--attr-path", &[Query]),
            (self.compare_versions, "--compare-versions", &[Query]),
            (self.system, "--system", &[Query]),
            (self.drv_path, "--drv-path", &[Query]),
            (self.out_path, "--out-path", &[Query]),
            (self.description, "--description", &[Query]),
            (self.meta, "--meta", &[Query]),
            (self.no_name, "--no-name", &[Query]),
            (self.json, "--json", &[Query]),
            (self.xml, "--xml", &[Query]),
            (self.attr_path && !self.available, "--attr-path", &[]),
        ];
        match flags.iter().find(|(given, _, operations)| *given && !operations.contains(&operation)) {
            Some((_, "--attr-path", [])) => Err(CommandError::usage("--attr-path(-P) only works with --available")),
            Some((_, flag, _)) => Err(CommandError::usage(format!("unknown flag '{flag}'"))),
            None => Ok(()),
        }
    }
}

/// A flag that no operation has, in C++ Nix's words.
fn unknown_flag(error: CommandError, has_operation: bool) -> CommandError {
    let CommandError::Clap(error) = error else { return error };
    match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(_)) if !has_operation => CommandError::usage("no operation specified"),
        (ErrorKind::UnknownArgument, Some(flag)) => CommandError::usage(format!("unknown flag '{flag}'")),
        _ => CommandError::Clap(error),
    }
}

/// What operations are asked for by.
const OPERATIONS: [&str; 17] = [
    "-i",
    "--install",
    "-e",
    "--uninstall",
    "-u",
    "--upgrade",
    "-q",
    "--query",
    "--set",
    "--set-flag",
    "-S",
    "--switch-profile",
    "-G",
    "--switch-generation",
    "--rollback",
    "--list-generations",
    "--delete-generations",
];

/// Runs the program.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    if words.iter().any(|word| word == "--version") {
        surface.line(&crate::programs::version("nix-env", &words));
        return Ok(0);
    }
    let words = words::expand(words);
    let has_operation = words.iter().any(|word| OPERATIONS.iter().any(|operation| word == operation));
    let words = parse_claiming::<Args>(words, &[], &["--system"]);
    let mut words = words.map_err(|error| unknown_flag(error, has_operation))?;
    let operation = words.args.operation()?;
    words.args.check_flags(operation)?;
    // A query evaluates without writing derivations.
    words.args.common.readonly_mode |= operation == Query;
    let session = open(surface, &words.given, &words.args.common)?;
    if words.args.repair {
        session.mend();
    }
    let opened = Opened { surface, session };
    let args = &words.args;
    if args.dry_run {
        opened.activity().message(activity::Verbosity::Info, "(dry run; not doing anything)");
    }
    let profile = || match &args.profile {
        Some(path) => Ok(Profile::new(std::path::absolute(path)?)),
        None => match opened.session.settings.around.path("NIX_PROFILE") {
            Some(path) => Ok(Profile::new(std::path::absolute(path)?)),
            None => Ok::<_, CommandError>(Profile::new(opened.session.default_profile())),
        },
    };
    match operation {
        Install | Uninstall | Upgrade | Set | SetFlag | Query => {
            opened.session.prepare_default_expression();
            let profile = profile()?;
            with_large_stack(|| match operation {
                Install => install::install(&opened, args, profile),
                Uninstall => install::uninstall(&opened, args, profile),
                Upgrade => install::upgrade(&opened, args, profile),
                Set => install::set(&opened, args, profile),
                SetFlag => install::set_flag(&opened, args, profile),
                _ => query::query(&opened, args, profile),
            })
        }
        SwitchProfile => generations::switch_profile(&opened, args),
        SwitchGeneration => generations::switch(&opened, args, &profile()?),
        Rollback => generations::roll_back(&opened, args, &profile()?),
        ListGenerations => generations::list(&opened, &args.arguments, &profile()?),
        DeleteGenerations => generations::delete(&opened, args, &profile()?),
    }
}
