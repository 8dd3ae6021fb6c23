//! `builtin:unpack`.
use std::ffi::OsString;
use std::path::Path;
pub(crate) fn run(_archive: &Path, _output: &Path, _select: &[OsString]) -> Result<(), String> {
    Err("x".into())
}
pub(crate) fn restore_archive(_archive: &Path, _xz: bool, _output: &Path) -> Result<(), String> {
    Err("x".into())
}
pub(crate) fn copy_file(source: &Path, output: &Path) -> Result<(), String> {
    std::fs::copy(source, output).map(drop).map_err(|e| e.to_string())
}
