//! One opened Nix: settings, store URIs, the evaluator's world, what users name.
//!
//! The one place where evaluating, fetching and building meet. Only this crate reads configuration and environment; it
//! hands small option structs to the crates below. Absent: printing, exit codes, command-line words (`cli`).

pub mod remembered;
pub mod settings;
pub mod shell;
pub mod user_environment;
pub mod wrong_hashes;

mod error;
mod fetching;
mod inputs;
mod logical;
mod mirrors;
mod old_generations;
mod options;
mod paths;
mod pending;
mod prefetch;
mod profiles;
mod realised;
mod registries;
mod repair;
mod serving;
#[allow(clippy::module_inception, reason = "the type gives the crate its name")]
mod session;
mod source;
mod stores;
mod world;

pub use error::SessionError;
pub use inputs::Inputs;
pub use mirrors::mirrors_of_user;
pub use options::build_history;
pub use paths::without_dots;
pub use prefetch::Prefetch;
pub use realised::Realised;
pub use registries::RegistryEntry;
pub use serving::Serving;
pub use session::Session;
pub use settings::Settings;
pub use stores::{CachePlace, OpenStore, StoreKind, StorePlace};
pub use world::SessionWorld;
