//! The one binary: argv[0] or the first word names a program, [`programs`] runs it, its result becomes the exit status.
//!
//! Commands live one a file, named by the words typed. They parse (`input`), call the crates below, and print (`output`);
//! nothing else in the house prints or exits.

mod command;
mod firn;
mod input;
mod legacy;
mod nix;
mod output;
mod programs;

fn main() {
    programs::enter(std::env::args_os().collect());
}
