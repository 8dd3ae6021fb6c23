//! What `nix store ls` and `nix nar ls` print of a tree, and what their relatives `cat` print.

use std::io::{Read as _, Write as _};

use clap::Args;
use file_tree::{FileType, Metadata, NarListing, SourceAccessor, TreePath};
use serde_json::{Map, Value, json};

use super::json::JsonArgs;
use crate::command::{CommandError, CommandResult, Surface};

/// How a tree is listed.
#[derive(Args, Debug)]
pub struct ListingArgs {
    /// List folders within folders too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Show type, size and target of each object
    #[arg(short = 'l', long)]
    long: bool,
    /// Show a folder, not what is in it
    #[arg(short = 'd', long)]
    directory: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    style: JsonArgs,
}

/// A failure of a tree as a command's.
pub fn tree_error(error: file_tree::Error) -> CommandError {
    CommandError::failed(error.to_string())
}

/// A tree, and the listing that tells where in an archive its files lie, if it is one.
pub struct Listed<'a> {
    /// The tree.
    pub accessor: &'a dyn SourceAccessor,
    /// Where in its archive files lie.
    pub listing: Option<&'a NarListing>,
}

impl Listed<'_> {
    /// Lists the object at a path.
    pub fn print(&self, surface: &Surface, args: &ListingArgs, path: &TreePath) -> CommandResult {
        if args.json {
            if args.directory {
                return Err(CommandError::usage("'--directory' is useless with '--json'"));
            }
            let depth = if args.recursive { usize::MAX } else { 1 };
            args.style.print(surface, &self.json(path, depth)?);
            return Ok(0);
        }
        let found = self.stat(path)?;
        let mut text = Vec::new();
        if found.file_type == FileType::Directory {
            if args.directory {
                self.object(args, path, ".", &mut text)?;
            } else {
                self.entries(args, path, ".", &mut text)?;
            }
        } else {
            let name = path.components().last().unwrap_or_default();
            self.object(args, path, &String::from_utf8_lossy(name), &mut text)?;
        }
        surface.print(&text);
        Ok(0)
    }

    fn stat(&self, path: &TreePath) -> Result<Metadata, CommandError> {
        let found = self.accessor.stat(path).map_err(tree_error)?;
        found.ok_or_else(|| tree_error(file_tree::Error::NotFound(self.accessor.show(path))))
    }

    fn entries(&self, args: &ListingArgs, path: &TreePath, shown: &str, out: &mut Vec<u8>) -> Result<(), CommandError> {
        for (name, _) in self.accessor.read_dir(path).map_err(tree_error)? {
            let below = path.join(&name).map_err(tree_error)?;
            self.object(args, &below, &format!("{shown}/{}", String::from_utf8_lossy(&name)), out)?;
        }
        Ok(())
    }

    fn object(&self, args: &ListingArgs, path: &TreePath, shown: &str, out: &mut Vec<u8>) -> Result<(), CommandError> {
        let found = if args.long || args.recursive { Some(self.stat(path)?) } else { None };
        if let Some(found) = found.filter(|_| args.long) {
            let kind = match found.file_type {
                FileType::Regular if found.executable => "-r-xr-xr-x",
                FileType::Regular => "-r--r--r--",
                FileType::Symlink => "lrwxrwxrwx",
                FileType::Directory | FileType::Other => "dr-xr-xr-x",
            };
            write!(out, "{kind} {:>20} {shown}", found.size)?;
            if found.file_type == FileType::Symlink {
                out.extend_from_slice(b" -> ");
                out.extend_from_slice(&self.accessor.read_link(path).map_err(tree_error)?);
            }
            out.push(b'\n');
        } else {
            writeln!(out, "{shown}")?;
        }
        if args.recursive && found.is_some_and(|found| found.file_type == FileType::Directory) {
            self.entries(args, path, shown, out)?;
        }
        Ok(())
    }

    /// The object, with what is inside folders down to a depth.
    fn json(&self, path: &TreePath, depth: usize) -> Result<Value, CommandError> {
        let found = self.stat(path)?;
        Ok(match found.file_type {
            FileType::Regular => {
                let mut value = json!({ "type": "regular", "size": found.size });
                if found.executable {
                    value["executable"] = Value::Bool(true);
                }
                if let Some(NarListing::Regular { offset, .. }) = self.listing.and_then(|all| all.find(path)) {
                    value["narOffset"] = json!(offset);
                }
                value
            }
            FileType::Symlink => {
                let target = self.accessor.read_link(path).map_err(tree_error)?;
                json!({ "type": "symlink", "target": String::from_utf8_lossy(&target) })
            }
            FileType::Directory | FileType::Other => {
                let mut entries = Map::new();
                for (name, _) in self.accessor.read_dir(path).map_err(tree_error)? {
                    let value = match depth {
                        0 | 1 => json!({}),
                        _ => self.json(&path.join(&name).map_err(tree_error)?, depth - 1)?,
                    };
                    entries.insert(String::from_utf8_lossy(&name).into_owned(), value);
                }
                json!({ "type": "directory", "entries": entries })
            }
        })
    }
}

/// Prints the bytes of a regular file.
pub fn print_file(surface: &Surface, accessor: &dyn SourceAccessor, path: &TreePath) -> CommandResult {
    match accessor.stat(path).map_err(tree_error)? {
        None => return Err(tree_error(file_tree::Error::NotFound(accessor.show(path)))),
        Some(found) if found.file_type != FileType::Regular => {
            return Err(CommandError::failed(format!("path '{path}' is not a regular file")));
        }
        Some(_) => {}
    }
    let contents = accessor.open(path).map_err(tree_error)?;
    let mut out = surface.output();
    let mut left = contents.reader.take(contents.size);
    std::io::copy(&mut left, &mut out)?;
    out.flush()?;
    Ok(0)
}
