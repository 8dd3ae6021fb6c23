//! `nix-channel`: expressions from elsewhere that follow their publisher.
//!
//! A list of names and URLs (`~/.nix-channels`) → the archive at each URL, in the store → unpacked (`builtin:unpack-channel`)
//! → a generation of the profile `channels`, an environment with a folder for each channel.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::Parser;
use evaluator::{FetchRequest, Origin, Rooted, World as _, with_large_stack};
use session::SessionWorld;
use session::user_environment::Element;
use store::Profile;
use store_model::StorePath;

use super::nix_env::environment::Environments;
use super::nix_env::{generations, install};
use crate::command::{CommandError, CommandResult, Surface};
use crate::input::common::{CommonArgs, open, parse};
use crate::input::evaluation::EvaluationArgs;
use crate::output::build::{Opened, store_error};

/// Manage channels: expressions from elsewhere, by name
///
/// Exactly one operation is given.
#[derive(Parser, Debug)]
#[command(name = "nix-channel", disable_version_flag = true)]
struct Args {
    /// Operation: add a channel: URL [NAME]
    #[arg(long)]
    add: bool,
    /// Operation: remove a channel: NAME
    #[arg(long)]
    remove: bool,
    /// Operation: list channels
    #[arg(long)]
    list: bool,
    /// Operation: fetch channels anew, all of them if none is named
    #[arg(long)]
    update: bool,
    /// Operation: list what channels were before
    #[arg(long)]
    list_generations: bool,
    /// Operation: go back to what channels were before the last update, or to a generation: [NUMBER]
    #[arg(long)]
    rollback: bool,
    #[command(flatten)]
    common: CommonArgs,
    /// What the operation takes
    arguments: Vec<String>,
}

/// From a channel's name and archive to its derivation.
const UNPACK: &str = r#"
  { name, channelName, src }:
  derivation {
    inherit name channelName src;
    system = "builtin";
    builder = "builtin:unpack-channel";
    preferLocalBuild = true;
  }
"#;

/// URLs by name.
type Channels = BTreeMap<String, String>;

/// Runs the program.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    if words.iter().any(|word| word == "--version") {
        surface.line(&crate::programs::version("nix-channel", &words));
        return Ok(0);
    }
    let mut words = parse::<Args>(words, &[])?;
    // Who updates wants what is there now, whatever was downloaded an hour ago.
    words.args.common.refresh |= !words.given.iter().any(|setting| setting.name == "tarball-ttl");
    let args = &words.args;
    let given = [args.add, args.remove, args.list, args.update, args.list_generations, args.rollback];
    match given.iter().filter(|given| **given).count() {
        0 => return Err(CommandError::usage("no command specified")),
        1 => {}
        _ => return Err(CommandError::usage("only one operation may be specified")),
    }
    let opened = Opened { surface, session: open(surface, &words.given, &args.common)? };
    let profile = Profile::new(opened.session.channels_profile()?);
    let names = args.arguments.as_slice();
    match (args, names) {
        (Args { add: true, .. }, [url]) => add(&opened, url, &default_name(url)),
        (Args { add: true, .. }, [url, name]) => add(&opened, url, name),
        (Args { add: true, .. }, _) => Err(CommandError::usage("'--add' requires one or two arguments")),
        (Args { remove: true, .. }, [name]) => with_large_stack(|| remove(&opened, profile, name)),
        (Args { remove: true, .. }, _) => Err(CommandError::usage("'--remove' requires one argument")),
        (Args { list: true, .. }, []) => list(&opened),
        (Args { list: true, .. }, _) => Err(CommandError::usage("'--list' expects no arguments")),
        (Args { update: true, .. }, names) => with_large_stack(|| update(&opened, profile, names)),
        (Args { list_generations: true, .. }, []) => generations::list(&opened, &[], &profile),
        (Args { list_generations: true, .. }, _) => {
            Err(CommandError::usage("'--list-generations' expects no arguments"))
        }
        (_, []) => back(&opened, &profile, None),
        (_, [number]) => {
            let number = number.parse().map_err(|_| CommandError::usage("expected a generation number"))?;
            back(&opened, &profile, Some(number))
        }
        _ => Err(CommandError::usage("'--rollback' has at most one argument")),
    }
}

fn back(opened: &Opened<'_>, profile: &Profile, to: Option<u64>) -> CommandResult {
    profile.switch(opened.activity(), to, false).map_err(store_error)?;
    Ok(0)
}

/// The last part of a URL, without what says how stable the channel is.
fn default_name(url: &str) -> String {
    let name = last_part(url);
    let name = name.strip_suffix("-unstable").unwrap_or(name);
    name.strip_suffix("-stable").unwrap_or(name).to_owned()
}

fn last_part(url: &str) -> &str {
    url.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

fn file_error(action: &str, path: &std::path::Path, error: &std::io::Error) -> CommandError {
    CommandError::failed(format!("{action} '{}': {error}", path.display()))
}

/// Reads the list: a URL on each line, and perhaps a name.
fn read(opened: &Opened<'_>) -> Result<Channels, CommandError> {
    let path = opened.session.channel_list();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(file_error("reading", &path, &error)),
    };
    let mut channels = Channels::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(url) = words.next().filter(|url| !url.starts_with('#')) else { continue };
        let url = url.trim_end_matches('/');
        let name = words.next().unwrap_or(last_part(url));
        channels.insert(name.to_owned(), url.to_owned());
    }
    Ok(channels)
}

/// Writes the list, which appears whole; where it is a link, the file that it leads to.
fn write(opened: &Opened<'_>, channels: &Channels) -> Result<(), CommandError> {
    let path = opened.session.channel_list();
    let path = std::fs::canonicalize(&path).unwrap_or(path);
    let text: String = channels.iter().map(|(name, url)| format!("{url} {name}\n")).collect();
    let written = file_tree::replace_file(&path, text.as_bytes());
    written.map_err(|error| file_error("writing", &path, &error))
}

fn add(opened: &Opened<'_>, url: &str, name: &str) -> CommandResult {
    if !["file://", "http://", "https://"].iter().any(|start| url.starts_with(start)) {
        return Err(CommandError::failed(format!("invalid channel URL '{url}'")));
    }
    check_name(name)?;
    let mut channels = read(opened)?;
    channels.insert(name.to_owned(), url.to_owned());
    write(opened, &channels)?;
    Ok(0)
}

fn check_name(name: &str) -> Result<(), CommandError> {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    match name.bytes().next() {
        Some(first) if inside(first) && !matches!(first, b'.' | b'-') && name.bytes().all(inside) => Ok(()),
        _ => Err(CommandError::failed(format!("invalid channel identifier '{name}'"))),
    }
}

fn remove(opened: &Opened<'_>, profile: Profile, name: &str) -> CommandResult {
    let mut channels = read(opened)?;
    channels.remove(name);
    write(opened, &channels)?;
    let mut environments = Environments::open(opened, &EvaluationArgs::default(), profile)?;
    install::remove(&mut environments, &[name.to_owned()], false)?;
    Ok(0)
}

fn list(opened: &Opened<'_>) -> CommandResult {
    let lines: String = read(opened)?.iter().map(|(name, url)| format!("{name} {url}\n")).collect();
    opened.surface.print(lines.as_bytes());
    Ok(0)
}

/// The name of a channel's package: with the version that its URL ends in, if it does.
fn package_name(name: &str, url: &str) -> String {
    let last = last_part(url);
    let version = last.as_bytes().windows(2).position(|pair| pair[0] == b'-' && pair[1].is_ascii_digit());
    format!("{name}{}", version.map_or("", |at| &last[at..]))
}

fn is_archive(url: &str) -> bool {
    [".tar.gz", ".tar.bz2", ".tar.xz"].iter().any(|end| url.ends_with(end))
}

fn update(opened: &Opened<'_>, profile: Profile, names: &[String]) -> CommandResult {
    let channels = read(opened)?;
    if let Some(unknown) = names.iter().find(|name| !channels.contains_key(*name)) {
        opened.surface.warn(&format!("there is no channel '{unknown}'"));
    }
    let mut environments = Environments::open(opened, &EvaluationArgs::default(), profile)?;
    let unpack =
        environments.evaluation.run(|evaluator| evaluator.eval_text(UNPACK.as_bytes(), b"/", Origin::String))?;
    let mut elements = Vec::new();
    for (name, url) in &channels {
        check_name(name)?;
        let package = package_name(name, url);
        if names.is_empty() || names.contains(name) {
            let archive = fetch(opened, url)?;
            elements.extend(channel(&mut environments, &unpack, name, &package, &archive)?);
        } else {
            elements.extend(as_it_is(&mut environments, name, &package)?);
        }
    }
    opened.surface.progress.error_line(&format!("unpacking {} channels...", elements.len()));
    loop {
        let seen = environments.profile.target();
        let keep = opened.session.settings.flag("keep-env-derivations");
        if environments.create(&elements, keep, &seen)? {
            break;
        }
    }
    opened.session.link_channels()?;
    Ok(0)
}

/// The archive that a URL means: its own, or one with a usual name below it.
fn fetch(opened: &Opened<'_>, url: &str) -> Result<StorePath, CommandError> {
    let world = SessionWorld::new(opened.session.clone());
    let get = |url: &str| {
        let request = FetchRequest::File { url: url.to_owned(), name: last_part(url).to_owned(), expected: None };
        world.fetch(opened.activity(), &request).map(|fetched| fetched.path)
    };
    let found = if is_archive(url) {
        get(url)
    } else {
        // The release that the server means now, and all of it from there, even if it means another one a moment later.
        let remote = ["http://", "https://"].iter().any(|start| url.starts_with(start));
        let url = if remote { &opened.session.redirected(opened.activity(), url) } else { url };
        get(&format!("{url}/nixexprs.tar.xz")).or_else(|_| get(&format!("{url}/nixexprs.tar.bz2")))
    };
    found.map_err(|error| CommandError::failed(error.to_string()))
}

/// A channel, to be unpacked from its archive.
fn channel(
    environments: &mut Environments<'_>,
    unpack: &Rooted,
    name: &str,
    package: &str,
    archive: &StorePath,
) -> Result<Vec<Element>, CommandError> {
    let archive = environments.opened.show(archive);
    let text = format!(
        "{{ name = \"{package}\"; channelName = \"{name}\"; src = builtins.appendContext \"{archive}\" {{ \"{archive}\".path = true; }}; }}"
    );
    let found = environments.evaluation.run(|evaluator| {
        let arguments = evaluator.eval_text(text.as_bytes(), b"/", Origin::String)?;
        let value = evaluator.call(unpack, &[&arguments])?;
        evaluator.list_packages(&value, "", &[], false)
    })?;
    Ok(found.into_iter().map(Element::of_expression).collect())
}

/// A channel as the profile has it now.
fn as_it_is(environments: &mut Environments<'_>, name: &str, package: &str) -> Result<Vec<Element>, CommandError> {
    let session = &environments.opened.session;
    let folder = session.follow_links(&environments.profile.path().join(name))?;
    let inside = folder.to_str().and_then(|text| session.store_dir().parse_inside(text).ok());
    let Some((path, _)) = inside else {
        let text = format!("channel '{name}' was not fetched yet, and is not among those to be updated");
        environments.opened.surface.warn(&text);
        return Ok(Vec::new());
    };
    let path = environments.opened.show(&path);
    let text = format!(
        "rec {{ type = \"derivation\"; name = \"{package}\"; system = \"builtin\"; outputs = [ \"out\" ]; outPath = builtins.appendContext \"{path}\" {{ \"{path}\".path = true; }}; out = {{ inherit outPath; }}; }}"
    );
    let found = environments.evaluation.run(|evaluator| {
        let value = evaluator.eval_text(text.as_bytes(), b"/", Origin::String)?;
        evaluator.list_packages(&value, "", &[], false)
    })?;
    Ok(found.into_iter().map(Element::of_expression).collect())
}
