//! Older schemas of the database, and how they become the one that is used.
//!
//! As in C++ Nix: whoever upgrades holds `big-lock` alone, and everybody else holds it shared for as long as they have the store
//! open. The steps are one transaction, which may have been committed by a process that died before it could say so in
//! `schema`: each looks whether it has been taken.
//!
//! Absent: the tables of today (`database.rs`).

use crate::{Error, Result};
use rusqlite::{Connection, Transaction};
use std::path::Path;

/// The oldest schema that can be upgraded.
const OLDEST: u32 = 6;

/// What `schema` says, as a number that can be upgraded.
pub(super) fn upgradable(version: &str, today: &str) -> Result<()> {
    let old = version.parse::<u32>().map_err(|_| Error::Schema(version.to_owned()))?;
    if today.parse::<u32>().is_ok_and(|today| old > today) {
        return Err(Error::Schema(version.to_owned()));
    }
    match old {
        0..5 => Err(Error::AncientSchema { format: "Berkeley DB", version: "0.12" }),
        5..OLDEST => Err(Error::AncientSchema { format: "flat file", version: "1.11" }),
        _ => Ok(()),
    }
}

/// Takes the steps that have not been taken.
pub(super) fn upgrade(connection: &Connection, file: &Path) -> Result<()> {
    let failed = |source| Error::Database { path: file.to_owned(), source };
    let transaction =
        Transaction::new_unchecked(connection, rusqlite::TransactionBehavior::Immediate).map_err(failed)?;
    for (column, kind) in [("ultimate", "integer"), ("sigs", "text"), ("ca", "text")] {
        let known: bool = transaction
            .query_row("select count(*) from pragma_table_info('ValidPaths') where name = ?", [column], |row| {
                row.get(0)
            })
            .map_err(failed)?;
        if !known {
            let step = format!("alter table ValidPaths add column {column} {kind}");
            transaction.execute_batch(&step).map_err(failed)?;
        }
    }
    transaction.execute_batch("drop table if exists FailedPaths").map_err(failed)?;
    transaction.commit().map_err(failed)
}
