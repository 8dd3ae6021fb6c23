//! What Nix keeps of a file system object: its type, the executable bit, and no more.

/// The type of an object. Only the first three can be in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileType {
    /// Bytes, perhaps executable.
    Regular,
    /// Names to objects.
    Directory,
    /// A target, which need not exist.
    Symlink,
    /// A device, socket or pipe.
    Other,
}

/// Type, size and executable bit of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// The type.
    pub file_type: FileType,
    /// For regular files: whether the owner may execute it.
    pub executable: bool,
    /// For regular files: bytes.
    pub size: u64,
}
