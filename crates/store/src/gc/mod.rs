//! Collecting garbage: deleting what no root leads to, beside others that use the store, C++ Nix among them.
//!
//! `collect.rs` runs a collection: it asks `roots.rs` and `processes.rs` for roots, reads the `graph.rs`, keeps in `live.rs`
//! what lives while `socket.rs` takes roots of others, hands objects to `trash.rs`, and ends with `links.rs`. `auto.rs` begins one when space is short.
//!
//! Absent: making roots and links, which are the store's; generations of profiles.

pub(crate) mod auto;
mod collect;
mod graph;
mod links;
mod live;
#[cfg(test)]
mod model;
mod processes;
mod roots;
mod socket;
mod trash;

pub use auto::AutoCollection;
pub use links::render_size;

use crate::local::LocalStore;
use crate::{GarbageCollector, GcOptions, GcResults, Result, Roots};
use activity::Activity;

impl GarbageCollector for LocalStore {
    fn find_roots(&self, activity: &Activity, censor: bool) -> Result<Roots> {
        self.all_roots(activity, censor)
    }

    fn collect_garbage(&self, activity: &Activity, options: &GcOptions, results: &mut GcResults) -> Result<()> {
        collect::run(self, activity, options, results)
    }
}
