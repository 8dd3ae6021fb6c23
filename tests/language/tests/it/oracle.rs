//! The same cases in C++ Nix: the expectations are its answers.

use language::{Case, cases, folder};
use std::path::Path;
use std::process::Command;

/// The last error in C++ Nix's output, in the form of an expectation.
fn last_error(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let start = lines.iter().rposition(|line| line.trim_start().starts_with("error:")).unwrap_or(0);
    let mut message = Vec::new();
    let mut place = None;
    for line in lines.get(start..).unwrap_or_default() {
        if let Some(position) = line.trim_start().strip_prefix("at /case/") {
            let mut parts = position.trim_end_matches(':').rsplit(':');
            let (column, line) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            place = Some(format!("at {line}:{column}"));
            break;
        }
        let line = line.trim();
        // How to get help is said with the name of the program.
        if !line.starts_with("Try '") {
            message.push(line.strip_prefix("error:").unwrap_or(line).trim());
        }
    }
    let message = message.join("\n").trim().to_string();
    place.map_or(format!("{message}\n"), |place| format!("{message}\n{place}\n"))
}

fn answer(program: &Path, folder: &Path, case: &Case) -> Result<String, String> {
    let output = Command::new(program)
        .args(["--eval", "--strict"])
        .arg(folder.join(format!("{}.nix", case.name)))
        .env("NIX_REMOTE", "dummy://")
        .env("NIX_STORE_DIR", "/nix/store")
        .env("NIX_CONF_DIR", folder)
        .env("NIX_PATH", "")
        .env("HOME", folder)
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let here = folder.to_string_lossy().into_owned();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&here, "/case");
    match (output.status.success(), case.fails) {
        (true, false) => Ok(text(&output.stdout)),
        (false, true) => Ok(last_error(&text(&output.stderr))),
        _ => Err(format!("{}{}", text(&output.stdout), text(&output.stderr))),
    }
}

#[test]
fn cpp_nix_gives_the_same() {
    let Some(commands) = std::env::var_os("NIX_ORACLE") else {
        return println!("skipped: cpp_nix_gives_the_same (NIX_ORACLE names no folder of C++ Nix's commands)");
    };
    let program = Path::new(&commands).join("nix-instantiate");
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let place = scratch.path().canonicalize().expect("a real path");
    std::fs::create_dir(place.join("files")).expect("a folder");
    for entry in std::fs::read_dir(folder().join("files")).expect("the files") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, place.join("files").join(path.file_name().expect("a name"))).expect("a copy");
    }
    let update = std::env::var_os("FIRN_UPDATE").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        std::fs::write(place.join(format!("{}.nix", case.name)), &case.text).expect("a file");
        let given = answer(&program, &place, &case);
        match given {
            Err(given) => wrong.push(format!("{}: {given}", case.name)),
            Ok(given) if update => std::fs::write(&case.expectation, given).expect("a file"),
            Ok(given) => {
                let expected = std::fs::read_to_string(&case.expectation).unwrap_or_default();
                if given != expected {
                    wrong.push(format!("{}:\n  expected {expected}  given    {given}", case.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
