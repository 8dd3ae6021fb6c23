//! `firn completions`: what a shell needs to complete words of Nix's programs.

use std::ffi::OsString;

use clap::{Parser, ValueEnum};

use crate::command::{CommandResult, Surface};
use crate::input::common::parse;
use crate::programs::PROGRAMS;

/// Print a script that makes a shell complete words of Nix's programs
///
/// For bash: `source <(firn completions bash)` in ~/.bashrc. For zsh: write it to a file `_nix` in a folder of `fpath`. For
/// fish: write it to ~/.config/fish/completions/nix.fish.
#[derive(Parser, Debug)]
#[command(name = "firn completions")]
struct Args {
    /// The shell
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

const BASH: &str = r#"# Words of Nix's programs, asked of the programs themselves.
_firn_complete() {
    local -a words
    local cword cur kind= candidate description
    # Colons and equal signs are parts of words here.
    if declare -F _get_comp_words_by_ref > /dev/null; then
        _get_comp_words_by_ref -n ':=&' words cword cur
    else
        words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]}
    fi
    COMPREPLY=()
    while IFS=$'\t' read -r candidate description; do
        if [[ -z $kind ]]; then kind=$candidate; else COMPREPLY+=("$candidate"); fi
    done < <(NIX_GET_COMPLETIONS=$cword "${words[@]/#\~/$HOME}" 2> /dev/null)
    case $kind in
        filenames) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
        attrs) compopt -o nospace ;;
    esac
    if declare -F __ltrim_colon_completions > /dev/null; then __ltrim_colon_completions "$cur"; fi
}
complete -F _firn_complete PROGRAMS
"#;

const ZSH: &str = r#"#compdef PROGRAMS
# Words of Nix's programs, asked of the programs themselves.
_firn_complete() {
    local -a lines candidates descriptions
    local line
    lines=("${(@f)$(NIX_GET_COMPLETIONS=$((CURRENT - 1)) "${(@)words/#\~/$HOME}" 2> /dev/null)}")
    for line in "${(@)lines[2,-1]}"; do
        candidates+=("${line%%$'\t'*}")
        descriptions+=("${line%%$'\t'*}  ${line#*$'\t'}")
    done
    case ${lines[1]} in
        filenames) _files ;;
        attrs) compadd -S '' -- "${candidates[@]}" ;;
        *) compadd -l -d descriptions -- "${candidates[@]}" ;;
    esac
}
if [ "$funcstack[1]" = _nix ]; then _firn_complete "$@"; else compdef _firn_complete PROGRAMS; fi
"#;

const FISH: &str = r#"# Words of Nix's programs, asked of the programs themselves.
function __firn_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l lines (env NIX_GET_COMPLETIONS=(count $words) $words "$current" 2> /dev/null)
    if test "$lines[1]" = filenames
        __fish_complete_path "$current"
    else
        printf '%s\n' $lines[2..]
    end
end
for program in PROGRAMS
    complete --command $program --no-files --arguments '(__firn_complete)'
end
"#;

/// Runs the command.
pub fn run(surface: &Surface, words: Vec<OsString>) -> CommandResult {
    let args = parse::<Args>(words, &[])?.args;
    let script = match args.shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    };
    let names: Vec<&str> = ["nix", "firn"].into_iter().chain(PROGRAMS.iter().map(|(name, _)| *name)).collect();
    surface.print(script.replace("PROGRAMS", &names.join(" ")).as_bytes());
    Ok(0)
}
